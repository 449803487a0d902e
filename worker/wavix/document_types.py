"""Types of documents: what the provider calls them, and how an upload names one. Both are learned from what the lists show."""

from collections.abc import Mapping
from types import MappingProxyType

from worker.wavix import parsing
from worker.wavix.parsing import DocumentForm, Fields
from worker.wavix.reads import Reads


class DocumentTypes(Reads):
    """What lists have shown so far."""

    _titles: Mapping[str, str] = MappingProxyType({})
    _document_form: DocumentForm | None = None
    _upload_form_is_known = False  #: an upload in that form was taken; lists may name types in another one

    def _learn_titles(self, raw: Fields) -> None:
        for kind, title in parsing.document_titles(raw).items():
            if kind in self._titles or len(self._titles) < parsing.MAX_TITLES:
                self._titles = {**self._titles, kind: title}

    def _learn_document_form(self, records: object) -> None:
        if self._upload_form_is_known or not isinstance(records, list):
            return
        forms = (parsing.document_form(raw) for raw in records if isinstance(raw, dict))
        self._document_form = next((form for form in forms if form), self._document_form)
