"""One rule for all commands: what needs a confirmation on a terminal, and what needs `--yes` without one.

- What can't be undone needs it: a purchase, a release, a customer who leaves, a finding about a parked job, a message that is deleted.
- So does a change of more than `MANY_NUMBERS` numbers, or of numbers whose count isn't known yet.
- Nothing else does. A dry run never does.

On a terminal the question is asked instead; the answer no ends the command with exit code 6, and nothing was done.
"""

from dataclasses import dataclass

import typer

from didflow.contract.errors import InvalidRequest
from didflow.terminal.output import ExitCode, WholeWords

#: A change of more numbers than this needs a yes.
MANY_NUMBERS = 100


@dataclass(frozen=True)
class Stake:
    """What a command is about to do. `numbers`: how many it touches; None: not known yet."""

    irreversible: bool = False
    numbers: int | None = 0

    @property
    def needs_yes(self) -> bool:
        """Whether someone must agree."""
        return self.irreversible or self.numbers is None or self.numbers > MANY_NUMBERS

    @property
    def why(self) -> str:
        """Why someone must agree."""
        if self.irreversible:
            return "this can't be undone"
        if self.numbers is None:
            return "it isn't known yet how many numbers this changes"
        return f"this changes {self.numbers} numbers, more than {MANY_NUMBERS}"


#: What can't be undone.
FOR_GOOD = Stake(irreversible=True)


def confirmed(question: str, stake: Stake, *, yes: bool) -> None:
    """Return if it may be done. Raises InvalidRequest if a yes is needed and there is no terminal; typer.Exit if the answer is no."""
    if yes:
        return
    if not can_ask():
        if stake.needs_yes:
            what = f"{stake.why}, and there is no terminal to ask on: look first (--dry-run, where there is one), then give --yes"
            raise InvalidRequest(what, (("yes", what),))
        return
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input.
        WholeWords(stderr=True).print("nothing was done")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if not agreed:
        WholeWords(stderr=True).print("nothing was done")
        raise typer.Exit(ExitCode.NOTHING_DONE)


def can_ask() -> bool:
    """Whether a person sees the question and can answer it."""
    return WholeWords(stderr=True).is_terminal and typer.get_text_stream("stdin").isatty()
