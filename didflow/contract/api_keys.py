"""Keys of the HTTP API: who may do what, for which account and which references. The secret itself is shown once and stored nowhere."""

import hashlib
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from didflow.contract.actors import fault_of
from didflow.contract.texts import PRINTABLE
from didflow.contract.validation import Checked

#: Of a secret's randomness.
SECRET_BYTES = 32
#: What a secret looks like: the prefix is for people and for scanners of leaked secrets.
SECRET = re.compile(r"dfk_[A-Za-z0-9_-]{43}")


class ApiScope(StrEnum):
    """What a key allows."""

    READ = "read"  #: jobs, numbers, events, spending; changes nothing
    BUY = "buy"  #: purchases, quotes, documents
    REROUTE = "reroute"  #: reroutes, failbacks, failover plans, incidents
    RELEASE = "release"  #: releases and churn
    OPERATE = "operate"  #: retry and cancel any job, dead letters, findings of a gate
    RESOLVE = "resolve"  #: end a parked job with a person's finding
    ADMIN = "admin"  #: all of these


#: What a key that is limited to references may do: the other scopes act on the numbers and jobs of every owner.
OF_REFERENCES = frozenset({ApiScope.READ, ApiScope.BUY, ApiScope.RELEASE})


def _actor(name: str) -> str:
    if (fault := fault_of(name)) is not None:
        raise ValueError(fault)
    return name


class ApiKey(Checked):
    """A key without its secret.

    id                short and random; names the key in commands
    name              the actor of every change that is made with it; unique among the kept keys
    scopes            what it allows
    account           the only account that it is for; None: all
    reference_prefix  it sees and submits only jobs whose reference begins so; None: all
    rate_per_s        requests a second, over all servers; None: no limit
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    name: Annotated[str, AfterValidator(_actor)]
    scopes: Annotated[frozenset[ApiScope], Field(min_length=1)]
    account: Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)] | None = None
    reference_prefix: Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)] | None = None
    rate_per_s: Annotated[float, Field(gt=0, le=100_000, strict=True)] | None = None

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:
        if given.get("reference_prefix") is None or "scopes" in bad:
            return
        if too_wide := sorted(set(map(str, given.get("scopes") or ())) - set(map(str, OF_REFERENCES))):
            yield (
                f"a key with a reference prefix can't have {', '.join(too_wide)}: they act on numbers and jobs of every reference;"
                " leave them out, or make the key without a prefix"
            )

    def allows(self, scope: ApiScope) -> bool:
        """Whether it has this scope; `admin` has all."""
        return scope in self.scopes or ApiScope.ADMIN in self.scopes

    def sees(self, account: str, reference: str | None) -> bool:
        """Whether a job of this account and reference is this key's business."""
        return self.account in (None, account) and (reference or "").startswith(self.reference_prefix or "")

    @property
    def sees_all(self) -> bool:
        """Whether nothing is hidden from it."""
        return self.account is None and self.reference_prefix is None

    @property
    def is_full_admin(self) -> bool:
        """Whether it may do everything, and so make other keys."""
        return self.allows(ApiScope.ADMIN) and self.sees_all


class KeptKey(Checked):
    """A key as `didflow keys list` shows it. `expires_at`: of its newest secret; `secrets`: how many are valid now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: ApiKey
    created_at: datetime | None
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    secrets: int


def new_secret() -> str:
    """256 bits at random."""
    return f"dfk_{secrets.token_urlsafe(SECRET_BYTES)}"


def new_key_id() -> str:
    return secrets.token_hex(6)


def digest(secret: str) -> str:
    """What is stored of a secret. It has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()
