"""The producer spans of the submissions of one pipeline, where this client traces."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from didflow.contract.errors import DidflowError
from didflow.contract.job_kinds import request_models
from didflow.contract.jobs import Job
from didflow.ledger.commands import Commands
from didflow.ledger.script_calls import Submission
from didflow.tracing.ports import SubmitSpan

#: `traceparent` and `tracestate`; '' for none.
TraceContext = tuple[str, str]


class SubmitSpans:
    """The spans of submissions, open while it is. One that has no result at its end has failed. Without tracing it does nothing."""

    def __init__(self, commands: Commands, batch: Sequence[object]) -> None:
        """`batch` may be anything that a caller gave; it isn't checked yet."""
        traces, clients = commands.traces, (commands.traceparent, commands.tracestate)
        self._open: list[SubmitSpan] = []
        if traces is not None:
            self._open = [traces.submit(_kind(one), *(_own(one) or clients)) for one in batch]
        #: Of each submission the context that its job is to keep; without one: its own.
        self.contexts: list[TraceContext] = [(span.traceparent, span.tracestate) for span in self._open] or [("", "")] * len(batch)

    def __enter__(self) -> Self:
        return self

    def came(self, results: Sequence[Job | DidflowError]) -> None:
        """All of them, in order."""
        for span, result in zip(self._open, results, strict=False):
            if isinstance(result, Job):
                span.accepted(result.id, is_new=result.is_new)
            else:
                span.failed(result.code)
        self._open = []

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        code = error.code if isinstance(error, DidflowError) else kind.__name__ if kind is not None else "unknown"
        for span in self._open:
            span.failed("unanswered" if kind is GeneratorExit else code)  # Redis didn't answer, and the command was closed.


def _own(submission: object) -> TraceContext | None:
    if not isinstance(submission, Submission) or not submission.traceparent:
        return None
    return submission.traceparent, submission.tracestate


def _kind(submission: object) -> str:
    """Of its request, or of the quote that is ordered."""
    request = getattr(submission, "request", None)
    quoted = getattr(getattr(submission, "quote", None), "request", None)
    return next((str(getattr(one, "kind", "job")) for one in (request, quoted) if isinstance(one, request_models())), "job")
