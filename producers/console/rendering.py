"""Templates: escaped always, and an unknown name is an error."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from producers.console.formats import FILTERS
from producers.console.static_files import static_url


@cache
def environment() -> Environment:
    """Made once; it keeps the templates that it has compiled."""
    # What a package may have as its place is a folder wherever didflow is installed from a wheel or a checkout.
    loader = FileSystemLoader(str(files("producers.console") / "templates"))
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False)
    found.filters.update(FILTERS)
    found.globals["static"] = static_url
    return found


def render(template: str, **context: Any) -> str:
    """The page. Lone surrogates, which a damaged record may hold, are replaced."""
    return environment().get_template(template).render(**context).encode("utf-8", "replace").decode()
