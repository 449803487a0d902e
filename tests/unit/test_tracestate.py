"""Which trace states are kept, as https://www.w3.org/TR/trace-context/#tracestate-header says."""

import pytest

from didflow.contract.tracestate import MOST_CHARACTERS, read_tracestate


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (("a=1", "b=2"), "a=1,b=2"),
        ((" a=1 ,\tb=2 ,, c=3,",), "a=1,b=2,c=3"),
        (("fw529a3039@dt=FfAxODAw,0tenant@x=1",), "fw529a3039@dt=FfAxODAw,0tenant@x=1"),
        (("a=with spaces inside",), "a=with spaces inside"),
        ((",".join(f"k{place}=v" for place in range(32)),), ",".join(f"k{place}=v" for place in range(32))),
        ((f"{'k' * 256}={'v' * 100}",), f"{'k' * 256}={'v' * 100}"),
    ],
)
def test_a_valid_one_is_kept_without_spaces_around_its_members(given: tuple[str, ...], kept: str) -> None:
    assert read_tracestate(*given) == kept


@pytest.mark.parametrize(
    "given",
    [
        (),
        (None,),
        ("",),
        (" , ",),
        ("a",),
        ("=1",),
        ("a=",),
        ("A=1",),
        ("a=1,a=2",),
        ("a=1=2",),
        ("a=é",),
        ("a=1\n",),
        ("a=1\x00",),
        (f"{'k' * 257}=1",),
        (f"a={'v' * 257}",),
        ("tenant@=1",),
        ("tenant@toolongsystemid=1",),
        (",".join(f"k{place}=v" for place in range(33)),),
        ("a=1," * 10_000,),
    ],
)
def test_an_invalid_one_is_ignored_whole(given: tuple[object, ...]) -> None:
    assert read_tracestate(*given) is None


def test_what_is_too_long_loses_its_long_members_first_and_then_the_oldest() -> None:
    long = f"long={'v' * 200}"
    short = [f"k{place:02}={'v' * 20}" for place in range(20)]
    kept = read_tracestate(",".join([long, *short]))
    assert kept == ",".join(short)
    assert len(kept) <= MOST_CHARACTERS
    many = [f"k{place:02}={'v' * 30}" for place in range(20)]
    kept = read_tracestate(",".join(many))
    assert kept == ",".join(many[:14])
    assert len(",".join(many[:15])) > MOST_CHARACTERS
