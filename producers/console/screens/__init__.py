"""The screens, in the order of the menu."""

from collections.abc import Iterator

from producers.console.screen import Screen
from producers.console.screens import (
    accounts,
    audit,
    churn,
    dead_letters,
    failover,
    jobs,
    keys,
    numbers,
    order,
    overview,
    review,
    spending,
    webhooks,
)
from producers.console.visit import Visit

SCREENS: tuple[Screen, ...] = (
    overview.SCREEN,
    jobs.SCREEN,
    review.SCREEN,
    failover.SCREEN,
    numbers.SCREEN,
    order.SCREEN,
    churn.SCREEN,
    dead_letters.SCREEN,
    spending.SCREEN,
    accounts.SCREEN,
    webhooks.SCREEN,
    keys.SCREEN,
    audit.SCREEN,
)


def menu(visit: Visit) -> Iterator[tuple[Screen, bool]]:
    """The screens that the visitor may see, and whether it is at one."""
    path = visit.request.scope.get("path", "").removeprefix(visit.request.scope.get("root_path", ""))
    for screen in SCREENS:
        if visit.may(*screen.scopes) and (visit.caller.sees_all or screen.for_limited):
            yield screen, screen.is_at(path)
