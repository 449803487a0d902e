"""Patterns for texts in requests, each with a description for error messages."""

# U+FFFD stands where a byte of a stored request could not be read; so a damaged one is never taken for another request.
PRINTABLE, URL = r"^[^\x00-\x1f\x7f-\x9f\ufffd]+$", r"^https?://[^\s\x00-\x1f\x7f-\x9f\ufffd]+$"
NO_SPACES = r"^[^\s\x00-\x1f\x7f-\x9f\ufffd]+$"
DIGITS, WILD = r"^[0-9]+$", r"^[0-9?*]+$"
SHA256 = r"^[0-9a-f]{64}$"

IN_WORDS = {
    PRINTABLE: "needs text without control characters",
    DIGITS: "needs digits alone, such as 213",
    URL: "needs an address that begins with http:// or https://, without spaces",
    WILD: "needs digits, with ? for any one digit and * for any number of digits, such as *777",
    SHA256: "needs a SHA-256 as 64 digits from 0 to f",
    NO_SPACES: "needs text without spaces and control characters",
}
