"""Events about the ledger itself: after a restart of Redis no money moves until lost writes are accounted for; and a freeze stops it."""

from pydantic import AwareDatetime, BaseModel, ConfigDict


class GateClosed(BaseModel):
    """The JSON in the `data` of ``didflow.ledger.gate_closed.v1``: Redis restarted.

    epoch       counts restarts
    lost_after  writes may be lost from then on
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: int
    lost_after: AwareDatetime


class GateFindings(BaseModel):
    """The JSON in the `data` of ``didflow.ledger.gate_findings.v1``: what keeps an account's gate closed until a person decides.

    owned       record id by number: owned, and no job that the ledger knows bought it
    in_cart     in the cart, and no job that the ledger knows put it there
    candidates  unfinished purchases that may have bought them
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    account: str
    owned: dict[str, int] = {}
    in_cart: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()


class GateOpened(BaseModel):
    """The JSON in the `data` of ``didflow.ledger.gate_opened.v1``: the account's money moves again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    account: str
    epoch: int


class FreezeChanged(BaseModel):
    """The JSON in the `data` of ``didflow.ledger.frozen.v1`` and ``.unfrozen.v1``. `account` None: all accounts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    account: str | None = None
    actor: str
    reason: str | None = None
