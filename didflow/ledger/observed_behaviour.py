"""The observed behaviour of an account's server where published sources differ, each with the time of observation."""

from pydantic import BaseModel, ConfigDict

from didflow.contract.ids_form import IDS_FORMS, LEARNED_FOR_DAYS, IdsForm
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.ledger import Claim
from didflow.ledger.records import read_record
from didflow.ledger.script_calls import Call

#: The array form of `ids`, see `didflow.contract.ids_form`.
IDS_FORM = "ids_form"


class Learned(BaseModel):
    """As `scripts/accounts/learn.lua` writes it. `seen_ms`: on the ledger's clock."""

    model_config = ConfigDict(frozen=True)

    value: str
    seen_ms: int


def learned(keys: Keys, account: str, what: str) -> Command[Learned | None]:
    """None if nothing was learned, or what is kept can't be read."""
    text: str | None = yield RedisCommand("hget", (keys.learned(account), what))
    return read_record(Learned, text)


def learn(claim: Claim, what: str, value: str) -> Call[bool]:
    """Remember what the account's server takes. Reads False if the lease is lost."""
    return Call("learn", (claim.job_id, claim.token, what, value), lambda reply: bool(reply == "ok"))


def ids_form_of(kept: Learned | None, now_ms: int) -> IdsForm | None:
    """The form that was learned, if that isn't too long ago."""
    if kept is None or now_ms - kept.seen_ms >= LEARNED_FOR_DAYS * 86_400_000:
        return None
    return next((form for form in IDS_FORMS if form == kept.value), None)
