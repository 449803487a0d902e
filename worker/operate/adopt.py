"""`python -m worker.operate.adopt`, which is `didflow adopt`: say that the ledger belongs to another address or account from now on."""

import sys
from typing import Annotated

import typer

from didflow.contract.errors import InvalidRequest, InvalidSettings, ServiceUnavailable
from didflow.contract.provider import ReadFailed
from didflow.ledger.address import redis_url
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.ledger.provider_identity import claim_ledger, noted_provider
from didflow.logs import configure_logs
from didflow.settings import load_settings
from didflow.terminal import options as given
from didflow.terminal.examples import HELP, as_lines
from didflow.terminal.output import errors_shown, print_json
from worker.attempt.dialects import finder_of
from worker.attempt.provider_clients import client_of, pace_from
from worker.attempt.rate_limiter import SharedRateLimiter
from worker.process.provider_identity import look_at

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=HELP)


@app.command(epilog=as_lines("Examples:", "didflow adopt --account default"))
def adopt(
    account: given.AccountName = "default",
    yes: Annotated[bool, typer.Option("--yes", help="don't ask for confirmation")] = False,
    as_json: given.Json = False,
) -> None:
    """Say that the ledger's jobs of this account belong to the provider account of these settings.

    For an account that has moved: another base URL of the same account, or one whose numbers were all replaced outside didflow. For
    another account use another namespace: its jobs, keys and numbers are not these. The workers must be stopped.

    Exit codes: 0 done, 2 bad input, 5 Redis or the provider can't be asked.
    """
    with errors_shown(as_json=as_json):
        settings = load_settings()
        known = settings.account(account)
        if known is None:
            raise InvalidSettings(f"no account {account!r} here: set WAVIX_API_KEY for `default`, or name it in DIDFLOW_ACCOUNTS")
        ledger = Ledger(connect(redis_url(settings)), settings.namespace)
        if workers := ledger.workers():
            what = f"{len(workers)} worker processes are alive: stop them first"
            raise InvalidRequest(what, (("workers", what),))
        note, server = noted_provider(ledger, account), known.server
        gate = SharedRateLimiter(ledger, account, pace_from(settings), None, emergency=False)
        client = client_of(known, finder_of(account, known, None), timeout_s=settings.http_timeout, admission=gate)
        try:
            seen = look_at(client, note, ledger)
        except ReadFailed as error:
            raise ServiceUnavailable(f"the provider can't be asked ({error}): `didflow doctor`") from None
        finally:
            client.close()
        before = f"{note.server}, with {len(note.records)} of its numbers noted" if note else "no provider yet"
        now = f"{server}, which shows {len(seen.records)} numbers" + (", none of them noted" if seen.is_other else "")
        if not yes:
            if not sys.stdin.isatty():
                what = "give --yes: there is no terminal to confirm on"
                raise InvalidRequest(what, (("--yes", what),))
            typer.confirm(f"The jobs of {account!r} belong to {before}. From now on: {now}?", abort=True, err=True)
        known_before = note.server if note else ""
        claimed = ledger.run(claim_ledger(account, server, seen.records, how="adopt", actor=settings.acting, seen=known_before))
        if not claimed.ours:
            what = f"another person has assigned the ledger to {claimed.server} meanwhile: look again before you adopt"
            raise InvalidRequest(f"{account}: {what}", (("account", what),))
        if as_json:
            print_json({"account": account, "before": note.server if note else None, "server": server, "records": len(seen.records)})
        else:
            typer.echo(f"{account}: {before} -> {now}")


def main() -> None:
    """Run it; see `adopt` for the exit codes."""
    configure_logs(level="critical")
    app(prog_name="didflow adopt")


if __name__ == "__main__":
    main()
