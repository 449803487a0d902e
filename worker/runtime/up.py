"""`python -m worker.runtime.up`, which is `didflow up`: everything on this machine, until Ctrl-C."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from rich.console import Console

from worker.arguments import parser_of, port, whole
from worker.contract.errors import DidflowError
from worker.contract.exit_codes import ExitCode, exit_code
from worker.logs import configure_logs
from worker.runtime.local_stack import LocalStack
from worker.runtime.own_command import own_command
from worker.settings import Settings, load_settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit code 0 after Ctrl-C or SIGTERM, 2 for settings that the workers refuse, 5 if a part doesn't come up, 1 if one ends by itself."""
    try:
        settings = load_settings()
        given = parser(settings).parse_args(arguments)
        configure_logs(log_format=settings.log_format, level=settings.log_level)
        stack = _stack(settings, given)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        with stack:
            _tell(Console(stderr=True), stack)
            while not stop.wait(0.5):
                if stack.refused:
                    Console(stderr=True).print("the workers refuse these settings: see the log lines above", highlight=False)
                    sys.exit(ExitCode.INPUT)
                if dead := stack.dead():
                    sys.exit(f"the {dead} ended by itself: see the log lines above")
    except DidflowError as error:
        Console(stderr=True).print(f"[red]{error.code}[/]: {error}", highlight=False)
        sys.exit(exit_code(error))


def parser(settings: Settings) -> argparse.ArgumentParser:
    """Of its command line, with the settings as defaults."""
    made = parser_of(
        "didflow up",
        "Run everything here: an embedded Valkey (unless DIDFLOW_REDIS_URL is set), the workers, the consumer of"
        " business events, and, without WAVIX_API_KEY, the sandbox.",
        "didflow up",
        "didflow up --sandbox --sandbox-port 8900 --processes 2",
    )
    made.add_argument("--sandbox", action=argparse.BooleanOptionalAction, default=None, help="with or without, whatever the key")
    made.add_argument("--sandbox-port", type=port, default=8788, help="where the sandbox listens (%(default)s)")
    made.add_argument("--processes", type=whole(1, 64), default=settings.processes, help="worker processes (%(default)s)")
    made.add_argument("--threads", type=whole(1, 32), default=settings.threads, help="threads of each (%(default)s)")
    return made


def _stack(settings: Settings, given: argparse.Namespace) -> LocalStack:
    with_sandbox = given.sandbox if given.sandbox is not None else not settings.all_accounts()
    return LocalStack(
        processes=given.processes,
        threads=given.threads,
        state_dir=settings.state_dir,
        redis_url=settings.redis_url.get_secret_value() if settings.redis_url else None,
        with_requests=True,
        sandbox=("--port", str(given.sandbox_port)) if with_sandbox else None,
    )


def _tell(console: Console, stack: LocalStack) -> None:
    console.print("[bold]didflow is up[/]  (Ctrl-C stops it)")
    embedded = stack.redis_url is not None and stack.redis_url.startswith("unix")
    sandboxed = f"sandbox at {stack.sandbox_url}: its money is not real, and it forgets all its numbers when it stops"
    wavix = sandboxed if stack.sandbox_url else "the account of WAVIX_API_KEY"
    console.print(f"  ledger   {'embedded Valkey' if embedded else 'DIDFLOW_REDIS_URL'}\n  Wavix    {wavix}", highlight=False)
    example = f'{own_command()} buy --country US --city "LOS ANGELES, CA" --quantity 2 --key order-1 --wait'
    console.print(f"  try      {example}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
