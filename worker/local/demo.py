"""`python -m worker.local.demo`, which is `didflow demo`: the main job on real servers, step by step.

An embedded Valkey, the sandbox and two worker processes; jobs through the queue, HTTP to the sandbox; at the end the money that
didflow reports is compared with the money that the sandbox took.
"""

import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from didflow import Destination, Didflow, Failback, Job, JobView, Quote, Release, Reroute, Rung, SearchAndBuy, WrongJob
from didflow.contract.document_file import described
from didflow.contract.errors import DidflowError
from didflow.contract.exit_codes import ExitCode
from didflow.contract.requests import Request
from didflow.contract.results import NumberResult, by_kind
from didflow.ledger.connection import connect
from didflow.terminal.argument_types import parser_of
from didflow.terminal.own_command import own_command
from worker.local import demo_http
from worker.local.demo_http import HttpDemo
from worker.local.stack import LocalStack
from worker.wavix.sandbox.admin import SandboxAdmin

NAMESPACE = "demo"
#: Short, because the sandbox's lists don't lag by default.
ENVIRONMENT = {
    "DIDFLOW_NAMESPACE": NAMESPACE,
    "DIDFLOW_SETTLE_SECONDS": "1",
    "DIDFLOW_RATE_LIMIT": "50",
    "DIDFLOW_STOCK_LOOK_SECONDS": "0.5",
    "DIDFLOW_LOG_LEVEL": "warning",
    **demo_http.ENVIRONMENT,
}
JOB_WITHIN_S = 40.0


