"""`didflow evidence`: what is known of the open numbers of a parked job, and what it proves."""

from rich.text import Text

from didflow.client.second_person import needs_second
from didflow.client.sync.client import Didflow
from didflow.contract.evidence import JobEvidence, NumberEvidence
from didflow.contract.job_kinds import buys
from didflow.settings import Settings, load_settings
from didflow.terminal import options as given
from didflow.terminal.output import WholeWords, clean, errors_shown, plain, print_json, print_table
from producers.cli.jobs import JobId
from producers.cli.next_step import to_settle

_COLUMNS = ("number", "witness", "says", "read (UTC)")


def evidence(job: JobId, as_json: given.Json = False) -> None:
    """Show what is known of each open number of a parked job, how old it is, and what it proves.

    It is what workers have read: `didflow retry` has the cart, the owned list and the transactions read again.
    """
    with errors_shown(as_json=as_json):
        didflow, settings = Didflow.from_env(), load_settings()
        found = didflow.evidence(job, settle_s=settings.settle_seconds)
        numbers, after = list(found.numbers), found.next_after
        while after is not None:
            page = didflow.evidence(job, settle_s=settings.settle_seconds, after=after)
            numbers, after = [*numbers, *page.numbers], page.next_after
        if as_json:
            print_json(_document(found, numbers, settings))
        else:
            _show(found, numbers, settings)


def _document(found: JobEvidence, numbers: list[NumberEvidence], settings: Settings) -> dict[str, object]:
    first = {"first_finding": plain(found.first_finding)} if found.first_finding else {}
    return {
        "job_id": found.job.id,
        "open_count": found.open_count,
        "at_stake_usd": str(found.at_stake_usd),
        "needs_second_person": needs_second(found.job, settings.second_person_usd),
        **first,
        "numbers": [plain(one) for one in numbers],
    }


def _show(found: JobEvidence, numbers: list[NumberEvidence], settings: Settings) -> None:
    word = "bought" if buys(found.job.kind) else "released"
    verdicts = {"yes": word, "no": f"not {word}", "unknown": "not known yet"}
    rows = list[tuple[object, ...]]()
    for one in numbers:
        for reading in one.readings:
            when = f"{reading.at:%Y-%m-%d %H:%M:%S}" if reading.at else ""
            rows.append((one.number, reading.source.replace("_", " "), reading.says, when))
        rows.append((one.number, "proposal", f"{verdicts[one.proposal.verdict]}, because {one.proposal.because}", ""))
    print_table(_COLUMNS, rows, whole=1)
    console = WholeWords(stderr=True)
    if (first := found.first_finding) is not None:
        named = f"{word}: {' '.join(first.took_effect) or 'none'}"
        console.print(Text(clean(f"{first.actor} found at {first.at:%Y-%m-%d %H:%M} UTC: {named}. Another person has to send the same")))
    elif needs_second(found.job, settings.second_person_usd):
        console.print(f"the open numbers cost {found.at_stake_usd} USD: two people have to send the same finding", markup=False)
    console.print(Text(to_settle(found.job), style="dim"))
