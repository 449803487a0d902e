"""The documents that a number needs: what the sandbox takes, and how its staff reviews them."""

from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage

from worker.wavix.sandbox.stock import DOCUMENT_TYPES
from worker.wavix.sandbox.timeline import Timeline

#: How each format that the descriptions allow begins.
FORMATS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"BM", "image/bmp"),
    (b"%PDF-", "application/pdf"),
)
MAX_BYTES = 10 * 1024 * 1024


@dataclass
class Paper:
    """One document of one number. `status` over time: ``""`` before it was uploaded. `size` is all that is kept of its contents."""

    kind: int
    file_name: str
    content_type: str
    size: int
    status: Timeline[str]
    id: int


@dataclass(frozen=True)
class Upload:
    """What an upload's form holds."""

    record_ids: tuple[int, ...]
    kind: int
    file_name: str
    content: bytes


def content_type(content: bytes) -> str | None:
    """What the file is, by how it begins; None for what isn't taken."""
    return next((kind for begins, kind in FORMATS if content.startswith(begins)), None)


def form(content_type: str, body: bytes) -> dict[str, str | tuple[str, bytes]]:
    """The fields of a multipart/form-data body; a file's is its name and its content."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = message_from_bytes(head + body, policy=policy.HTTP)
    fields: dict[str, str | tuple[str, bytes]] = {}
    for part in message.iter_parts() if isinstance(message, EmailMessage) and message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            file_name = part.get_filename()
            fields[name] = (file_name, content) if file_name is not None else content.decode(errors="replace").strip()
    return fields


def upload_of(fields: object, *, by_name: bool = False) -> Upload | str:
    """The upload, or the name of the parameter that is missing or invalid. `by_name`: `doc_id` is a name and not a number."""
    known = fields if isinstance(fields, dict) else {}
    ids = [one.strip() for one in str(known.get("did_ids", "")).split(",")]
    if not all(one.isdigit() for one in ids):
        return "did_ids"
    kinds = {name: kind for kind, (name, _) in DOCUMENT_TYPES.items()} if by_name else {str(kind): kind for kind in DOCUMENT_TYPES}
    kind = kinds.get(str(known.get("doc_id")))
    if kind is None:
        return "doc_id"
    attached = known.get("doc_attachment")
    if not isinstance(attached, tuple) or content_type(attached[1]) is None or len(attached[1]) > MAX_BYTES:
        return "doc_attachment"
    return Upload(tuple(int(one) for one in ids), kind, *attached)
