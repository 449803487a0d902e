"""Calls that change something: sent once. What was asked and answered is logged before and after."""

import logging
from collections.abc import Callable
from dataclasses import replace

import httpx
import structlog

from didflow.contract.provider import Answer, Barred, ReadFailed, Unclear, Yes, answer_class
from worker.wavix.answer_matching import Subject, is_about_another
from worker.wavix.answers import Mutation, Said, classify
from worker.wavix.dialects import Dialect
from worker.wavix.reads import Reads
from worker.wavix.request_gate import NotAdmitted
from worker.wavix.transport import Params, fingerprint

#: What a 403 to one of these calls says that the key may not do.
RIGHT_TO = {
    Mutation.CART_PUT: "buy numbers",
    Mutation.CART_DELETE: "buy numbers",
    Mutation.CHECKOUT: "buy numbers",
    Mutation.ROUTE: "change destinations",
    Mutation.UPDATE: "change numbers",
    Mutation.SMS: "change numbers",
    Mutation.PAPERS: "hand in documents",
    Mutation.RELEASE: "release numbers",
}

log = structlog.stdlib.get_logger("didflow.wavix")


class Mutations(Reads):
    """Mutating calls return an `Answer`; nothing is sent where no dialect is known."""

    def _mutate(
        self,
        call: Mutation,
        subject: Subject,
        where: Callable[[Dialect], tuple[str, str]],
        *,
        body: object = None,
        params: Params | None = None,
    ) -> Answer[object]:
        return self._change(call, subject, lambda dialect: self._http.request(*where(dialect), params=params, body=body))

    def _change(self, call: Mutation, subject: Subject, build: Callable[[Dialect], httpx.Request]) -> Answer[object]:
        """Send it once, in a dialect that reads have confirmed; nothing is sent where there is none.

        An answer that names another number or record than the call is unclear, whatever it says. Logged before as well: what a worker that
        dies may have had under way is in its log.
        """
        try:
            dialect = self.dialect()
        except ReadFailed as failed:
            return failed.answer
        request = build(dialect)
        told = log.bind(call=call.value, request=fingerprint(request))
        told.info("wavix.asked")
        try:
            said = self._http.send(request)
        except NotAdmitted as held:
            answer: Answer[object] = held.answer
        else:
            answer = classify(call, said) if isinstance(said, Said) else said
            if isinstance(said, Said) and is_about_another(call, said.json(), subject):
                self._http.distrust()
                answer = Unclear("an answer about another number")
            if isinstance(answer, Barred):
                answer = self._barred(answer.status, answer.message, RIGHT_TO[call])
            if isinstance(said, Said) and (said.status == 401 or (said.status == 404 and not said.is_about_a_record)):
                self._dialects.doubt(dialect)  # Detect the dialect before the next call.
        told.log(logging.WARNING if isinstance(answer, Unclear) else logging.INFO, "wavix.answered", answer=answer_class(answer))
        return replace(answer, request=fingerprint(request))


def bare(answer: Answer[object]) -> Answer[None]:
    """The same answer without what a yes says more."""
    return Yes(None, request=answer.request) if isinstance(answer, Yes) else answer
