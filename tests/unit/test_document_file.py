"""What a document is, is seen by its content; what the provider would refuse isn't sent."""

import pytest

from didflow.contract.document_file import MAX_BYTES, read_paper
from didflow.contract.errors import InvalidRequest

PDF = b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\ntrailer << /Root 1 0 R >>"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (PDF, "id.pdf"),
        (b"\x89PNG\r\n\x1a\n....", "id.png"),
        (b"\xff\xd8\xff\xe0....", "id.jpg"),
        (b"II*\x00....", "id.tiff"),
        (b"MM\x00*....", "id.tiff"),
        (b"BM....", "id.bmp"),
    ],
)
def test_the_provider_s_formats_are_known_by_their_content(content: bytes, name: str) -> None:
    assert read_paper("id", content).file_name == name


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"GIF89a....", "neither PDF"),
        (b"<html>not a pdf</html>", "neither PDF"),
        (PDF + b" " * MAX_BYTES, "at most"),
        (PDF.replace(b"/Root", b"/Encrypt 5 0 R /Root"), "with a password"),
        (PDF + b"/Type /Sig /ByteRange [0 100 200 300]", "digitally signed"),
    ],
)
def test_what_the_provider_would_refuse_is_named(content: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_paper("id", content)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_paper("passport", b"GIF89a")
    assert [where for where, _ in refused.value.faults] == ["type", "file"]


def test_a_pdf_that_only_speaks_of_metadata_has_no_password() -> None:
    read_paper("address", PDF + b"/EncryptMetadata false")


def test_nothing_that_prints_a_document_prints_its_content() -> None:
    assert b"Catalog" in read_paper("id", PDF).content
    assert "Catalog" not in repr(read_paper("id", PDF))
