"""The shells that can complete `didflow`: the script of each, and answers in the form that its script expects."""

from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_classes import completion_init
from typer._completion_shared import get_completion_script

#: The shell sets it when it wants completions instead of the command.
COMPLETE_VARIABLE = "_DIDFLOW_COMPLETE"


class Shell(StrEnum):
    """The shells that have a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="bash | zsh | fish")]) -> None:
    """Print the script that completes didflow's commands, options, jobs, incidents and plans in a shell.

    bash: add `eval "$(didflow completion bash)"` to ~/.bashrc. zsh: add `eval "$(didflow completion zsh)"` to ~/.zshrc, after
    compinit. fish: write it to ~/.config/fish/completions/didflow.fish.
    """
    typer.echo(get_completion_script(prog_name="didflow", complete_var=COMPLETE_VARIABLE, shell=shell.value))


def know_shells() -> None:
    """Answer in the form in which those scripts ask."""
    completion_init()
