"""`didflow documents`: list missing documents, upload them, follow numbers."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from didflow.contract.requests import FollowDocuments
from didflow.module_command import module_command
from didflow.terminal import completion
from didflow.terminal import options as given
from didflow.terminal.output import errors_shown
from producers.cli.option_groups import Labels, Listed, grouped
from producers.cli.submit import submit

documents_app = typer.Typer(no_args_is_help=True, help="List the documents that numbers need, upload them, and follow their review.")

UPLOADER = "worker.operate.upload_document"

JobOption = Annotated[
    str | None, typer.Option("--job", help="a purchase: the numbers that it bought", show_default=False, autocompletion=completion.jobs)
]


@documents_app.command("missing")
@grouped
def missing(
    *,
    listed: Listed,
    record_id: given.RecordIds = None,
    job: JobOption = None,
    account: given.AccountName = "default",
    timeout: given.Timeout = 300.0,
    as_json: given.Json = False,
) -> None:
    """List which documents each number still needs, and the state of their review."""
    with errors_shown(as_json=as_json):
        request = _request(listed.numbers(), record_id, job).model_copy(update={"dry_run": True})
        submit(request, Labels(account=account, timeout=timeout), as_json=as_json)


@documents_app.command("follow")
@grouped
def follow(
    *,
    listed: Listed,
    record_id: given.RecordIds = None,
    job: JobOption = None,
    deadline: Annotated[
        str | None, typer.Option("--deadline", help="stop after: 14d, or a time with zone; default: the setting", show_default=False)
    ] = None,
    labels: Labels,
    as_json: given.Json = False,
) -> None:
    """Follow numbers until all take calls, with an event for every change. A purchase does this by itself, as job PURCHASE-documents."""
    with errors_shown(as_json=as_json):
        request, until, _ = given.together(
            lambda: _request(listed.numbers(), record_id, job),
            lambda: given.moment(deadline, "deadline"),
            labels.check,
        )
        request = request.model_copy(update={"deadline": until})
        submit(request, labels, as_json=as_json)


@documents_app.command("upload")
@grouped
def upload(
    *,
    kind: Annotated[str, typer.Option("--type", help="id | address | localaddress: the document's type")],
    file: Annotated[Path, typer.Option(help="PDF, PNG, JPEG, TIFF or BMP, 10 MB at most; no password, no digital signature")],
    listed: Listed,
    job: Annotated[str | None, typer.Option("--job", help="for all numbers in this job's result that need it", show_default=False)] = None,
    account: given.AccountName = "default",
    reason: given.Reason = None,
    as_json: given.Json = False,
) -> None:
    """Upload a document for review. Needs the account's key; the file goes to the provider and nowhere else.

    Looks first, and sends nothing for a number that has such a document already: running it again is always safe.
    Exit codes: 0 nothing is left to do, 1 something is, 2 bad input, 5 Redis or the provider can't be asked.
    """
    passed_on = [("--type", kind), ("--file", str(file)), ("--account", account)]
    passed_on += [("--number", one) for one in listed.number or ()]
    passed_on += [("--numbers-file", str(listed.numbers_file))] if listed.numbers_file is not None else []
    passed_on += [("--job", job)] if job is not None else []
    passed_on += [("--reason", reason)] if reason is not None else []
    sys.stdout.flush()
    # It becomes another process, as the roles do: nothing that the producers' side imports can reach the provider.
    options = [f"{name}={value}" for name, value in passed_on] + (["--json"] if as_json else [])
    os.execv(sys.executable, module_command(UPLOADER, *options))


def _request(numbers: tuple[str, ...], record_ids: list[int] | None, job_id: str | None) -> FollowDocuments:
    return FollowDocuments.model_validate({"numbers": numbers, "record_ids": tuple(record_ids or ()), "job_id": job_id})
