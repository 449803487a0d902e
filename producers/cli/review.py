"""`didflow retry` and `didflow resolve`: settle a parked job."""

from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.text import Text

from didflow.client.review import open_numbers
from didflow.client.sync.client import Didflow
from didflow.contract.errors import InvalidRequest
from didflow.contract.job_kinds import buys
from didflow.contract.jobs import JobView
from didflow.contract.numbers import NumberList
from didflow.contract.states import JobState
from didflow.settings import load_settings
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, confirmed
from didflow.terminal.output import WholeWords, errors_shown, nothing_done, print_json
from producers.cli.jobs import JobId
from producers.cli.render import show_job


def retry(job: JobId, reason: given.Reason = None, as_json: given.Json = False) -> None:
    """Retry a parked job from its last checkpoint. Safe: nothing is bought or released twice.

    Exit code 6 if it isn't parked.
    """
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env().acting(reason=reason)
        parked = didflow.get(job).state is JobState.NEEDS_REVIEW
        view = didflow.retry(job)
        if as_json:
            print_json(view)
        else:
            show_job(view)
        if not parked:
            nothing_done("only a parked job can be retried: nothing was changed", as_json=as_json)


def resolve(
    job: JobId,
    bought: Annotated[list[str] | None, typer.Option(help="an open number that is ours; may be repeated", show_default=False)] = None,
    not_bought: Annotated[bool, typer.Option("--not-bought", help="none of the open numbers was bought")] = False,
    released: Annotated[list[str] | None, typer.Option(help="an open number that is gone; may be repeated", show_default=False)] = None,
    not_released: Annotated[bool, typer.Option("--not-released", help="none of the open numbers is gone")] = False,
    reason: given.Reason = None,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """End a parked job with what you found in the account. Open numbers that you don't name count as not taken effect.

    Above DIDFLOW_SECOND_PERSON_USD the finding is kept for a day (exit code 1), and the same one by another person ends the job.
    """
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env().acting(reason=reason)
        view = didflow.get(job)
        took_effect = _took_effect(view, _e164(bought), _e164(released), not_bought=not_bought, not_released=not_released)
        others = sorted({number.number for number in open_numbers(view)} - set(took_effect))
        word = "bought" if buys(view.kind) else "released"
        WholeWords(stderr=True).print(Text(f"{word}: {' '.join(took_effect) or 'none'}\nnot {word}: {' '.join(others) or 'none'}"))
        for line in _charges_told(didflow, view):
            WholeWords(stderr=True).print(Text(line))
        confirmed("end the job with this? It can't be changed later", FOR_GOOD, yes=yes)
        ended = didflow.resolve(job, took_effect, seen=view, second_person_usd=load_settings().second_person_usd)
        if as_json:
            print_json(ended)
        else:
            show_job(ended)


def _charges_told(didflow: Didflow, view: JobView) -> list[str]:
    """What a worker read of the provider's transactions when the purchase was parked. A hint, no proof."""
    told = [step.detail for step in didflow.explain(view.id) if step.name == "transactions"]
    return [f"transactions, as a worker read them: {told[-1]}"] if told else []


def _took_effect(
    view: JobView, bought: tuple[str, ...], released: tuple[str, ...], *, not_bought: bool, not_released: bool
) -> tuple[str, ...]:
    """The numbers named, if they were named in the words of this job and in one way. Raises WrongJob, InvalidRequest."""
    open_numbers(view)  # That the job isn't parked is the more important thing to say.
    word, named, none, other = "bought", bought, not_bought, bool(released) or not_released
    if not buys(view.kind):
        word, named, none, other = "released", released, not_released, bool(bought) or not_bought
    if other or bool(named) == none:
        raise InvalidRequest(f"for this job say either --{word} NUMBER, as often as needed, or --not-{word}")
    return named


def _e164(numbers: list[str] | None) -> tuple[str, ...]:
    return TypeAdapter(NumberList).validate_python(tuple(numbers or ()))
