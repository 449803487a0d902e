"""What the doctor says of the settings that the workers run with, and of variables that are no settings."""

from collections.abc import Iterable, Iterator, Mapping

from didflow.checks.check import Check
from didflow.ledger.worker_settings import RunningWith, differences

#: Of a long value this much is shown.
SHOWN = 40
#: Of very many differences these are shown.
MOST_SHOWN = 10


def check_workers(workers: Mapping[str, RunningWith], shell: RunningWith) -> Iterator[Check]:
    """Whether the workers' settings agree; how this shell's differ; unknown variables."""
    if not workers:
        yield Check("worker_settings", "ok", "no worker runs that has written its settings: limits below are those of this shell")
    elif found := differences(workers):
        said = "; ".join(f"{what} is {_values(values)}" for what, values in list(found.items())[:MOST_SHOWN])
        more = f"; and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
        why = f"workers run with different settings: {said}{more}. Restart those with the wrong ones; below the strictest limits are shown"
        yield Check("worker_settings", "warn", why)
    else:
        yield Check("worker_settings", "ok", f"{_count(len(workers), 'worker')} with the same settings{_otherwise(workers, shell)}")
    yield _unknown(workers, shell)


def _values(values: Mapping[str, tuple[str, ...]]) -> str:
    return ", ".join(f"{_short(value)} in {_some(workers)}" for value, workers in values.items())


def _short(value: str) -> str:
    return value if 0 < len(value) <= SHOWN else f"{value[:SHOWN]}… ({len(value)} characters)" if value else "empty"


def _some(workers: tuple[str, ...]) -> str:
    """Host and pid of the first; how many more."""
    first = ":".join(workers[0].split(":")[:2])
    return first + (f" and {len(workers) - 1} more" if len(workers) > 1 else "")


def _otherwise(workers: Mapping[str, RunningWith], shell: RunningWith) -> str:
    theirs = next(iter(workers.values()))
    others = [what for what in differences({"workers": theirs, "shell": shell}) if not what.startswith("account ")]
    return f" (this shell has others: {', '.join(others[:MOST_SHOWN])})" if others else ""


def _unknown(workers: Mapping[str, RunningWith], shell: RunningWith) -> Check:
    where = [(word, "this shell") for word in shell.unknown]
    where += [(word, f"worker {_some((worker,))}") for worker, running in workers.items() for word in running.unknown]
    if not where:
        return Check("unknown_settings", "ok", "every variable that looks like a setting is a setting")
    places: dict[str, list[str]] = {}
    for word, place in where:
        places.setdefault(word, []).append(place)
    said = "; ".join(f"{word} in {_first(found)}" for word, found in places.items())
    return Check("unknown_settings", "warn", f"unknown settings, ignored: {said}: `didflow settings` lists all settings")


def _first(places: Iterable[str]) -> str:
    first, *more = places
    return first + (f" and {len(more)} more" if more else "")


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
