"""The only way in which commands print records.

On a terminal a table, as long as no word has to be broken for it; on a narrower one a line for each field. Elsewhere (a pipe, a file)
tab-separated lines for other programs: a header line, one record a line, every column, no colours. Ids, numbers and keys are always whole.
"""

import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from didflow.contract.printable import printable

#: Between two columns.
GAP = 2
#: Prose isn't squeezed into a narrower column than this.
NARROWEST = 12

Rows = Sequence[Sequence[object]]


class WholeWords(Console):
    """A console that breaks lines between words and never inside one; elsewhere than on a terminal it breaks none.

    A text is printed without control characters, wherever it is from: names of files, references, the provider's words.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        # Whether it is a terminal is asked of the descriptor alone: FORCE_COLOR and the like are for other programs' pipes.
        super().__init__(stderr=stderr, highlight=False, force_terminal=_is_terminal(2 if stderr else 1))

    def print(self, *objects: Any, **how: Any) -> None:
        shown = [_lines_cleaned(each) if isinstance(each, str) else each for each in objects]
        if self.is_terminal:
            whole: dict[str, Any] = {"overflow": "ignore", "crop": False}
            super().print(*shown, **(whole | how))
        else:
            super().print(*shown, **(how | {"soft_wrap": True}))


def _lines_cleaned(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def remarks() -> WholeWords:
    """Where words beside the records go: to a person's stdout, and in a pipe to stderr, so that stdout has records alone."""
    return WholeWords(stderr=not is_terminal())


def is_terminal() -> bool:
    """Whether a person sees stdout."""
    return _is_terminal(1)


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:  # It is closed.
        return False


def print_line(headings: Sequence[str], row: Sequence[object], *, first: bool) -> None:
    """One record of a stream that may have no end: words on a terminal, elsewhere tabs, with a header line before the `first`."""
    texts = [clean(cell) for cell in row]
    if is_terminal():
        WholeWords().print(Text("  ".join(text for text in texts if text)))
    else:
        sys.stdout.write(("\t".join(headings) + "\n" if first else "") + "\t".join(texts) + "\n")
    sys.stdout.flush()


def clean(value: object) -> str:
    """A text without terminal escapes and other control characters: references and the provider's words come from outside."""
    return printable(str(value if value is not None else ""))


def print_table(headings: Sequence[str], rows: Rows, *, whole: int = 1, indent: int = 0) -> None:
    """Print records. Cells may be rich Texts that are clean already. The first `whole` columns are kept on one line.

    A column in which nothing stands is left out on a terminal.
    """
    cells = [[cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row] for row in rows]
    if not is_terminal():
        _print_tabbed(headings, cells)
        return
    used = [place for place in range(len(headings)) if place < whole or any(row[place].plain for row in cells)]
    names = [headings[place] for place in used]
    shown = [[row[place] for place in used] for row in cells]
    console = WholeWords()
    widths = _widths(names, shown, [place < whole for place in used], console.width - indent)
    if widths is None:
        _print_fields(console, names, shown, indent)
    else:
        _print_columns(console, names, shown, widths, indent)


def _print_tabbed(headings: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
    lines = [[heading.strip() or "remark" for heading in headings], *([_on_one_line(cell) for cell in row] for row in rows)]
    sys.stdout.flush()
    sys.stdout.write("".join("\t".join(line) + "\n" for line in lines))
    sys.stdout.flush()


def _on_one_line(cell: Text) -> str:
    return "; ".join(cell.plain.strip().splitlines())


def _widths(headings: Sequence[str], rows: Sequence[Sequence[Text]], whole: Sequence[bool], most: int) -> list[int] | None:
    """How wide each column may be so that all fit; None if that would break a word, or what must stay on one line."""
    natural, least = [], []
    for place, heading in enumerate(headings):
        lines = [line for row in rows for line in row[place].plain.splitlines()] + [heading]
        words = [word for line in lines for word in line.split()]
        natural.append(max(map(cell_len, lines)))
        least.append(natural[-1] if whole[place] else max([min(natural[-1], NARROWEST), *map(cell_len, words)]))
    left = most - sum(least) - GAP * (len(least) - 1)
    if left < 0:
        return None
    widths = list(least)
    for place in sorted(range(len(widths)), key=lambda place: natural[place] - least[place]):
        more = min(natural[place] - least[place], left)
        widths[place], left = widths[place] + more, left - more
    return widths


def _print_columns(console: Console, headings: Sequence[str], rows: Sequence[Sequence[Text]], widths: list[int], indent: int) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0), collapse_padding=True)
    for heading, width in zip(headings, widths, strict=True):
        table.add_column(heading, width=width, no_wrap=True)
    for row in rows:
        table.add_row(*(_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)))
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(" " * indent + line.rstrip() + "\n")


def _print_fields(console: Console, headings: Sequence[str], rows: Sequence[Sequence[Text]], indent: int) -> None:
    """A line for each field that has something in it, and an empty line between two records.

    A word that is too long to stand beside its heading stands on a line of its own.
    """
    margin = max(cell_len(heading) for heading in headings) + GAP
    beside = max(1, console.width - margin - indent)
    for place, row in enumerate(rows):
        if place:
            console.print()
        for heading, cell in zip(headings, row, strict=True):
            if not cell.plain.strip():
                continue
            fits = max(map(cell_len, cell.plain.split())) <= beside
            left, head = (margin, heading) if fits else (GAP, "")
            if not fits:
                console.print(Text(" " * indent) + Text(heading, style="dim"))
            for line in _wrapped(cell, beside if fits else console.width - indent - GAP).split("\n"):
                console.print(Text(" " * indent) + Text(f"{head:<{left}}", style="dim") + line, no_wrap=True)
                head = ""


def in_lines(text: str, width: int, indent: str = "") -> str:
    """A sentence in indented lines of at most this width, broken between words alone."""
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _wrapped(cell: Text, width: int) -> Text:
    """The same in lines of this width, broken between words alone."""
    lines = [
        piece
        for line in cell.plain.splitlines()
        for piece in (textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) if cell_len(line) > width else [line])
    ]
    return Text("\n".join(lines), style=cell.style)