class Demo:
    """The jobs in the order of a customer's life, each waited for and printed."""

    def __init__(self, didflow: Didflow, sandbox: SandboxAdmin, console: Console, http_url: str | None) -> None:
        """`http_url` None: the extra `http` isn't installed."""
        self._didflow, self._sandbox, self._console, self._http_url = didflow, sandbox, console, http_url
        self._done: list[tuple[str, JobView]] = []

    def run(self) -> bool:
        """True if every job came out as it should and the money agrees."""
        trunk, pbx = Destination.trunk(144, "32882"), Destination.sip("sip:pbx@example.net")
        los_angeles = SearchAndBuy(
            country="US", city=("LOS ANGELES, CA",), quantity=3, max_monthly_usd=Decimal("2.50"), destinations=(trunk,)
        )
        self._catalogue()
        bought = self._run("buy 3 in Los Angeles, at most 2.50 a month", los_angeles, "order-4711")
        self._same_again(los_angeles, "order-4711", bought)
        numbers = numbers_of(bought)
        moved = self._run("failover: reroute them to a SIP URI", Reroute(numbers=numbers, destinations=(pbx,)), "failover-1")
        self._run("and back: each number gets the route that it had", Failback(job_id=moved.id), "failback-1")
        self._run("buy 1 in Germany, which needs documents", SearchAndBuy(country="DE", documents="allow_inactive"), "order-4712")
        nowhere = SearchAndBuy(country="US", region="California", quantity=5, max_monthly_usd=Decimal("0.10"))
        self._run("buy 5 for at most 0.10 a month: none is that cheap", nowhere, "order-4713")
        self._sandbox.add_fault("checkout", "act_and_drop")
        self._console.print("\n[yellow]the provider will now do the next checkout and lose its answer[/]")
        toronto = SearchAndBuy(country="CA", city=("TORONTO, ON",), quantity=2)
        unlucky = self._run("buy 2 in Toronto, with the answer lost", toronto, "order-4714")
        self._standing()
        self._quoted()
        self._called_off(numbers_of(unlucky))
        self._run("release the two Toronto numbers", Release(numbers=numbers_of(unlucky)), "churn-1")
        self._over_http()
        return self._summary()

    def _over_http(self) -> None:
        """What a system that isn't written in Python does."""
        if self._http_url is None:
            self._console.print("\nthe HTTP API isn't installed: pip install 'didflow[http]'", highlight=False)
        else:
            job_id = HttpDemo(self._http_url, self._console).run()
            self._done.append(("buy 1 in San Diego over HTTP", self._didflow.get(job_id)))

    def _catalogue(self) -> None:
        """What an onboarding page shows before anything is bought."""
        offers = self._didflow.catalogue.offers("US", "LOS ANGELES, CA", region="California", max_monthly_usd="2.50")
        self._console.print("[bold]the catalogue: numbers in Los Angeles, at most 2.50 a month[/]")
        for one in offers.items[:3]:
            self._console.print(
                f"  {one.number:<16}{one.setup_usd} + {one.monthly_usd} a month  {'SMS' if one.sms else 'no SMS'}", highlight=False
            )
        whole = "complete" if offers.complete else f"may lack something: {offers.gaps}"
        self._console.print(f"  {len(offers.items)} of {offers.seen} fit, {whole}", style="green")

    def _standing(self) -> None:
        """A standing order: the city has nothing, then one number, then enough."""
        sold = self._sandbox.order("sell_out", city="BUFFALO, NY")
        cheap = Rung(name="as cheap elsewhere", region="New York", max_monthly_usd=Decimal("0.10"))
        ladder = (Rung(name="Buffalo", city=("BUFFALO, NY",)), cheap)
        order = SearchAndBuy(country="US", ladder=ladder, quantity=2, wait_until=datetime.now(UTC) + timedelta(minutes=10))
        job = self._submit("a standing order for 2 in Buffalo, which is sold out; good for ten minutes", order, "order-4715")
        self._until_looked(job, 1)
        self._console.print("  waits for stock, nothing is in the cart; [yellow]now one number comes[/], which is not enough")
        self._sandbox.order("restock", numbers=sold[:1])
        self._until_looked(job, 3)
        self._console.print("  still waits; [yellow]now there are more[/]")
        self._sandbox.order("restock", numbers=sold[1:5])
        view = self._ended("the standing order, filled when there were 2", job)
        for rung in view.result.search.rungs if view.result and view.result.search else ():
            refusals = "".join(f", {count} refused: {kind}" for kind, count in by_kind(rung.refused).items())
            self._console.print(f"  rung {rung.rung} {rung.name}: {rung.seen} seen, {rung.bought} bought{refusals}")

    def _until_looked(self, job: Job, times: int) -> None:
        """Until the standing order has found too few so often."""
        self._until(lambda: sum(step.name == "looked" for step in self._didflow.explain(job.id)) >= times)

    def _until(self, met: Callable[[], bool]) -> None:
        ends_s = time.monotonic() + JOB_WITHIN_S
        while not met() and time.monotonic() < ends_s:
            time.sleep(0.05)

    def _called_off(self, numbers: tuple[str, ...]) -> None:
        """A customer leaves: a release with a grace period, the numbers parked meanwhile. He comes back, and so do their routes."""
        parking = (Destination.sip("sip:goodbye@example.net"),)
        leaving = Release(numbers=numbers, grace=timedelta(days=7), parking=parking, expected_reference="demo")
        job = self._submit("a customer leaves: release in seven days, parked until then", leaving, "churn-0")
        self._until(lambda: self._didflow.get(job.id).reason == "grace")
        self._console.print("  parked, and counts down; [yellow]the customer comes back[/]")
        self._didflow.cancel(job.id)
        self._ended("the release for the customer who came back: called off", job)

    def _quoted(self) -> None:
        """A quote that is kept, and one that can't be: by then the number costs more."""
        one = SearchAndBuy(country="US", city=("MIAMI, FL",))
        quote = self._quote_of(one)
        self._console.print(f"\n[bold]buy 1 in Miami as quoted: {quote.setup_usd} + {quote.monthly_usd} a month[/]", highlight=False)
        self._ended("buy 1 in Miami as quoted", self._didflow.submit(quote=quote, idempotency_key="order-4716", reference="demo"))
        first, *_ = self._sandbox.order("sell_out", city="MIAMI, FL")
        self._sandbox.order("restock", numbers=[first])
        quote = self._quote_of(one)
        self._sandbox.order("set_fees", number=first, setup_usd="0.50", monthly_usd="9.00")
        self._console.print("\n[bold]another quote, and before it is ordered the number gets dearer[/]")
        self._ended("as quoted, but it is dearer now", self._didflow.submit(quote=quote, idempotency_key="order-4717", reference="demo"))

    def _quote_of(self, request: SearchAndBuy) -> Quote:
        asked = self._didflow.submit(request.model_copy(update={"dry_run": True}), reference="demo")
        view = self._didflow.wait(asked.id, JOB_WITHIN_S)
        if view.result is None or view.result.quote is None:
            raise WrongJob(f"job {view.id} gave no quote: {view.error}")
        return view.result.quote

    def _run(self, title: str, request: Request, key: str) -> JobView:
        return self._ended(title, self._submit(title, request, key))

    def _submit(self, title: str, request: Request, key: str) -> Job:
        self._console.print(f"\n[bold]{title}[/]")
        job = self._didflow.submit(request, idempotency_key=key, reference="demo")
        self._console.print(f"  submitted   {job.id}  key {key}", style="dim", highlight=False)
        return job

    def _ended(self, title: str, job: Job) -> JobView:
        began_s = time.monotonic()
        view = self._didflow.wait(job.id, JOB_WITHIN_S)
        for number in view.result.numbers if view.result else ():
            self._console.print(f"  {number.number:<16}{outcome_text(number)}", highlight=False)
        why = f"  {view.error.message}" if view.error else ""
        self._console.print(Text(f"  {view.state.value} in {time.monotonic() - began_s:.2f} s{why}", style=colour(view)))
        self._done.append((title, view))
        return view

    def _same_again(self, request: Request, key: str, first: JobView) -> None:
        again: Job = self._didflow.submit(request, idempotency_key=key, reference="demo")
        verdict = "the same job, nothing was bought" if again.id == first.id and not again.is_new else "[red]ANOTHER JOB[/]"
        self._console.print(f"\n[bold]submit the same order once more[/]\n  {again.id}: {verdict}", highlight=False)

    def _summary(self) -> bool:
        table = Table(title="\njobs", title_justify="left", title_style="bold")
        for heading in ("job", "state", "numbers", "attempts"):
            table.add_column(heading)
        table.add_column("charged USD", justify="right")
        charged = Decimal(0)
        for title, view in self._done:
            totals = view.result.totals if view.result else None
            if totals is None:
                continue
            charged += totals.charged_usd
            state = Text(view.state.value, style=colour(view))
            table.add_row(title, state, f"{totals.done} of {totals.requested}", str(view.attempt), str(totals.charged_usd))
        self._console.print(table)
        taken = self._sandbox.charged_usd()
        equal = charged == taken
        words = "equal to the cent" if equal else "NOT EQUAL"
        self._console.print(f"didflow reports {charged} USD, the sandbox's own ledger says {taken} USD: {words}", highlight=False)
        expected = ["succeeded"] * 4 + ["failed"] + ["succeeded"] * 3 + ["failed", "cancelled", "succeeded"]
        expected += ["succeeded"] * (self._http_url is not None)
        return equal and self._inventory() and [view.state.value for _, view in self._done] == expected

    def _inventory(self) -> bool:
        """The account's numbers, as the inventory shows them; whether they are those that the sandbox says."""
        inventory = self._didflow.inventory
        shown, totals = list(inventory.numbers()), inventory.totals(renewal_days=40)
        equal = {one.number for one in shown} == {f"+{number}" for number in self._sandbox.owned()}
        words = "the same as the sandbox says" if equal else "[red]NOT WHAT THE SANDBOX SAYS[/]"
        cost = f"{totals.monthly_usd} USD a month, {totals.renewals} renew within 40 days"
        self._console.print(f"the inventory (`didflow numbers`): {totals.numbers} numbers, {cost}: {words}", highlight=False)
        return equal


