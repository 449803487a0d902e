"""What commands print and how they end: tables for people on stdout, one JSON document with `--json`, errors with a next step."""

import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import typer
from pydantic import TypeAdapter, ValidationError
from rich.text import Text

from didflow.contract.error_exit_codes import exit_code
from didflow.contract.errors import DidflowError, Fault, InvalidRequest
from didflow.contract.exit_codes import ExitCode
from didflow.contract.states import JobState
from didflow.contract.validation import invalid
from didflow.terminal.tables import WholeWords, clean, print_table

__all__ = [
    "ExitCode",
    "WholeWords",
    "clean",
    "errors_shown",
    "exit_code",
    "fail",
    "nothing_done",
    "plain",
    "print_json",
    "print_table",
    "state_text",
]

#: What a full or broken disk answers. A pipe without a reader is another case, which typer handles.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


@contextmanager
def errors_shown(*, as_json: bool) -> Iterator[None]:
    """Turn our errors into a message and an exit code."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        _output_lost(error)
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        what = "an argument is no UTF-8 text"  # Python hands its bytes on as lone surrogates, which no key or id of ours has.
        fail(InvalidRequest(what, (("arguments", what),)), as_json=as_json)
    except ValidationError as error:
        fail(invalid(error), as_json=as_json)
    except DidflowError as error:
        fail(error, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _output_lost(error: OSError) -> NoReturn:
    with suppress(OSError, ValueError):  # Else the interpreter tries to write the rest once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    why = f"the output can't be written ({error.strerror}); the command may have taken effect: check with `didflow jobs`"
    WholeWords(stderr=True).print(why, markup=False)
    raise typer.Exit(ExitCode.JOB)


def fail(error: DidflowError, *, as_json: bool, more: Mapping[str, object] | None = None) -> NoReturn:
    """Say what is wrong and what to do, and end. `more`: what stands in the one JSON document besides the error."""
    faults = error.faults if isinstance(error, InvalidRequest) else ()
    if as_json:
        body = {"code": error.code, "message": str(error), "retryable": error.retryable, "faults": [list(fault) for fault in faults]}
        print_json({**(more or {}), "error": body})
    else:
        console = WholeWords(stderr=True)
        if faults:
            console.print(Text(f"{error.code}: nothing was changed", style="red"))
            for fault in faults:
                console.print(Text(f"  {clean(fault.path)}: {clean(_for_a_person(fault))}"))
        else:
            console.print(Text(f"{error.code}: ", style="red") + Text(clean(str(error)), style="default"))
    raise typer.Exit(exit_code(error))


def _for_a_person(fault: Fault) -> str:
    """Our own sentences say what to do; pydantic's only what is wrong."""
    if fault.code == "extra_forbidden":
        return f"there is no such field: {fault.next_step}" if "there is no" not in fault.next_step else fault.next_step
    return fault.message if fault.message.endswith(fault.next_step) else fault.next_step


def nothing_done(why: str, *, as_json: bool) -> NoReturn:
    """End a command that changed nothing, though it was asked to."""
    if not as_json:
        WholeWords(stderr=True).print(why, markup=False)
    raise typer.Exit(ExitCode.NOTHING_DONE)


def print_json(value: object) -> None:
    """One document on stdout."""
    sys.stdout.write(json_text(plain(value), indent=2) + "\n")


def json_text(value: object, indent: int | None = None) -> str:
    """JSON in UTF-8; a byte of an argument that wasn't UTF-8 is written as JSON's escape of a lone surrogate."""
    return json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def plain(value: object) -> Any:
    """Anything of ours as what JSON knows."""
    return TypeAdapter(type(value)).dump_python(value, mode="json", exclude_none=True)


def state_text(state: JobState, reason: str | None = None) -> Text:
    """A state in its colour, with the reason if there is one."""
    colours = {JobState.SUCCEEDED: "green", JobState.FAILED: "red", JobState.NEEDS_REVIEW: "magenta", JobState.PARTIAL: "yellow"}
    return Text(
        state.value + (f" ({clean(reason)})" if reason else ""), style=colours.get(state, "cyan" if not state.is_terminal else "default")
    )
