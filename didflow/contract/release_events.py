"""The events of a release in its grace period."""

from pydantic import BaseModel, ConfigDict

CALLS_CAME = "didflow.release.calls_came.v1"


class CallsCame(BaseModel):
    """The JSON in the `data` of ``didflow.release.calls_came.v1``: a number that was to be given back is being called, and stays.

    seconds_before, seconds_now  its inbound seconds of the month, as they were when the grace period began or at the last look, and now
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    job: str
    account: str
    reference: str | None = None
    number: str
    record_id: int
    seconds_before: int
    seconds_now: int
