"""`didflow pool`: our own unused numbers, which purchases can use instead of buying."""

import typer

from didflow.client.sync.client import Didflow
from didflow.client.sync.number_pool import Pool
from didflow.terminal import options as given
from didflow.terminal.output import WholeWords, errors_shown, nothing_done, print_json, print_table
from didflow.terminal.tables import is_terminal
from producers.cli.option_groups import Listed, grouped

pool_app = typer.Typer(no_args_is_help=True, help="Show and return the pool's numbers, which `buy --reuse` assigns before it buys.")


@pool_app.command("list")
def list_(account: given.AccountName = "default", as_json: given.Json = False) -> None:
    """List the pool's numbers that are assigned to a purchase."""
    with errors_shown(as_json=as_json):
        found = Pool(Didflow.from_env(), account=account).handed_out()
        if as_json:
            print_json(found)
        elif found or not is_terminal():
            print_table(("number", "record id", "job"), [(one.number, one.record_id, one.job_id) for one in found], whole=3)
        else:
            WholeWords().print("no number of the pool is assigned")


@pool_app.command("return")
@grouped
def return_(
    *,
    listed: Listed,
    account: given.AccountName = "default",
    as_json: given.Json = False,
) -> None:
    """Return numbers to the pool. They can be assigned again once they have no destinations and no callback."""
    with errors_shown(as_json=as_json):
        named = listed.numbers()
        if not named:
            given.refuse("number", "name at least one")
        back = Pool(Didflow.from_env(), account=account).take_back(named)
        if as_json:
            print_json({"returned": back})
        else:
            WholeWords().print(f"{len(back)} of {len(named)} numbers are back" + (f": {' '.join(back)}" if back else ""))
        if not back:
            nothing_done("none of these numbers was assigned", as_json=as_json)
