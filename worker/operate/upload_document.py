"""`python -m worker.operate.upload_document`, which is `didflow documents upload`: hand a document in, from where the account's key is.

The file goes from here to the provider and nowhere else: not into Redis, not into a log, an event or an error.
"""

import os
import stat
import time
from pathlib import Path
from typing import Annotated

import typer

from didflow.client.document_jobs import numbers_that_need
from didflow.contract.audit import reason_given
from didflow.contract.document_file import MAX_BYTES, Paper, read_paper
from didflow.contract.errors import InvalidRequest, InvalidSettings, ServiceUnavailable
from didflow.contract.numbers import parse_e164
from didflow.contract.provider import ReadFailed
from didflow.ledger.address import redis_url
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.ledger.uploads import note_upload
from didflow.logs import configure_logs
from didflow.settings import Settings, load_settings
from didflow.terminal import options as given
from didflow.terminal.output import ExitCode, WholeWords, errors_shown, print_json, print_table
from worker.attempt.dialects import finder_of
from worker.attempt.patience import UntilStopped
from worker.attempt.provider_clients import client_of, pace_from
from worker.attempt.rate_limiter import SharedRateLimiter
from worker.jobs.documents.upload import GOOD, Fate, HandedIn, hand_in
from worker.operate.beside_up import beside_up
from worker.process.provider_identity import check_server
from worker.wavix.request_gate import with_patience

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def upload(
    kind: Annotated[str, typer.Option("--type")],
    file: Annotated[Path, typer.Option()],
    number: given.Numbers = None,
    numbers_file: given.NumbersFile = None,
    job: Annotated[str | None, typer.Option()] = None,
    account: given.AccountName = "default",
    reason: given.Reason = None,
    as_json: given.Json = False,
) -> None:
    """See `producers.cli.documents`, whose options these are."""
    with errors_shown(as_json=as_json):
        settings = beside_up(load_settings())
        ledger = Ledger(connect(redis_url(settings)), settings.namespace)
        ledger.commands = ledger.commands.acting(settings.acting, "" if reason is None else reason_given(reason), "")
        numbers, paper = given.together(
            lambda: _numbers(given.listed_numbers(number, numbers_file), job, kind, account, ledger), lambda: _paper(kind, file)
        )
        handed_in = _hand_in(settings, ledger, account, numbers, paper)
        if as_json:
            print_json(handed_in)
        else:
            _print(handed_in, paper)
        if any(one.fate not in GOOD for one in handed_in):
            raise typer.Exit(ExitCode.JOB)


def _hand_in(settings: Settings, ledger: Ledger, account: str, numbers: tuple[str, ...], paper: Paper) -> tuple[HandedIn, ...]:
    known = settings.account(account)
    if known is None:
        raise InvalidSettings(f"no account {account!r} here: set WAVIX_API_KEY for `default`, or name it in DIDFLOW_ACCOUNTS")
    check_server(ledger, account, known)
    gate = SharedRateLimiter(ledger, account, pace_from(settings), None, emergency=False)
    client = client_of(known, finder_of(account, known, ledger), timeout_s=settings.http_timeout, admission=gate)
    # Before anything is sent: no crash leaves an upload without its entry in the audit.
    ledger.perform(note_upload(ledger.commands, account, paper.kind, numbers))
    try:
        with with_patience(UntilStopped()):
            return hand_in(numbers, paper, client, settle_s=settings.settle_seconds, now_s=time.monotonic, pause=time.sleep)
    except ReadFailed as error:
        message = f"the provider can't be asked ({error}): run it again; it checks what is there before it sends anything"
        raise ServiceUnavailable(message) from None
    finally:
        client.close()


def _paper(kind: str, file: Path) -> Paper:
    try:
        # Without O_NONBLOCK opening a pipe waits for a writer.
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise _refused("is no regular file")
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refused(f"can't be read ({type(error).__name__})") from None
    return read_paper(kind, content)


def _refused(what: str) -> InvalidRequest:
    return InvalidRequest(f"file: {what}", (("file", what),))


def _numbers(texts: tuple[str, ...], job_id: str | None, kind: str, account: str, ledger: Ledger) -> tuple[str, ...]:
    """Those that are named, or those of the job that were seen to need this type."""
    if bool(texts) == (job_id is not None):
        what = "name the numbers, or a job: one of both"
        raise InvalidRequest(f"number: {what}", (("number", what),))
    if job_id is None:
        return tuple(dict.fromkeys(map(_number, texts)))
    view = ledger.get(job_id)
    if view.account != account:
        what = f"{job_id} belongs to account {view.account!r}: name it with --account"
        raise InvalidRequest(f"job: {what}", (("job", what),))
    return numbers_that_need(view, kind)


def _number(text: str) -> str:
    try:
        return parse_e164(text)
    except ValueError as error:
        raise InvalidRequest(f"number: {error}", (("number", str(error)),)) from None


def _print(handed_in: tuple[HandedIn, ...], paper: Paper) -> None:
    rows = [(one.number, paper.kind, one.fate.value.replace("_", " "), one.words) for one in handed_in]
    print_table(("number", "document", "what became of it", "remark"), rows)
    if any(one.fate in (Fate.UNCLEAR, Fate.NOT_SENT) for one in handed_in):
        console = WholeWords()
        console.print("run it again; it checks what is there before it sends anything", style="dim")


def main() -> None:
    """Run it; exit code 0: nothing is left to do, 1: something is, 2: bad input, 5: Redis or the provider can't be asked."""
    configure_logs(level="critical")  # What it prints says it all.
    app(prog_name="didflow documents upload")


if __name__ == "__main__":
    main()
