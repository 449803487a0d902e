"""Scripted faults: which call goes wrong, how, and how often. Each one that was injected is counted."""

import random
from collections import Counter
from collections.abc import Collection
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal[
    "refuse",  # answer `status` with `body`, do nothing
    "act_then_refuse",  # do it, then answer `status` with `body`: as a proxy that sent the call twice, or a gateway that gave up
    "hang",  # do nothing, say nothing for `seconds`, close
    "drop",  # do nothing, close at once
    "act_and_drop",  # do it, close without an answer
    "act_and_hang",  # do it, say nothing for `seconds`, close
    "slow",  # wait `seconds`, then do it and answer
    "act_late",  # close at once, do it `seconds` later, on the state of that moment
    "cut_json",  # do it, answer half of the JSON
    "html_error",  # do nothing, answer 502 with an HTML page
    "act_then_html",  # do it, answer 502 with an HTML page
    "status_500_before",
    "status_500_after",
    "sell_to_other",  # the first named number (or `number`) is sold to another customer just before
    "lag",  # this list shows the state of `seconds` ago
    "partial",  # the cart takes only the first half
    "trickle",  # do it, answer one byte of the body every `seconds`
    "trickle_head",  # do it, answer one byte of everything every `seconds`
    "answer_twice",  # do it, answer it twice, the second time after `seconds`: as a proxy that mixes up its connections
    "gzip",  # do it, answer packed; a JSON text is filled up with spaces to `size` bytes before
    "set_field",  # do it, answer with every `field` of that name replaced by the JSON text `value`, also one that JSON can't be read from
    "echo_key",  # refuse with `status`, and quote the key as `form`
    "rate_limit",  # 429, with Retry-After where `seconds` is above 0
    "price_change",  # the monthly fee of the named numbers rises by `usd` just before
]


#: How a server may write the key that it quotes.
KeyForm = Literal["plain", "slashes", "unicode", "url", "base64", "html", "html_codes"]


class Fault(BaseModel):
    """One rule. `call` is a call's name (``checkout``, ``cart_put``, …) or ``*``; `number` restricts it to calls that name it.

    It passes over `skip` matching calls, then strikes with `probability` at most `times` times (None: always). `html`: a refusal is a
    gateway's page instead of `body`. `headers` are added to a refusal. `record`: only objects with this `number` have their field set.
    """

    model_config = ConfigDict(extra="forbid")

    call: str
    kind: Kind
    times: int | None = 1
    skip: int = 0
    probability: float = Field(default=1.0, ge=0, le=1)
    seconds: float = 5.0
    status: int = 422
    body: dict[str, Any] | list[Any] = Field(default_factory=lambda: {"success": False, "message": "refused by a scripted fault"})
    html: bool = False
    headers: dict[str, str] = Field(default_factory=dict)
    usd: str = "1.00"
    number: str | None = None
    field: str = ""
    value: str = "null"
    record: str | None = None
    size: int = 0
    form: KeyForm = "plain"


class Faults:
    """The rules in force, and how often each call and kind has struck. The caller holds the world's lock."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._rules: list[Fault] = []
        self.injected: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        self._rules.append(fault.model_copy())

    def clear(self) -> None:
        self._rules.clear()

    def take(self, call: str, numbers: Collection[str]) -> Fault | None:
        """The fault that strikes this call, if any."""
        for rule in self._rules:
            if rule.call not in (call, "*") or (rule.number is not None and rule.number not in numbers):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if rule.times == 0 or self._rng.random() >= rule.probability:
                continue
            if rule.times is not None:
                rule.times -= 1
            self.injected[f"{call}:{rule.kind}"] += 1
            return rule
        return None
