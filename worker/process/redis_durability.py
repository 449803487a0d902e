"""Whether this Redis would keep its promises: an answered write is on the disk, and nothing is ever evicted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis

from didflow.contract.errors import UnsafeRedis
from didflow.ledger.connection import translated

MINIMUM_VERSION = (7, 0)


@dataclass(frozen=True)
class Finding:
    """One check. `sentence` says what was seen and, if it isn't ok, what to do."""

    code: str
    ok: bool
    sentence: str


def check_redis(client: redis.Redis) -> list[Finding]:
    """Look at version, AOF, fsync and eviction. Raises ServiceUnavailable if Redis doesn't answer."""
    with translated():
        info = client.info()
        settings = _settings(client, info)
    return [_version(info), *_durability(settings), _eviction(settings)]


def refuse_unsafe(findings: list[Finding], *, override: bool) -> list[Finding]:
    """The findings that aren't ok. Raises UnsafeRedis if there are any and no override."""
    bad = [finding for finding in findings if not finding.ok]
    if bad and not override:
        raise UnsafeRedis(
            "this Redis could forget jobs that were accepted: "
            + "; ".join(finding.sentence for finding in bad)
            + ". For tests only, DIDFLOW_UNSAFE_REDIS=true starts all the same"
        )
    return bad


def _settings(client: redis.Redis, info: Mapping[str, Any]) -> dict[str, str]:
    """CONFIG if it is permitted; otherwise INFO."""
    try:
        return {
            name: str(value)
            for pattern in ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy")
            for name, value in cast("dict[str, Any]", client.config_get(pattern)).items()
        }
    except (redis.exceptions.ResponseError, redis.exceptions.NoPermissionError):
        known = {"appendonly": "yes" if info.get("aof_enabled") else "no"}
        if "maxmemory_policy" in info:
            known["maxmemory-policy"] = str(info["maxmemory_policy"])
        return known


def _version(info: Mapping[str, Any]) -> Finding:
    if info.get("valkey_version"):
        return Finding("redis_version", True, f"Valkey {info['valkey_version']}")
    shown = str(info.get("redis_version", "?"))
    parts = tuple(int(part) for part in shown.split(".")[:2] if part.isdigit())
    ok = parts >= MINIMUM_VERSION
    return Finding("redis_version", ok, f"Redis {shown}" + ("" if ok else ": use Redis 7.0 or newer, or Valkey"))


def _durability(settings: Mapping[str, str]) -> list[Finding]:
    appendonly, fsync = settings.get("appendonly", "no"), settings.get("appendfsync")
    aof = Finding(
        "aof", appendonly == "yes", "append-only file is on" if appendonly == "yes" else "append-only file is off: set `appendonly yes`"
    )
    if fsync is None:
        unknown = "appendfsync can't be read here (CONFIG is forbidden): make sure that it is `always`"
        return [aof, Finding("aof_fsync", False, unknown)]
    ok = fsync == "always"
    sync = Finding("aof_fsync", ok, f"appendfsync is {fsync}" + ("" if ok else ": set `appendfsync always`"))
    if settings.get("no-appendfsync-on-rewrite") != "yes":
        return [aof, sync]
    gap = "nothing is synced while the file is rewritten: set `no-appendfsync-on-rewrite no`"
    return [aof, sync, Finding("aof_fsync_on_rewrite", False, gap)]


def _eviction(settings: Mapping[str, str]) -> Finding:
    policy = settings.get("maxmemory-policy", "unknown")
    ok = policy == "noeviction"
    return Finding("eviction", ok, f"maxmemory-policy is {policy}" + ("" if ok else ": set `maxmemory-policy noeviction`"))
