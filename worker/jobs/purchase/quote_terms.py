"""Whether an offer keeps a quote's terms: pure rules, with a description of each difference."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Protocol

from didflow.contract.errors import JobError
from didflow.contract.quote_terms import QuotedNumber, Terms

#: Differences that a message names; the others are counted.
NAMED = 5


class Priced(Protocol):
    """A number with its fees and the documents that it needs, as the stock or the cart shows it."""

    @property
    def setup_usd(self) -> Decimal: ...
    @property
    def monthly_usd(self) -> Decimal: ...
    @property
    def documents(self) -> tuple[str, ...]: ...


def may_do(number: str, found: Priced, terms: Terms) -> bool:
    """Whether it could be bought on these terms: it keeps its own, or those of some quoted number if it isn't one of them."""
    own = [quoted for quoted in terms.numbers if quoted.number == number]
    return any(not difference(found, quoted) for quoted in own or terms.numbers)


def difference(found: Priced, quoted: QuotedNumber) -> str:
    """What is worse than quoted, in words; empty if nothing is."""
    worse = []
    if found.setup_usd > quoted.setup_usd:
        worse.append(f"setup is {found.setup_usd} USD, quoted {quoted.setup_usd}")
    if found.monthly_usd > quoted.monthly_usd:
        worse.append(f"a month is {found.monthly_usd} USD, quoted {quoted.monthly_usd}")
    if more := sorted(set(found.documents) - set(quoted.documents)):
        worse.append(f"needs documents ({', '.join(more)}) that weren't quoted")
    return ", ".join(worse)


def differences(bought: Mapping[str, Priced], terms: Terms) -> tuple[str, ...]:
    """Where these numbers, bought together, would be worse than quoted. Each quoted number stands for one: itself, or one in its place."""
    quoted = {one.number: one for one in terms.numbers}
    worse = [f"{number}: {words}" for number in sorted(bought.keys() & quoted) if (words := difference(bought[number], quoted[number]))]
    left = [quoted[number] for number in sorted(quoted.keys() - bought, key=lambda number: _dearness(number, quoted))]
    for number in sorted(bought.keys() - quoted, key=lambda number: _dearness(number, bought)):
        place = next((one for one in left if not difference(bought[number], one)), None)
        if place is None:
            ours = next((f"{one.number}, which was quoted as ours and isn't to be had any more" for one in left if one.reused), None)
            worse.append(f"{number}: on worse terms than {ours or 'any quoted number that it could stand in for'}")
        else:
            left.remove(place)
    return tuple(worse)


def _dearness(number: str, priced: Mapping[str, Priced]) -> tuple[Decimal, str]:
    return priced[number].setup_usd + priced[number].monthly_usd, number


def not_to_be_had(kept: Iterable[str], seen: Mapping[str, Priced], terms: Terms) -> tuple[str, ...]:
    """For each quoted number that isn't ours, why, by what the stock shows now."""
    found = []
    for quoted in terms.numbers:
        if quoted.number in set(kept):
            continue
        offer = seen.get(quoted.number)
        gone = "is no longer available in the pool" if quoted.reused else "is no longer offered"
        words = gone if offer is None else difference(offer, quoted) or "could not be had"
        found.append(f"{quoted.number}: {words}")
    return tuple(found)


def quote_worse(worse: Iterable[str]) -> JobError:
    """The refusal that names what is worse."""
    told = tuple(worse)
    more = f"; and {len(told) - NAMED} more" if len(told) > NAMED else ""
    message = f"the quote can't be kept: {'; '.join(told[:NAMED])}{more}. Ask for a new quote (--dry-run; field dry_run)"
    return JobError(code="quote_worse", message=message)