def numbers_of(view: JobView) -> tuple[str, ...]:
    return tuple(number.number for number in view.result.numbers) if view.result else ()


def outcome_text(number: NumberResult) -> str:
    """What became of a number, in a line."""
    parts = [number.outcome.value if number.outcome else ""]
    if number.monthly_usd is not None:
        parts.append(f"{number.setup_usd} + {number.monthly_usd} a month")
    if number.route_after:
        parts.append("-> " + ", ".join(str(destination) for destination in number.route_after))
    if number.documents_needed:
        parts.append("needs documents: " + described(number.documents_needed, number.document_titles))
    return "  ".join(parts)


def colour(view: JobView) -> str:
    return {"succeeded": "green", "partial": "yellow", "failed": "yellow", "cancelled": "yellow"}.get(view.state.value, "red")


def _stack(log: Path) -> LocalStack:
    sandbox, with_http = ("--port", "0", "--latency-ms", "20"), find_spec("fastapi") is not None
    http_ports = (0,) if with_http else ()
    return LocalStack(
        processes=2, threads=4, sandbox=sandbox, environment=ENVIRONMENT, log=log, with_webhooks=with_http, http_ports=http_ports
    )


def parser() -> ArgumentParser:
    """Of its command line, on which there is nothing but `--help`."""
    return parser_of("didflow demo", "Run the main job here, on an embedded Valkey and a sandbox Wavix. Costs nothing.", "didflow demo")


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit code 0 if everything came out as it should, 1 if not, 2 for arguments (it takes none), 5 if a part didn't come up."""
    parser().parse_args(arguments)
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="didflow-demo-") as folder:
        log = Path(folder) / "workers.log"
        try:
            console.print("starting an embedded Valkey, a sandbox Wavix, two worker processes, HTTP API and webhooks", style="dim")
            with _stack(log) as stack:
                didflow = Didflow(connect(stack.redis_url or ""), NAMESPACE)
                good = Demo(didflow, SandboxAdmin(stack.sandbox_url or ""), console, stack.http_url).run()
        except DidflowError as error:
            console.print(f"[red]{error.code}[/]: {error}")
            console.print(log.read_text()[-5000:] if log.exists() else "", markup=False)
            sys.exit(ExitCode.UNREACHABLE)
        if not good:
            console.print(log.read_text()[-5000:], markup=False)
            sys.exit(ExitCode.JOB)
    command = own_command()
    console.print(
        f"\nthis demo spent nothing. With a real account: WAVIX_API_KEY=… {command} up, and beside it"
        f" {command} buy --country US --dry-run --wait",
        style="dim",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
