"""The cart of the account, and its checkout."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from didflow.contract.numbers import to_provider
from didflow.contract.provider import Answer, Offer, ReadFailed, Unclear, Yes
from worker.wavix import parsing
from worker.wavix.answer_matching import Subject
from worker.wavix.answers import Mutation
from worker.wavix.document_types import DocumentTypes
from worker.wavix.mutations import Mutations, bare
from worker.wavix.parsing import Fields, Unreadable


class CartCalls(Mutations, DocumentTypes):
    """One cart for all of the account's users."""

    def put_in_cart(self, numbers: Sequence[str]) -> Answer[tuple[Offer, ...]]:
        """The answer lists what was really added, with the fees that will be charged."""
        answer = self._mutate(Mutation.CART_PUT, Subject.of(numbers), lambda _: ("PUT", "/v1/buy/cart"), body=_ids(numbers))
        if not isinstance(answer, Yes):
            return answer
        try:
            return Yes(tuple(offer for offer in parsing.offers(answer.value) if offer.number in set(numbers)), request=answer.request)
        except Unreadable:
            return Unclear("unreadable answer", request=answer.request)

    def remove_from_cart(self, numbers: Sequence[str]) -> Answer[None]:
        """`No(not_in_cart)`: at least one wasn't there; which ones are left must be looked up."""
        return bare(self._mutate(Mutation.CART_DELETE, Subject.of(numbers), lambda _: ("DELETE", "/v1/buy/cart"), body=_ids(numbers)))

    def cart(self) -> tuple[Offer, ...]:
        def read(raw: Fields) -> tuple[Offer, ...]:
            self._learn_titles(raw)
            return parsing.cart(raw)

        return self._read_known("/v1/buy/cart", {}, read)

    def check_out(self, numbers: Sequence[str]) -> Answer[None]:
        """Takes money at once, and can't be undone."""
        return bare(self._mutate(Mutation.CHECKOUT, Subject.of(numbers), lambda _: ("POST", "/v1/buy/cart/checkout"), body=_ids(numbers)))

    def document_titles(self) -> Mapping[str, str]:
        """What the provider calls its types of documents, by name; empty where it doesn't say. The lists bring it along."""
        if not self._titles:
            with suppress(ReadFailed):
                self.cart()
        return dict(self._titles)


def _ids(numbers: Sequence[str]) -> dict[str, list[str]]:
    return {"ids": [to_provider(number) for number in numbers]}
