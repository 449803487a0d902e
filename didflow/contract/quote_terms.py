"""A quote's terms, as stored in the job that was ordered by it: pure data."""

from typing import Annotated

from pydantic import ConfigDict, Field

from didflow.contract.flags import Flag
from didflow.contract.money import Usd
from didflow.contract.validation import Input


class QuotedNumber(Input):
    """One number of a quote, with its fees and the documents that it needed then. `reused`: it was ours, and cost nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: Annotated[str, Field(max_length=20, pattern=r"^\+[0-9]+$")]
    setup_usd: Usd
    monthly_usd: Usd
    documents: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=50)] = ()
    reused: Flag = False


class Terms(Input):
    """Each number that is bought costs no more, and needs no other documents, than the quoted number that it is or stands in for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    numbers: Annotated[tuple[QuotedNumber, ...], Field(min_length=1, max_length=1000)]
