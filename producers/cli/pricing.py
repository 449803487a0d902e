"""The price in the confirmation of a purchase: a worker's dry run, and the limits in effect.

The order is then placed by the quote that was shown, so that the price that was confirmed is the price that is paid. A standing order, and
one that begins later, can't be ordered by today's quote: its price is shown as today's.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal

import typer

from didflow.client.sync.client import Didflow
from didflow.contract.document_file import described
from didflow.contract.errors import DidflowError, WaitTimeout
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import NumberResult, Quote
from didflow.contract.spending import ScopeSpending, SpendLimit, amount_text
from didflow.contract.states import JobState, Outcome
from didflow.ledger.worker_settings import running_with, running_workers, strictest
from didflow.settings import load_settings
from didflow.terminal.output import ExitCode, WholeWords, clean
from producers.cli.job_records import balance_of
from producers.cli.option_groups import Labels
from producers.cli.submit import report, wait_for

#: A person waits this long for a price, or for `--timeout` if that is shorter.
WITHIN_S = 10.0
#: The most numbers that are named.
NAMED = 10


@dataclass(frozen=True)
class Priced:
    """What the question says, and the quote to order by, where there is one."""

    question: str
    quote: Quote | None = None


def ordered_before(didflow: Didflow, request: SearchAndBuy | None, key: str | None) -> SearchAndBuy | None:
    """The request to submit so that it is the same job again, where this key has a job that was ordered by the quote of this request."""
    there = next((view.request for view in didflow.find(idempotency_key=key)), None) if key else None
    if isinstance(there, SearchAndBuy) and there.terms is not None and there.model_copy(update={"terms": None}) == request:
        return there
    return request


def priced(didflow: Didflow, request: SearchAndBuy, labels: Labels, *, later: bool, as_json: bool) -> Priced:
    """Ask a worker for the price and show it. Ends the command where the numbers can't be had and nothing waits for them.

    `later`: the job isn't to begin now.
    """
    what = f"{_numbers(request.quantity)} in {where(request)}"
    unknown = Priced(f"buy {what} at a price that isn't known yet? It can't be undone")
    if not didflow.ledger.workers():
        _say("no worker is running, so the price isn't known; the job will wait until one is started")
        _show_limits(didflow, request, labels, None)
        return unknown
    within_s = min(WITHIN_S, labels.timeout)
    with _looking(didflow, request, labels) as job_id:
        try:
            view = wait_for(didflow, job_id, within_s, quiet=as_json)
        except WaitTimeout:
            _say(f"the workers didn't say within {within_s:g} s what this costs now")
            _show_limits(didflow, request, labels, None)
            return unknown
    quote = view.result.quote if view.result else None
    stands = request.wait_until is not None
    if view.state is not JobState.SUCCEEDED or quote is None:
        if not stands:
            report(view, as_json=as_json)
            raise typer.Exit(ExitCode.JOB)
        _say(f"not to be had now: {view.error.message if view.error else view.state.value}")
        _show_limits(didflow, request, labels, None)
        return Priced(f"look for {what} until {request.wait_until:%Y-%m-%d %H:%M %Z}, and buy them when available? This can't be undone")
    return shown(didflow, quote, request, labels, binding=not (stands or later))


def shown(didflow: Didflow, quote: Quote, request: SearchAndBuy, labels: Labels, *, binding: bool) -> Priced:
    """Show a quote. `binding`: it is ordered by."""
    some = f"{len(quote.numbers)} of {request.quantity} numbers" if len(quote.numbers) < request.quantity else _numbers(len(quote.numbers))
    now_usd = quote.setup_usd + quote.monthly_usd
    _say(f"{some} in {where(request)}:")
    for number in quote.numbers[:NAMED]:
        _say(f"  {_line(number)}")
    if len(quote.numbers) > NAMED:
        _say(f"  and {len(quote.numbers) - NAMED} more")
    _say(f"now {now_usd} USD: setup {quote.setup_usd}, first month {quote.monthly_usd}; then {quote.monthly_usd} USD a month")
    _say(f"balance {balance_of(quote)}")
    if quote.documents:
        _say(f"documents needed: {described(quote.documents, quote.document_titles)}")
    _show_limits(didflow, request, labels, now_usd)
    price = f"{now_usd} USD" if binding else f"what they cost then (now {now_usd} USD)"
    if binding:
        _say("the order is bound to this price: if the price rises, nothing is bought")
    return Priced(f"buy {some} for {price}? It can't be undone", quote if binding else None)


def where(request: SearchAndBuy) -> str:
    """Where the numbers are looked up: ``LOS ANGELES, CA, US``."""
    rungs = [f"{len(request.ladder)} rungs of"] if request.ladder else []
    digits = [f"area code {request.area_code}"] if request.area_code else []
    digits += [f"prefix {request.prefix}"] if request.prefix else []
    place = " or ".join(request.city) or request.region or ""
    return clean(" ".join([*rungs, ", ".join(part for part in (place, request.country, *digits) if part)]))


@contextmanager
def _looking(didflow: Didflow, request: SearchAndBuy, labels: Labels) -> Iterator[str]:
    """A dry run, which is cancelled when its caller stops waiting."""
    look = request.model_copy(update={"dry_run": True})
    job = didflow.submit(look, reference=labels.reference, account=labels.account, priority=0)
    try:
        yield job.id
    finally:
        with suppress(DidflowError):
            didflow.cancel(job.id)  # One that has ended stays as it is.


def _show_limits(didflow: Didflow, request: SearchAndBuy, labels: Labels, now_usd: Decimal | None) -> None:
    own = [
        f"{field.rpartition('_')[0].replace('_', ' ')} {value} USD ({flag})"
        for field, flag in (("max_setup_usd", "--max-setup"), ("max_monthly_usd", "--max-monthly"), ("max_total_usd", "--max-total"))
        if (value := getattr(request, field)) is not None
    ]
    for line in [*([f"of this order: {', '.join(own)}"] if own else []), *_spend_limits(didflow, labels, now_usd)]:
        _say(f"limit {line}")


def _spend_limits(didflow: Didflow, labels: Labels, now_usd: Decimal | None) -> Iterator[str]:
    running = strictest(running_workers(didflow.ledger).values()) or running_with(load_settings())
    scopes = [("account", labels.account, running.spend_limits.get(labels.account, ()))]
    scopes += [("reference", labels.reference, running.reference_limits)] if labels.reference else []
    for scope, name, limits in scopes:
        if limits:
            used = didflow.spending([("account" if scope == "account" else "reference", name)])[0]
            yield from (f"of {scope} {name}: {_used(used, limit, now_usd)}" for limit in limits)


def _used(used: ScopeSpending, limit: SpendLimit, now_usd: Decimal | None) -> str:
    amount = used.used(limit.window).amount(limit.unit)
    waits = limit.unit == "usd" and now_usd is not None and amount + now_usd > limit.most
    return f"{limit}, {amount_text(amount, limit.unit)} used" + (": the job waits until enough is free" if waits else "")


def _line(number: NumberResult) -> str:
    if number.outcome is Outcome.REUSED:
        return f"{number.number}  ours, from the pool"
    return f"{number.number}  {number.setup_usd} + {number.monthly_usd} USD a month"


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count} numbers"


def _say(text: str) -> None:
    WholeWords(stderr=True).print(clean(text), markup=False)
