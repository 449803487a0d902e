"""`python -m worker.local.up`, which is `didflow up`: everything on this machine, until Ctrl-C."""

import argparse
import json
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec

import typer
from rich.console import Console

from didflow.contract.error_exit_codes import exit_code
from didflow.contract.errors import DidflowError
from didflow.contract.exit_codes import ExitCode
from didflow.logs import configure_logs
from didflow.settings import SANDBOX_KEY, Settings, load_settings
from didflow.terminal.argument_types import parser_of, port, whole
from didflow.terminal.own_command import own_command
from didflow.urls import shown_redis_url, split_redis_url
from worker.local.embedded_valkey import SANDBOX_FOLDER, SANDBOX_STATE
from worker.local.reset import reset
from worker.local.stack import LocalStack
from worker.operate.beside_up import UpFile

#: Where `didflow serve` listens, too.
HTTP_PORT = 8780


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit code 0 after Ctrl-C or SIGTERM, 2 for settings that the workers refuse, 5 if a part doesn't come up, 1 if one ends by itself;
    with --reset also 6 if the answer is no."""
    try:
        settings = load_settings()
        given = parser(settings).parse_args(arguments)
        configure_logs(log_format=settings.log_format, level=settings.log_level)
        stack = _stack(settings, given)
        if given.reset is not None:
            reset(settings, sandbox=stack.sandbox is not None, named=given.reset, yes=given.yes)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        with stack, ExitStack() as told:
            if stack.sandbox_url:
                told.enter_context(UpFile(settings.state_dir, stack.redis_url or "", settings.namespace, stack.sandbox_url))
            if given.json:
                sys.stdout.write(json.dumps(described(stack, settings), indent=2) + "\n")
                sys.stdout.flush()
            else:
                print_addresses(Console(stderr=True), stack, settings)
            while not stop.wait(0.5):
                if stack.refused:
                    Console(stderr=True).print("the workers refuse these settings: see the log lines above", highlight=False)
                    sys.exit(ExitCode.INPUT)
                if dead := stack.dead():
                    sys.exit(f"the {dead} ended by itself: see the log lines above")
    except typer.Exit as answered:
        sys.exit(answered.exit_code)
    except DidflowError as error:
        Console(stderr=True).print(f"[red]{error.code}[/]: {error}", highlight=False)
        sys.exit(exit_code(error))


def parser(settings: Settings) -> argparse.ArgumentParser:
    """Of its command line, with the settings as defaults."""
    made = parser_of(
        "didflow up",
        "Run everything here: an embedded Valkey (unless DIDFLOW_REDIS_URL is set), the workers, the consumer of"
        " business events, the HTTP API, the webhooks, and, without WAVIX_API_KEY, the sandbox.",
        "didflow up",
        "didflow up --sandbox --sandbox-port 8900 --processes 2",
    )
    made.add_argument(
        "--sandbox", action=argparse.BooleanOptionalAction, default=None, help="force the sandbox on or off, whether or not a key is set"
    )
    made.add_argument("--sandbox-port", type=port, default=8788, help="where the sandbox listens (%(default)s)")
    made.add_argument(
        "--http-port", type=port, default=None, help=f"where the HTTP API listens on loopback ({HTTP_PORT}, or any that is free)"
    )
    made.add_argument("--processes", type=whole(1, 64), default=settings.processes, help="worker processes (%(default)s)")
    made.add_argument("--threads", type=whole(1, 32), default=settings.threads, help="threads of each (%(default)s)")
    made.add_argument(
        "--reset",
        nargs="*",
        metavar="URL",
        help="delete the embedded ledger of this `up` first, after asking; for a real provider's ledger, name its base URL",
    )
    made.add_argument("--yes", "-y", action="store_true", help="with --reset: don't ask")
    made.add_argument("--json", action="store_true", help="print all addresses as one JSON document on stdout")
    return made


def _stack(settings: Settings, given: argparse.Namespace) -> LocalStack:
    with_sandbox = given.sandbox if given.sandbox is not None else not settings.all_accounts()
    return LocalStack(
        processes=given.processes,
        threads=given.threads,
        state_dir=settings.state_dir,
        redis_url=settings.redis_url.get_secret_value() if settings.redis_url else None,
        namespace=settings.namespace,
        with_requests=True,
        with_webhooks=True,
        http_ports=_http_ports(given.http_port),
        sandbox=_sandbox_arguments(settings, given) if with_sandbox else None,
    )


def _sandbox_arguments(settings: Settings, given: argparse.Namespace) -> tuple[str, ...]:
    """What the sandbox sold is kept beside the embedded ledger: it would seem to have lost the numbers of that ledger's jobs."""
    state = settings.state_dir / SANDBOX_FOLDER / SANDBOX_STATE if settings.redis_url is None else None
    return ("--port", str(given.sandbox_port), *(("--state", str(state)) if state is not None else ()))


