"""`python -m worker.wavix.sandbox`: runs a sandbox until it is stopped."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from didflow.parent_process import end_with_parent
from didflow.settings import variable
from didflow.terminal.argument_types import parser_of, port, real, usd, whole
from didflow.terminal.output import clean
from worker.wavix.sandbox.options import SANDBOX_KEY, SandboxOptions
from worker.wavix.sandbox.profiles import PROFILES, Profile
from worker.wavix.sandbox.saved_world import UnreadableState
from worker.wavix.sandbox.server import Sandbox


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. The first line of output says where, so that a parent can read it."""
    known = parser()
    given = known.parse_args(arguments)
    if "list" in given.profile:
        print(described())
        return
    try:
        options = options_from(given)
    except ValueError as error:
        known.error(str(error))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    end_with_parent(stop.set)
    try:
        sandbox = Sandbox(options, host=given.host, port=given.port, state=given.state)
    except UnreadableState as error:
        sys.exit(f"the sandbox's state {clean(str(given.state))} can't be used: {error}. Delete it (`didflow up --reset` does)")
    except (OSError, UnicodeError) as error:  # A host that can't be a name is a UnicodeError.
        why = (error.strerror if isinstance(error, OSError) else None) or "no such host"
        sys.exit(f"the sandbox can't listen on {given.host}:{given.port} ({why}): another port, or 0 for any, with --port")
    with sandbox:
        print(f"sandbox listening on {sandbox.url} key {SANDBOX_KEY}", flush=True)
        stop.wait()


def options_from(given: argparse.Namespace) -> SandboxOptions:
    """What was requested; a flag of its own goes before a profile. Raises ValueError for profiles that don't fit together."""
    options = SandboxOptions(
        accounts={"default": SANDBOX_KEY} | dict(given.account),
        more_keys={key: name for name, key in given.more_key},
        balance_usd=given.balance,
        latency_ms=given.latency_ms,
        jitter_ms=given.jitter_ms,
        rate_limit=given.rate_limit,
        numbers_per_city=given.numbers_per_city,
        more_trunks=tuple(given.trunk),
        seed=given.seed,
    )
    seconds = {"read_lag_s": given.read_lag, "apply_late_s": given.apply_late}
    return replace(options.with_profiles(*given.profile), **{name: value for name, value in seconds.items() if value is not None})


def parser() -> argparse.ArgumentParser:
    """Of its command line."""
    made = parser_of(
        "didflow sandbox",
        "A Wavix on loopback, for trying and testing: both dialects, own stock and money, faults on demand.",
        "didflow sandbox --port 0 --balance 20",
        "didflow sandbox --profile list",
    )
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    made.add_argument("--port", type=port, default=8788, help="port to listen on; 0 picks one (%(default)s)")
    made.add_argument(
        "--account", action="append", default=[], metavar="NAME=KEY", type=_pair, help="an additional account; may be repeated"
    )
    made.add_argument("--more-key", action="append", default=[], metavar="NAME=KEY", type=_pair, help="a second key of an account")
    made.add_argument("--balance", type=usd, default=Decimal("1000.00"), help="initial balance of each account, USD (%(default)s)")
    made.add_argument("--latency-ms", type=real(0, 3_600_000), default=0, help="minimum latency of every call (%(default)s)")
    made.add_argument("--jitter-ms", type=real(0, 3_600_000), default=0, help="maximum additional latency (%(default)s)")
    made.add_argument(
        "--rate-limit", type=real(0.001, 1_000_000), default=None, help="requests per second and account before 429 (no limit)"
    )
    made.add_argument("--read-lag", type=real(0, 86_400), default=None, help="seconds by which lists lag (0)")
    made.add_argument("--apply-late", type=real(0, 86_400), default=None, help="seconds until a change of destinations shows (0)")
    made.add_argument(
        "--profile", action="append", default=[], metavar="NAME", help="a variation of the provider; may be repeated; `list` prints all"
    )
    made.add_argument("--numbers-per-city", type=whole(0, 9_999), default=200, help="size of the stock (%(default)s)")
    made.add_argument(
        "--trunk", action="append", default=[], metavar="ID", type=whole(1, 2**63 - 1), help="a further SIP trunk; may be repeated"
    )
    made.add_argument("--state", type=Path, metavar="FILE", help="keep what was sold in this file, for the next start (forgotten)")
    made.add_argument("--seed", type=whole(-(2**63), 2**63), default=1, help="seed of the stock (%(default)s)")
    return made


def described() -> str:
    """All profiles, one a line."""
    width = max(map(len, PROFILES))
    return "\n".join(f"{name:{width}}  {profile.says}{_needs(profile)}" for name, profile in PROFILES.items())


def _needs(profile: Profile) -> str:
    needed = " ".join(f"{variable(name)}={value}" for name, value in profile.settings.items())
    return f" Workers need {needed}." if needed else ""


def _pair(text: str) -> tuple[str, str]:
    name, _, key = text.partition("=")
    if not name or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=KEY")
    return name, key


if __name__ == "__main__":
    main()
