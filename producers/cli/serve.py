"""`didflow serve`: the HTTP API."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from didflow.contract.errors import InvalidSettings
from didflow.logs import configure_logs
from didflow.settings import load_settings
from didflow.terminal import options as given
from didflow.terminal.output import errors_shown, print_json

#: Where `didflow serve` listens.
DEFAULT_PORT = 8780


def serve(
    host: Annotated[str, typer.Option(help="the address to listen on; without any key, loopback only")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="the port; 0: any that is free")] = DEFAULT_PORT,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file of the certificate, with its chain", show_default=False)] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its private key", show_default=False)] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(help="a proxy whose X-Forwarded-… are believed: an address or a network; may be repeated", show_default=False),
    ] = None,
    login_header: Annotated[
        str | None,
        typer.Option(help="the header in which a trusted proxy names the person that it has logged in to the console", show_default=False),
    ] = None,
    login_key: Annotated[
        str | None,
        typer.Option(help="the key whose scopes such a person has, unless a key has the person's own name", show_default=False),
    ] = None,
    as_json: given.Json = False,
) -> None:
    """Serve jobs over HTTP, and the console for people, until SIGTERM.

    See docs/http.md and docs/console.md; a running server describes itself at /docs and /openapi.json.
    """
    with errors_shown(as_json=as_json):
        settings = load_settings()
        configure_logs(log_format="json" if as_json else settings.log_format, level=settings.log_level, serves=True)
        if any(find_spec(name) is None for name in ("fastapi", "jinja2", "uvicorn")):
            raise InvalidSettings("`didflow serve` needs the extra `http`: pip install 'didflow[http]'")
        # Not at the top: nothing else needs FastAPI, and loading it takes longer than most commands.
        from producers.http.proxy_login import proxy_login
        from producers.http.server import Listen, run

        def listening(url: str) -> None:
            if as_json:
                print_json({"url": url})
            else:
                sys.stdout.write(f"http listening on {url}\n")
            sys.stdout.flush()

        listen = Listen(host, port, tls_cert, tls_key, tuple(trusted_proxy or ()), proxy_login(login_header, login_key))
        run(settings, listen, listening)
