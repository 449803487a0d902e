"""`python -m worker.operate.doctor`, which is `didflow doctor`: checks everything, and prints what to fix."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import redis
from rich.text import Text

from didflow.checks.check import Check, Verdict
from didflow.checks.ledger import check_ledger
from didflow.contract.errors import DidflowError, InvalidSettings, ServiceUnavailable
from didflow.contract.exit_codes import ExitCode
from didflow.contract.printable import printable
from didflow.ledger.address import redis_url
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.logs import configure_logs
from didflow.settings import Settings, load_settings
from didflow.terminal.argument_types import parser_of
from didflow.terminal.tables import print_table
from worker.operate.account_checks import check_accounts
from worker.operate.account_overlap import check_overlap
from worker.operate.beside_up import beside_up
from worker.process.redis_durability import check_redis

COLOURS: dict[Verdict, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


def examine(settings: Settings) -> Iterator[Check]:
    """All checks, in order. The first that fails for lack of Redis is the last of those that need it."""
    ledger = None
    try:
        client = connect(redis_url(settings))
        yield from _redis(client, settings)
        ledger = Ledger(client, settings.namespace)
        yield from check_ledger(ledger, settings)
    except ServiceUnavailable as error:
        ledger = None
        yield Check("redis", "fail", str(error))
    yield from check_accounts(settings, ledger)
    yield from check_overlap(settings, ledger)


def _redis(client: redis.Redis, settings: Settings) -> Iterator[Check]:
    for finding in check_redis(client):
        bad: Verdict = "warn" if settings.unsafe_redis else "fail"
        yield Check(finding.code, "ok" if finding.ok else bad, finding.sentence)


def parser() -> ArgumentParser:
    """Of its command line."""
    examples = ("didflow doctor", "didflow doctor --json")
    made = parser_of("didflow doctor", "Check Redis, accounts and workers, and print what to fix.", *examples)
    made.add_argument("--json", action="store_true", help="print one JSON document")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit code 0 if nothing fails, 1 if something does, 2 for wrong settings, 5 if Redis doesn't answer."""
    as_json = parser().parse_args(arguments).json
    configure_logs(level="critical")  # The checks say it all.
    try:
        checks = list(examine(beside_up(load_settings())))
    except DidflowError as error:
        checks = [Check("settings" if isinstance(error, InvalidSettings) else error.code, "fail", str(error))]
    # Texts from the provider or the ledger end up on a terminal.
    checks = [replace(check, name=printable(check.name), message=printable(check.message)) for check in checks]
    if as_json:
        sys.stdout.write(json.dumps([asdict(check) for check in checks], indent=2) + "\n")
    else:
        _print(checks)
    sys.exit(_code(checks))


def _code(checks: Sequence[Check]) -> ExitCode:
    failed = {check.name for check in checks if check.verdict == "fail"}
    if not failed:
        return ExitCode.DONE
    return ExitCode.INPUT if "settings" in failed else ExitCode.UNREACHABLE if "redis" in failed else ExitCode.JOB


def _print(checks: Sequence[Check]) -> None:
    rows = [(check.name, Text(check.verdict, style=COLOURS[check.verdict]), check.message) for check in checks]
    print_table(("check", "verdict", "what"), rows, whole=2)


if __name__ == "__main__":
    main()
