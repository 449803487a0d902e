"""The numbers that the account owns: lists, single records, and releasing them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from didflow.contract.ids_form import IdsForm
from didflow.contract.numbers import to_provider
from didflow.contract.provider import Answer, OwnedAsk, OwnedNumber, Page
from worker.pages import PER_PAGE
from worker.wavix import parsing
from worker.wavix.answer_matching import Subject
from worker.wavix.answers import Mutation
from worker.wavix.document_types import DocumentTypes
from worker.wavix.mutations import Mutations, bare
from worker.wavix.parsing import Fields
from worker.wavix.transport import Params
from worker.wavix.trunk_calls import TrunkCalls


class OwnedCalls(Mutations, DocumentTypes, TrunkCalls):
    """Owned numbers."""

    def owned(self, *, page: int, search: str | None = None, label: str | None = None, per_page: int = PER_PAGE) -> Page[OwnedNumber]:
        params: dict[str, str | int] = {"page": page, "per_page": per_page}
        if search is not None:
            params["search"] = to_provider(search)
        if label is not None:
            params["label"] = label

        def read(raw: Fields) -> Page[OwnedNumber]:
            shown = parsing.owned_page(raw, page, self._max_pages, per_page)
            self._learn_titles(raw)
            self._learn_document_form(raw.get("items"))
            return replace(shown, items=tuple(parsing.with_titles(one, self._titles) for one in shown.items))

        found, dialect = self._read_owned(lambda dialect: dialect.owned_path, params, read)
        self._dialects.confirm(dialect)
        return replace(found, items=tuple(map(self._trunk_names.identified, found.items)))

    def owned_many(self, asks: Iterable[OwnedAsk]) -> Iterator[Page[OwnedNumber]]:
        """One after the other; a worker's client asks several at once."""
        for ask in asks:
            yield self.owned(page=ask.page, search=ask.search, label=ask.label)

    def owned_one(self, record_id: int) -> OwnedNumber:
        """Raises NotThere if the account doesn't have that record."""

        def read(raw: Fields) -> OwnedNumber:
            self._learn_document_form([raw])
            return parsing.with_titles(parsing.owned_record(raw, record_id), self._titles)

        found, _ = self._read_owned(lambda dialect: f"{dialect.owned_path}/{record_id}", {}, read)
        return self._trunk_names.identified(found)

    def release(self, record_ids: Sequence[int], form: IdsForm = "repeat") -> Answer[None]:
        """Release records permanently. One unknown id refuses the whole call.

        A yes is a claim: a server that doesn't know the `form` may take one of the ids, and say yes. Raises ValueError for several ids
        in the form `single`.
        """
        subject = Subject.of(record_ids=record_ids)
        return bare(
            self._mutate(Mutation.RELEASE, subject, lambda dialect: ("DELETE", dialect.owned_path), params=_ids_query(record_ids, form))
        )


def _ids_query(record_ids: Sequence[int], form: IdsForm) -> Params:
    match form:
        case "repeat":
            return {"ids": list(record_ids)}
        case "brackets":
            return {"ids[]": list(record_ids)}
        case "comma":
            return {"ids": ",".join(map(str, record_ids))}
        case "single":
            (record_id,) = record_ids
            return {"ids": record_id}
