"""The numbers of a job on the terminal, page by page, and as CSV: `didflow status JOB --numbers`, `--csv`."""

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from didflow.contract.errors import InvalidRequest
from didflow.contract.results import NumberResult
from didflow.terminal.output import plain, print_json
from didflow.terminal.tables import WholeWords
from producers.cli.render import show_numbers
from producers.job_numbers_csv import COLUMNS, cells, unfooled

#: Lines per table.
TABLE = 100


def print_numbers(numbers: Iterable[NumberResult], *, as_json: bool) -> None:
    """All of them; as JSON one array, else tables of a hundred lines."""
    if as_json:
        print_json([plain(number) for number in numbers])
        return
    table: list[NumberResult] = []
    for number in numbers:
        table.append(number)
        if len(table) == TABLE:
            show_numbers(tuple(table), at_most=TABLE)
            table.clear()
    show_numbers(tuple(table), at_most=TABLE)


def write_csv(numbers: Iterable[NumberResult], to: Path) -> int:
    """A line for each number; `-` is stdout. Returns how many. Raises InvalidRequest if the file can't be written."""
    return write_lines(COLUMNS, map(cells, numbers), to)


def write_lines(columns: Sequence[str], rows: Iterable[Sequence[object]], to: Path) -> int:
    """The same of any rows."""
    count = 0
    try:
        with _opened(to) as file:
            lines = csv.writer(file)
            lines.writerow(columns)
            for row in rows:
                lines.writerow(map(unfooled, row))
                count += 1
    except OSError as error:
        if str(to) == "-":
            raise
        what = f"can't be written: {error.strerror}"
        raise InvalidRequest(f"csv: {what}", (("csv", what),)) from None
    return count


def say_written(count: int, to: Path) -> None:
    """Beside the records, which may be on stdout."""
    WholeWords(stderr=True).print(f"{count} numbers in {to}", markup=False)


@contextmanager
def _opened(to: Path) -> Iterator[TextIO]:
    if str(to) == "-":
        yield sys.stdout
        return
    with to.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        yield file
