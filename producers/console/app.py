"""The application of the console: its screens behind the check of who asks, and what is there before a login."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from didflow.contract.errors import DidflowError
from producers.console import door, live, static_files
from producers.console.error_pages import on_error, on_fault
from producers.console.policy import Policy
from producers.console.rendering import environment
from producers.console.screens import SCREENS, menu
from producers.http.services import Services


def console(services: Services) -> Policy:
    """What `didflow serve` mounts at /console."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.services = services
    app.include_router(door.router)
    app.include_router(live.router)
    for screen in SCREENS:
        app.include_router(screen.router)
    app.add_route("/static/{name}", static_files.serve, include_in_schema=False)
    for kind in (DidflowError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(Exception, on_fault)
    environment().globals["menu"] = menu
    return Policy(app)
