"""What the menu has to know of a screen."""

from dataclasses import dataclass, field

from fastapi import APIRouter

from didflow.contract.api_keys import ApiScope


@dataclass(frozen=True)
class Screen:
    """A screen of the console.

    path         where it begins, such as ``/jobs``; ``/`` is the first one
    title        in the menu
    icon         the name of one in `templates/icons.html`
    scopes       who has one of these sees it in the menu; each route checks by itself what it needs
    for_limited  whether a key that is limited to an account or to references may see it
    """

    path: str
    title: str
    icon: str
    router: APIRouter
    scopes: tuple[ApiScope, ...] = field(default=(ApiScope.READ,))
    for_limited: bool = False

    def is_at(self, path: str) -> bool:
        """Whether a path of the console belongs to it."""
        return path == "/" if self.path == "/" else path == self.path or path.startswith(f"{self.path}/")
