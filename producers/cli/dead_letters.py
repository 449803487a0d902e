"""`didflow dead-letters`: list what needs a person, and replay or drop it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from didflow.client.sync.client import Didflow
from didflow.contract.errors import DeadLetterNotFound, InvalidRequest, JobNotFound, WrongJob
from didflow.contract.jobs import JobView
from didflow.ledger.dead_letters import DeadLetters, DeadRequest
from didflow.terminal import options as given
from didflow.terminal.confirmation import Stake, confirmed
from didflow.terminal.output import ExitCode, WholeWords, clean, errors_shown, plain, print_json, print_table
from didflow.terminal.tables import is_terminal
from producers.cli.next_step import to_settle

#: More of each than anybody acts on at once.
ALL = 100_000


@dataclass(frozen=True)
class Refused:
    """What could not be done, and why."""

    name: str
    message: str


def dead_letters(
    replay: Annotated[
        list[str] | None,
        typer.Option(
            help="JOB: retries it; ENTRY: redelivers it to its group; all: all of these. May be repeated",
            show_default=False,
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="delete this ENTRY or message; messages: all foreign messages. May be repeated", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="list at most this many of each")] = 100,
    reason: given.Reason = None,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """List parked jobs, poison results, refused business events and foreign messages. --replay and --drop settle them.

    `--replay all` and `--drop messages` exit with 0 if there is nothing to replay or to drop.
    """
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env().acting(reason=reason)
        if replay or drop:
            _settle(didflow, tuple(replay or ()), tuple(drop or ()), yes=yes, as_json=as_json)
            return
        found = didflow.dead_letters(limit)
        if as_json:
            parked = [plain(view) | {"to_settle": to_settle(view)} for view in found.parked]
            print_json(plain(found) | {"parked": parked})
        else:
            _show(found, limit)


def _show(found: DeadLetters, limit: int) -> None:
    if not is_terminal():
        print_table(("what", "name", "concerns", "type", "code", "reason", "what to do"), _records(found))
        return
    console = WholeWords()
    if not (found.parked or found.poison or found.undecodable or found.requests):
        console.print("nothing needs attention", style="dim")
        return
    for view in found.parked:
        code, message = (view.error.code, view.error.message) if view.error else (view.reason or "", "")
        console.print(Text("job ") + Text(view.id, style="bold") + Text(f"  {view.kind.replace('_', '-')}  {clean(code)}", style="magenta"))
        for line in (message, to_settle(view)):
            console.print(Text(f"  {clean(line)}"))
    if found.poison:
        poison = [(one.name, one.group, one.fields.get("subject", ""), one.fields.get("type", ""), one.reason) for one in found.poison]
        print_table(("poison entry", "group", "job", "event", "why"), poison, whole=4)
        console.print("  fix the consumer, then --replay ENTRY redelivers it to that group; --drop ENTRY deletes it", style="dim")
    if found.requests:
        requests = [(one.name, one.fields.get("id", ""), one.fields.get("type", ""), one.code, _why(one)) for one in found.requests]
        print_table(("business event", "id", "type", "code", "why"), requests, whole=4)
        console.print("  fix the cause, then --replay submits it again; or let its sender send it again, and --drop it", style="dim")
    if found.undecodable:
        print_table(("message", "bytes", "begins"), [(one.name, one.length, one.start) for one in found.undecodable], whole=2)
        console.print(
            "  another program writes to didflow's queues: find it; --drop MESSAGE, or --drop messages, deletes these", style="dim"
        )
    if limit in (len(found.parked), len(found.poison), len(found.undecodable), len(found.requests)):
        console.print(f"  only {limit} of each are shown: --limit", style="dim")


def _records(found: DeadLetters) -> list[tuple[object, ...]]:
    """All of them in one list, for other programs."""
    parked = [
        ("job", view.id, view.reference, view.kind, view.error.code if view.error else view.reason, _message(view), to_settle(view))
        for view in found.parked
    ]
    poison = [
        ("poison entry", one.name, one.fields.get("subject"), one.fields.get("type"), one.group, one.reason, "--replay or --drop")
        for one in found.poison
    ]
    requests = [
        ("business event", one.name, one.fields.get("id"), one.fields.get("type"), one.code, _why(one), "--replay or --drop")
        for one in found.requests
    ]
    return [*parked, *poison, *requests, *(("message", one.name, "", "", "", one.start, "--drop") for one in found.undecodable)]


def _message(view: JobView) -> str:
    return view.error.message if view.error else ""


def _why(request: DeadRequest) -> str:
    return "; ".join(f"{where}: {what}" for where, what in request.faults) or request.reason


def _settle(didflow: Didflow, replay: tuple[str, ...], drop: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    asked_to_drop = bool(drop)
    if "all" in replay or "messages" in drop:
        found = didflow.dead_letters(ALL)
        requests = [one.name for one in found.requests]
        replay = _instead(replay, "all", [*(view.id for view in found.parked), *(one.name for one in found.poison), *requests])
        drop = _instead(drop, "messages", [one.name for one in found.undecodable])
    asked = [f"replay {len(replay)} of them"] * bool(replay) + [f"delete {len(drop)} for good"] * bool(drop)
    if asked:
        confirmed(f"{' and '.join(asked)}?", Stake(irreversible=bool(drop), numbers=len(replay)), yes=yes)
    replayed, not_replayed = _each(didflow.replay, replay)
    dropped, not_dropped = _each(didflow.drop, drop)
    refused = [*not_replayed, *not_dropped]
    if as_json:
        print_json({"replayed": replayed, "dropped": dropped, "refused": [plain(one) for one in refused]})
    else:
        console = WholeWords()
        for word, names in (("replayed", replayed), ("dropped", dropped)):
            for name in names:
                console.print(f"{word} {name}", markup=False)
        for one in refused:
            console.print(Text(f"{clean(one.name)}: {clean(one.message)}", style="red"))
        if not (replayed or dropped or refused):
            console.print(f"nothing to {'drop' if asked_to_drop else 'replay'}", style="dim")
    if refused:
        raise typer.Exit(ExitCode.INPUT)


def _instead(names: tuple[str, ...], word: str, meant: list[str]) -> tuple[str, ...]:
    """The names, with what the word means in its place, each once."""
    return tuple(dict.fromkeys([*(name for name in names if name != word), *(meant if word in names else ())]))


def _each(verb: Callable[[str], None], names: tuple[str, ...]) -> tuple[list[str], list[Refused]]:
    """Do it to each; one that can't be done doesn't keep the others from it."""
    done, refused = [], []
    for name in names:
        try:
            verb(name)
        except (DeadLetterNotFound, InvalidRequest, JobNotFound, WrongJob) as error:
            refused.append(Refused(name, str(error)))
        else:
            done.append(name)
    return done, refused
