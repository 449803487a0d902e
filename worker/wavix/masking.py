"""The API key taken out of whatever the provider sends back, in every form in which a server may quote it."""

import base64
import html.entities
import re
from collections.abc import Iterator

MASKED = "***"
#: A shorter key isn't looked up in base64 and hexadecimal: a few letters would be found everywhere.
ENCODED_FROM_CHARS = 8


class KeyMask:
    """Replaces the key, in text or bytes: as it is, escaped for JSON, a URL or HTML (also repeatedly), in base64 or hexadecimal."""

    def __init__(self, key: str) -> None:
        self._in_text = _Forms(key)
        self._in_bytes = _Forms(key.encode().decode("latin-1"))

    def text(self, given: str) -> str:
        return self._in_text.masked(given)

    def raw(self, given: bytes) -> bytes:
        """Byte by byte, whatever the encoding."""
        return self._in_bytes.masked(given.decode("latin-1")).encode("latin-1")


class _Forms:
    """The forms of one key, and how to find them."""

    def __init__(self, key: str) -> None:
        self._plain = tuple(_forms(key))
        # Each character of each form may itself be escaped: base64 has slashes, which PHP's JSON writes as ``\\/``.
        self._pattern = re.compile("|".join("".join(map(_escaped, form)) for form in self._plain) or r"(?!)")
        marks = "".join(sorted({re.escape(one) for form in self._plain for one in form if not one.isalnum()}))
        self._escapes = re.compile(r"\\u00|%[0-9A-Fa-f]{2}|&#|&[A-Za-z]+;" + (rf"|\\[{marks}]" if marks else ""))

    def masked(self, given: str) -> str:
        # The pattern takes 10 ms for a long page; most have no escape in them, and then the key could only stand there as it is.
        if any(form in given for form in self._plain) or self._escapes.search(given):
            return self._pattern.sub(MASKED, given)
        return given


def _forms(key: str) -> Iterator[str]:
    if key:
        yield key
    if len(key) < ENCODED_FROM_CHARS:
        return
    content = key.encode("latin-1", "ignore")
    yield from {content.hex(), content.hex().upper()}
    for before in range(3):
        # Base64 encodes three bytes together: what the key becomes depends on how many bytes come before it (`Bearer `, `user:`).
        # Only the characters that its own bits decide are looked up.
        first, end = -(-before * 8 // 6), (before + len(content)) * 8 // 6
        encoded = bytes(before) + content
        yield from {base64.b64encode(encoded).decode()[first:end], base64.urlsafe_b64encode(encoded).decode()[first:end]}


def _escaped(character: str) -> str:
    """A pattern for one character, plain or escaped. Repetitions are bounded: a megabyte of backslashes must not take quadratic time."""
    code = ord(character)
    digits = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{code:02x}")
    forms = [rf"\\{{1,8}}u00{digits}", rf"%(?:25){{0,4}}{digits}", rf"&(?:amp;){{0,4}}#(?:0{{0,8}}{code}|[xX]0{{0,8}}{digits});?"]
    if name := {39: "apos"}.get(code) or html.entities.codepoint2name.get(code):
        forms.append(f"&(?:amp;){{0,4}}{name};")
    if not character.isalnum():
        forms.append(r"\\{1,8}" + re.escape(character))
    return f"(?:{'|'.join((*forms, re.escape(character)))})"
