"""The settings of each worker process, stored so that others can show the limits in effect and find workers that differ.

No key is in it, nor what belongs to one machine: the address of Redis, paths.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from didflow.contract.ids_form import IdsFormSetting
from didflow.contract.spending import SCOPES, UNITS, WINDOWS, SpendLimit
from didflow.ledger.client import LedgerClient
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.script_calls import Call
from didflow.settings import Settings, variable

#: A worker writes it again this often; it is kept for a little longer than two of these.
AGAIN_AFTER_S = 20.0
KEPT_MS = 60_000
#: May differ from one worker to the next: how much it does and what it says.
OF_ONE_WORKER = frozenset({"processes", "threads", "log_format", "log_level"})
#: Who it acts for; where a worker and a shell find their Redis, their files and their accounts; what is in the accounts' file is compared.
NOT_WRITTEN = frozenset({"actor", "redis_url", "namespace", "state_dir", "accounts"})


class RunningWith(BaseModel):
    """What a process runs with.

    settings       by variable, as text: those that all workers should share
    accounts       of each account by its name: address, dialect, limits of its own; as text
    spend_limits   of each account by its name
    reference_limits  of each reference
    ids_forms      of each account by its name
    unknown        variables of its environment that look like settings and are none
    """

    model_config = ConfigDict(frozen=True)

    settings: dict[str, str]
    accounts: dict[str, dict[str, str]]
    rate_limit: float
    emergency_share: float
    http_timeout_s: float
    spend_limits: dict[str, tuple[SpendLimit, ...]]
    reference_limits: tuple[SpendLimit, ...]
    ids_forms: dict[str, IdsFormSetting]
    unknown: tuple[str, ...] = ()


def running_with(settings: Settings, unknown: Iterable[str] = ()) -> RunningWith:
    """These settings, without keys. Raises InvalidSettings if the accounts can't be read."""
    accounts = settings.all_accounts()
    shared = {name: getattr(settings, name) for name in Settings.model_fields if name not in OF_ONE_WORKER | NOT_WRITTEN}
    return RunningWith(
        settings={variable(name): text for name, value in shared.items() if (text := _text(value)) is not None},
        accounts={
            name: {field: text for field in type(account).model_fields if (text := _text(getattr(account, field))) is not None}
            for name, account in accounts.items()
        },
        rate_limit=settings.rate_limit,
        emergency_share=settings.emergency_share,
        http_timeout_s=settings.http_timeout,
        spend_limits={
            name: tuple(limit for limit in settings.spend_limits(account) if limit.scope == "account") for name, account in accounts.items()
        },
        reference_limits=tuple(limit for limit in settings.spend_limits(None) if limit.scope == "reference"),
        ids_forms={name: account.ids_form or settings.wavix_ids_form for name, account in accounts.items()},
        unknown=tuple(unknown),
    )


def _text(value: object) -> str | None:
    """None for what is kept to the process."""
    if isinstance(value, SecretStr | Path):
        return None
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def note_limits(running: RunningWith, actor: str) -> Call[int]:
    """Note the spend limits that a worker process starts with: where the last one had others, that is in the audit, by `actor`.

    Reads how many accounts (or the references) have others.
    """
    named = {**running.spend_limits, "": running.reference_limits}
    args = [text for name, limits in sorted(named.items()) for text in (name, "; ".join(map(str, limits)) or "none")]
    return Call("limits", (actor, *args), int)


def note_running(keys: Keys, worker: str, running: RunningWith) -> Command[None]:
    """Write it down. Forgotten by itself unless it is written again."""
    yield RedisCommand("set", (keys.running(worker), running.model_dump_json()), {"px": KEPT_MS})


def running_workers(reader: LedgerClient) -> dict[str, RunningWith]:
    """What the living workers run with, by worker. Those that wrote nothing that can be read are left out. Raises ServiceUnavailable."""
    workers = sorted(reader.workers())
    texts = reader.perform(_texts(reader.keys, workers)) if workers else ()
    read = ((worker, read_running(text)) for worker, text in zip(workers, texts, strict=True))
    return {worker: running for worker, running in read if running is not None}


def running_accounts(keys: Keys, workers: Sequence[str]) -> Command[frozenset[str] | None]:
    """The accounts that these workers have together; None where one of them, or all, didn't write that down."""
    texts = (yield from _texts(keys, list(workers))) if workers else ()
    read = [read_running(text) for text in texts]
    if not read or None in read:
        return None
    return frozenset(name for one in read if one is not None for name in one.accounts)


def _texts(keys: Keys, workers: list[str]) -> Command[tuple[str | None, ...]]:
    return tuple((yield RedisCommand("mget", ([keys.running(worker) for worker in workers],))))


def read_running(text: str | None) -> RunningWith | None:
    """What a worker wrote; None if that can't be read."""
    try:
        return None if text is None else RunningWith.model_validate_json(text)
    except ValidationError:
        return None  # Another version wrote it, or something else.


def strictest(all_running: Iterable[RunningWith]) -> RunningWith | None:
    """The lowest of each limit, and every account; None of none."""
    every = tuple(all_running)
    if not every:
        return None
    names = sorted({name for one in every for name in one.spend_limits})
    return every[0].model_copy(
        update={
            "rate_limit": min(one.rate_limit for one in every),
            "http_timeout_s": max(one.http_timeout_s for one in every),
            "spend_limits": {name: _lowest(one.spend_limits.get(name, ()) for one in every) for name in names},
            "reference_limits": _lowest(one.reference_limits for one in every),
            "ids_forms": {name: form for one in reversed(every) for name, form in one.ids_forms.items()},
        }
    )


def _lowest(limits: Iterable[tuple[SpendLimit, ...]]) -> tuple[SpendLimit, ...]:
    lowest: dict[tuple[Any, ...], SpendLimit] = {}
    for limit in (limit for some in limits for limit in some):
        kind = (SCOPES.index(limit.scope), UNITS.index(limit.unit), WINDOWS.index(limit.window))
        lowest[kind] = min(lowest.get(kind, limit), limit, key=_most)
    return tuple(lowest[kind] for kind in sorted(lowest))


def _most(limit: SpendLimit) -> Decimal:
    return limit.most


def differences(all_running: Mapping[str, RunningWith]) -> dict[str, dict[str, tuple[str, ...]]]:
    """What workers don't agree on: by what it is, each value with the workers that have it. An account that one lacks counts, too."""
    found = {}
    for what in sorted({what for running in all_running.values() for what in _flat(running)}):
        by_value: dict[str, list[str]] = {}
        for worker, running in all_running.items():
            by_value.setdefault(_flat(running).get(what, "nothing"), []).append(worker)
        if len(by_value) > 1:
            found[what] = {value: tuple(workers) for value, workers in by_value.items()}
    return found


def _flat(running: RunningWith) -> dict[str, str]:
    fields = {f"account {name}, {field}": text for name, account in running.accounts.items() for field, text in account.items()}
    return running.settings | fields
