"""What a mutating call is about, and whether its answer is about something else: then it is the answer to another call."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from didflow.contract.numbers import to_provider
from worker.wavix.answers import Mutation
from worker.wavix.scalars import phone_digits, text, whole

#: The address of an uploaded document names the record that it belongs to.
_PAPER_OF = re.compile(r"/(\d{1,19})/papers/")


@dataclass(frozen=True)
class Subject:
    """The phone numbers (digits) and record ids that a call names. An empty set: the call names none, and nothing is compared."""

    numbers: frozenset[str] = frozenset()
    record_ids: frozenset[int] = frozenset()

    @classmethod
    def of(cls, numbers: Sequence[str] = (), record_ids: Sequence[int] = ()) -> "Subject":
        """`numbers` in E.164."""
        return cls(frozenset(map(to_provider, numbers)), frozenset(record_ids))


def is_about_another(call: Mutation, body: object, asked: Subject) -> bool:
    """Whether the answer names a number or a record that the call didn't.

    An answer that names fewer is no contradiction, and neither is one that names nothing, as most of the contract's do.
    """
    match call:
        case Mutation.CART_PUT:
            # One description has the numbers that were added here, the other one all that are in the cart, other jobs' too.
            named = {digits for one in _objects(body) if (digits := phone_digits(one.get("number") or one.get("id")))}
            return bool(named) and not named & asked.numbers
        case Mutation.CHECKOUT:
            listed = body.get("error_dids") if isinstance(body, dict) else None
            refused = map(phone_digits, listed) if isinstance(listed, list) else ()
            return any(digits not in asked.numbers for digits in refused if digits)
        case Mutation.ROUTE:
            items = body.get("items") if isinstance(body, dict) else None
            return isinstance(items, list) and any(_record_id(one) not in asked.record_ids for one in items)
        case Mutation.UPDATE | Mutation.SMS:
            return isinstance(body, dict) and "id" in body and _record_id(body) not in asked.record_ids
        case Mutation.PAPERS:
            return any(_is_anothers(paper, asked) for paper in _objects(body))
        case Mutation.CART_DELETE | Mutation.RELEASE:
            return False  # Their answers name nothing.


def _is_anothers(paper: dict[str, object], asked: Subject) -> bool:
    number, address = phone_digits(paper.get("did_number")), _PAPER_OF.search(text(paper.get("url")) or "")
    other_number = number is not None and bool(asked.numbers) and number not in asked.numbers
    return other_number or (address is not None and int(address[1]) not in asked.record_ids)


def _record_id(record: object) -> int | None:
    return whole(record.get("id")) if isinstance(record, dict) else None


def _objects(value: object) -> Iterator[dict[str, object]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())
