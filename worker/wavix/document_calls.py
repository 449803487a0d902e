"""Uploading documents for owned numbers."""

from collections.abc import Sequence

import httpx

from didflow.contract.document_file import DOCUMENT_IDS, Paper
from didflow.contract.provider import Answer, Yes
from worker.wavix.answer_matching import Subject
from worker.wavix.answers import Mutation
from worker.wavix.dialects import Dialect
from worker.wavix.document_types import DocumentTypes
from worker.wavix.mutations import Mutations, bare
from worker.wavix.parsing import DocumentForm


class DocumentCalls(Mutations, DocumentTypes):
    """Documents of the account's numbers."""

    def upload_paper(
        self, record_ids: Sequence[int], paper: Paper, *, other_form: bool = False, numbers: Sequence[str] = ()
    ) -> Answer[None]:
        """Hand a document in for these records. What became of it is read from the numbers: their `documents`.

        `numbers`: the phone numbers of these records, if they are known: an answer that names another number is unclear.

        `doc_id` is an id until summer 2026, and a name in the newest contract: it is sent in the form that the lists, or the last upload,
        showed; with `other_form` in the other one.
        """
        form: DocumentForm = self._document_form or "ids"
        if other_form:
            form = "names" if form == "ids" else "ids"
        fields = {"did_ids": ",".join(map(str, record_ids)), "doc_id": paper.kind if form == "names" else str(DOCUMENT_IDS[paper.kind])}
        file = (paper.file_name, paper.content, paper.content_type)

        def upload(dialect: Dialect) -> httpx.Request:
            return self._http.upload(f"{dialect.owned_path}/papers", fields, "doc_attachment", file)

        answer = bare(self._change(Mutation.PAPERS, Subject.of(numbers, record_ids), upload))
        if isinstance(answer, Yes):
            self._document_form, self._upload_form_is_known = form, True
        return answer
