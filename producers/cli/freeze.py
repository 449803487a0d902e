"""`didflow freeze` and `unfreeze`: stop purchases and releases, and let them continue."""

from collections.abc import Sequence
from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.contract.exit_codes import ExitCode
from didflow.contract.freezes import Freeze, FreezeReport
from didflow.terminal import options as given
from didflow.terminal.output import WholeWords, clean, errors_shown, nothing_done, plain, print_json

Account = Annotated[str | None, typer.Option(help="only this account; none: all accounts", show_default=False)]


def freeze(
    reason: Annotated[str, typer.Option(help="why: it is shown wherever the freeze is")],
    account: Account = None,
    timeout: given.Timeout = 60.0,
    as_json: given.Json = False,
) -> None:
    """Stop purchases and releases, of one account or of all, until `didflow unfreeze`. Reroutes and failbacks continue.

    Ends once no checkout and no release can begin any more. Exit code 3: calls that were allowed before are still under way.
    """
    with errors_shown(as_json=as_json):
        report = Didflow.from_env().freeze(reason, account=account, timeout_s=timeout)
        if as_json:
            print_json(plain(report))
        else:
            _show(report)
        if report.under_way:
            raise typer.Exit(ExitCode.TIMEOUT)


def unfreeze(
    account: Account = None,
    reason: Annotated[str, typer.Option(help="why it is lifted")] = "",
    as_json: given.Json = False,
) -> None:
    """Lift a freeze: the jobs that waited for it continue. Without --account it lifts the freeze of all accounts.

    Exit code 6 if there is none.
    """
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env()
        lifted = didflow.unfreeze(reason, account=account)
        left = didflow.freezes()
        if as_json:
            print_json({"lifted": plain(lifted) if lifted else None, "in_force": [plain(one) for one in left]})
        else:
            _show_lifted(lifted, left)
        if lifted is None:
            nothing_done("there is no such freeze", as_json=as_json)


def _show_lifted(lifted: Freeze | None, left: Sequence[Freeze]) -> None:
    if lifted:
        WholeWords().print(f"lifted: {clean(lifted.past_sentence)}", markup=False)
    for one in left:
        WholeWords(stderr=True).print(f"still in force: {clean(one.sentence)}", markup=False, style="yellow")


def _show(report: FreezeReport) -> None:
    before = "" if report.is_new else "it was in force already: "
    WholeWords().print(f"{before}{clean(report.freeze.sentence)}", markup=False)
    if report.under_way:
        jobs = clean(" ".join(report.under_way[:10]))
        WholeWords(stderr=True).print(f"allowed before it, and still under way: {jobs}", markup=False, style="yellow")
    else:
        WholeWords().print(
            "no purchase and no release begins any more; jobs that wait for it continue after `didflow unfreeze`", style="dim"
        )
