"""Types of command-line arguments for argparse: a value out of bounds is a usage error (exit code 2) that names the fault."""

import math
import textwrap
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from decimal import Decimal

from didflow.contract.money import parse_usd


def parser_of(command: str, summary: str, *examples: str) -> ArgumentParser:
    """A parser whose `--help` ends with examples, each on a line of its own."""
    shown = "\n".join(["examples:", *(f"  {example}" for example in examples)])
    return ArgumentParser(prog=command, description=textwrap.fill(summary, 80), epilog=shown, formatter_class=RawDescriptionHelpFormatter)


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number from `least` to `most`."""

    def read(text: str) -> int:
        # `int` refuses a text of thousands of digits with a ValueError of another meaning.
        if len(text) > 20 or not text.removeprefix("-").isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text[:40]!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


def real(least: float, most: float) -> Callable[[str], float]:
    """A number from `least` to `most`, not infinite and not NaN."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise ArgumentTypeError(f"{text[:40]!r} is not a number from {least:g} to {most:g}")
        return value

    return read


def usd(text: str) -> Decimal:
    """An amount in USD, zero or more."""
    try:
        return parse_usd(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


port = whole(0, 65_535)
