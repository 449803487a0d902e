"""Secrets that sign the messages of an endpoint, as the ledger keeps them."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Secrets:
    """Signing secrets with the moments until which they sign, ms; 0: without an end. Its text shows none."""

    kept: tuple[tuple[str, int], ...]

    def __repr__(self) -> str:
        return f"Secrets({len(self.kept)})"

    def valid(self, now_ms: int) -> tuple[str, ...]:
        """Those that sign now, newest first."""
        return tuple(secret for secret, until_ms in self.kept if not 0 < until_ms <= now_ms)


def secrets_in(text: str | None) -> Secrets:
    return Secrets(tuple((one["secret"], int(one["until_ms"])) for one in json.loads(text or "[]")))
