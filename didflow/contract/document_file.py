"""A document that a number needs before it takes calls, checked against the provider's limits before anything is sent.

The limits are those of the OpenAPI descriptions (both dialects): PNG, JPEG, TIFF, BMP or PDF, 10 MB at most, no password, and no
digital signature in a PDF. What a file is, is seen by its content; its name says nothing.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from didflow.contract.errors import InvalidRequest

#: The provider's document types, by the names that its lists have, and their ids.
DocumentKind = Literal["id", "address", "localaddress"]
DOCUMENT_IDS: dict[str, int] = {"id": 1, "address": 2, "localaddress": 3}
#: What the published contracts call them, where the provider's own list of types isn't known.
DOCUMENT_TITLES: Mapping[str, str] = {"id": "Any form of ID", "address": "Proof of address", "localaddress": "Proof of local address"}

#: "10 MB", in the smaller of its two readings.
MAX_BYTES = 10_000_000

_FORMATS = (
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"II*\x00", "image/tiff", "tiff"),
    (b"MM\x00*", "image/tiff", "tiff"),
    (b"BM", "image/bmp", "bmp"),
    (b"%PDF-", "application/pdf", "pdf"),
)
#: The media types of files that the provider takes.
MEDIA_TYPES = tuple(dict.fromkeys(media for _, media, _ in _FORMATS))
# In the file's trailer, which is never compressed.
_PDF_PASSWORD = re.compile(rb"/Encrypt\s*(?:\d+\s+\d+\s+R|<<)")
# A signature says which bytes it covers, so it can't be compressed either.
_PDF_SIGNATURE = re.compile(rb"/ByteRange\s*\[")


@dataclass(frozen=True)
class Paper:
    """A checked document. `file_name` is neutral: customers often put their own name into a file's name.

    Its content is in no `repr`, so that nothing which prints it can print a passport.
    """

    kind: DocumentKind
    content_type: str
    file_name: str
    content: bytes = field(repr=False)


def described(kinds: Iterable[str], titles: Mapping[str, str]) -> str:
    """Types of documents for people: each with what the provider calls it."""
    known = {**DOCUMENT_TITLES, **titles}
    return ", ".join(f"{kind} ({known[kind]})" if known.get(kind) else kind for kind in kinds)


def read_paper(kind: str, content: bytes) -> Paper:
    """Raises InvalidRequest, with every reason, for what the provider would refuse."""
    known = next((one for one in get_args(DocumentKind) if one == kind), None)
    form = next(((media, ending) for begins, media, ending in _FORMATS if content.startswith(begins)), None)
    faults = [("type", f"{kind[:40]!r} is no document type: {', '.join(get_args(DocumentKind))}")] if known is None else []
    if not content:
        faults.append(("file", "is empty"))
    elif form is None:
        faults.append(("file", "is neither PDF, PNG, JPEG, TIFF nor BMP, whatever its name says"))
    if len(content) > MAX_BYTES:
        faults.append(("file", f"has {len(content):,} bytes; the provider takes {MAX_BYTES:,} at most"))
    if form is not None and form[1] == "pdf":
        if _PDF_PASSWORD.search(content):
            faults.append(("file", "is a PDF with a password: save it without one"))
        if _PDF_SIGNATURE.search(content):
            faults.append(("file", "is a digitally signed PDF, which the provider refuses: print it to a new PDF"))
    if known is None or form is None or faults:
        raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), tuple(faults))
    return Paper(known, form[0], f"{known}.{form[1]}", content)
