"""The numbers of a job on the terminal, page by page, and as CSV: `didflow status JOB --numbers`, `--csv`."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from didflow.contract.results import NumberResult
from didflow.terminal.output import plain, print_json
from didflow.terminal.output_file import output_file
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
    with output_file(to, "csv") as file:
        lines = csv.writer(file)
        lines.writerow(columns)
        for row in rows:
            lines.writerow(map(unfooled, row))
            count += 1
    return count


def say_written(count: int, to: Path) -> None:
    """Beside the records, which may be on stdout."""
    WholeWords(stderr=True).print(f"{count} numbers in {to}", markup=False)
