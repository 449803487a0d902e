"""The key in every form in which a server may quote it, in raw bytes and in decoded texts."""

import base64
import html
import json
import time
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.wavix.masking import MASKED, KeyMask

KEY = "k-5d41/402a<bc&4b2a+76='x\""
FORMS = {
    "plain": KEY,
    "json": json.dumps(KEY)[1:-1],
    "php": KEY.replace("/", "\\/"),
    "unicode": "".join(f"\\u{ord(one):04X}" for one in KEY),
    "some_unicode": "".join(f"\\u{ord(one):04x}" if place % 2 else one for place, one in enumerate(KEY)),
    "twice_json": json.dumps("".join(f"\\u{ord(one):04x}" for one in KEY))[1:-1],
    "url": urllib.parse.quote(KEY, safe=""),
    "url_lower": urllib.parse.quote(KEY, safe="").lower().replace("k-5d41", "k-5d41"),
    "url_twice": urllib.parse.quote(urllib.parse.quote(KEY, safe=""), safe=""),
    "html": html.escape(KEY),
    "html_twice": html.escape(html.escape(KEY)),
    "html_codes": "".join(f"&#{ord(one)};" for one in KEY),
    "html_hex": "".join(f"&#x{ord(one):X};" for one in KEY),
    "hex": KEY.encode().hex(),
}


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_the_key_is_left(form: str) -> None:
    mask = KeyMask(KEY)
    assert mask.text(f"before {FORMS[form]} after") == f"before {MASKED} after"
    assert mask.raw(f"before {FORMS[form]} after".encode()) == f"before {MASKED} after".encode()


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, lambda raw: base64.b64encode(raw).replace(b"/", b"\\/")])
@pytest.mark.parametrize("before", ["", "a", "Bearer ", "appid:"])
@pytest.mark.parametrize("after", ["", ":", "end"])
def test_no_base64_of_the_key_shows_more_than_its_ends(encode: object, before: str, after: str) -> None:
    assert callable(encode)
    encoded = encode(f"{before}{KEY}{after}".encode()).decode()
    shown = KeyMask(KEY).text(encoded)
    assert MASKED in shown
    left = base64.b64decode(shown.partition(MASKED)[0] + "===")
    assert KEY[:2].encode() not in left


@given(st.text(st.characters(codec="utf-8", exclude_characters="\\%&"), max_size=200))
def test_a_text_without_the_key_stays_as_it_is(text: str) -> None:
    assert KeyMask(KEY).text(text) == text
    assert KeyMask(KEY).raw(text.encode()) == text.encode()


def test_a_megabyte_of_escapes_takes_no_long_time() -> None:
    mask = KeyMask(KEY)
    for filler in ("\\", "%25", "&amp;", "&#0", "k", "\\u00", "k-5d41"):
        began_s = time.monotonic()
        mask.raw((filler * 1_000_000)[:1_000_000].encode())
        assert time.monotonic() - began_s < 20, filler


def test_short_keys_are_masked_as_they_are() -> None:
    assert KeyMask("k7").text("a k7 b") == f"a {MASKED} b"
    assert KeyMask("").text("a") == "a"