def _http_ports(given: int | None) -> tuple[int, ...]:
    """Those to try, in this order; () where the extra `http` isn't installed."""
    if find_spec("fastapi") is None:
        return ()
    if given is not None:
        return (given,)
    try:
        with socket.create_server(("127.0.0.1", HTTP_PORT)):
            return (HTTP_PORT, 0)
    except OSError:
        return (0,)


def exports(stack: LocalStack, settings: Settings) -> dict[str, str]:
    """The variables by which another system reaches all this. Only the sandbox's key is one of them, and no URL with a password."""
    url = stack.redis_url or ""
    found = {} if _holds_secret(url) else {"DIDFLOW_REDIS_URL": url}
    found["DIDFLOW_NAMESPACE"] = settings.namespace
    if stack.sandbox_url:
        found |= {"WAVIX_BASE_URL": stack.sandbox_url, "WAVIX_API_KEY": SANDBOX_KEY}
    return found


def _holds_secret(url: str) -> bool:
    return shown_redis_url(url) != url or split_redis_url(url)[0].password is not None


def described(stack: LocalStack, settings: Settings) -> dict[str, object]:
    """Where everything is, for `--json`."""
    accounts = {} if stack.sandbox_url else settings.all_accounts()
    return {
        "redis": {"url": shown_redis_url(stack.redis_url or ""), "embedded": settings.redis_url is None},
        "namespace": settings.namespace,
        "state_dir": str(settings.state_dir),
        "sandbox": {"base_url": stack.sandbox_url, "api_key": SANDBOX_KEY} if stack.sandbox_url else None,
        "accounts": {name: {"base_url": account.base_url} for name, account in accounts.items()},
        "http": {"base_url": stack.http_url} if stack.http_url else None,
        "environment": exports(stack, settings),
    }


def print_addresses(console: Console, stack: LocalStack, settings: Settings) -> None:
    kept = "its numbers are kept" if settings.redis_url is None else "it forgets all its numbers when it stops"
    sandboxed = f"sandbox at {stack.sandbox_url}: its money is not real, and {kept}"
    real = ", ".join(f"{name} at {account.base_url}" for name, account in settings.all_accounts().items())
    http = f"{stack.http_url}, described at {stack.http_url}/docs" if stack.http_url else "not installed: pip install 'didflow[http]'"
    own, variables = own_command(), exports(stack, settings)
    console.print("[bold]didflow is up[/]  (Ctrl-C stops it)")
    lines = [
        f"  ledger   {'embedded Valkey' if settings.redis_url is None else 'DIDFLOW_REDIS_URL'}, namespace {settings.namespace}",
        f"  Wavix    {sandboxed if stack.sandbox_url else f'{real}, with the key that is set here'}",
        *([f"  console  {stack.http_url}/console/"] if stack.http_url else []),
        f"  HTTP     {http}",
        f'  try      {own} buy --country US --city "LOS ANGELES, CA" --quantity 2 --key order-1 --wait',
        "Commands in other shells of this user find all this by themselves. Another system needs",
        *(f"  export {name}={shlex.quote(value)}" for name, value in variables.items()),
        "A producer needs the first two: `Didflow.from_env()`. The others are for calls to the sandbox itself, and for further workers."
        if stack.sandbox_url
        else "and, for further workers, the key that is set here, which isn't shown.",
    ]
    if "DIDFLOW_REDIS_URL" not in variables:
        lines.insert(-1, "  # and DIDFLOW_REDIS_URL as it is set here, which isn't shown: it holds a password")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
