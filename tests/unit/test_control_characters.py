"""What the provider says reaches no terminal, log or record with control characters in it: they are replaced where its JSON is read."""

import json
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.wavix.answers import Said
from worker.wavix.bounded_json import read_json

ESCAPE = "\x1b[31mred\x1b]0;title\x07\x9b2J"
HARMFUL = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for one in value:
                yield from texts(one)
        case dict():
            yield from value
            for one in value.values():
                yield from texts(one)


def is_clean(text: str) -> bool:
    return not any(unicodedata.category(character) == "Cc" or character in HARMFUL for character in text)


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))
def test_no_text_of_the_json_holds_any(value: object) -> None:
    assert all(map(is_clean, texts(read_json(json.dumps(value).encode()))))
    assert all(map(is_clean, texts(read_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")))))


@pytest.mark.parametrize("name", ["message", "error"])
def test_the_words_of_a_refusal_hold_none(name: str) -> None:
    message = Said(403, json.dumps({"success": False, name: ESCAPE}).encode()).message
    assert is_clean(message)
    assert "red" in message


@pytest.mark.parametrize("text", ["Genève · São Paulo", "a b", "VIP\u00a0customer", "Ω 日本"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert read_json(json.dumps({"label": text}).encode()) == {"label": text}
