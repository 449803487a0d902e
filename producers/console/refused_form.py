"""A form that was refused, shown again on its page with what was typed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser
from typing import Any

from producers.console.forms import CSRF_FIELD, Form

#: The page that a form is on.
PAGE_FIELD = "page"
#: Hidden fields that say what the reader saw; the page has its own. Any other says what the form is about.
SEEN_FIELDS = frozenset({"tag", "seen", "signing", "checked"})
#: What a browser may be given back. Files and secrets aren't.
_TEXTS = frozenset({"text", "search", "number", "url", "email", "date", "datetime-local"})
_TICKED = frozenset({"checkbox", "radio"})


@dataclass(frozen=True)
class RefusedForm:
    """`action`: where it was sent; `wrong`: the names of fields with faults; `why`: what its page says about it.

    `is_change`: it was to change something; else it holds filters.
    """

    action: str
    form: Form
    wrong: frozenset[str]
    why: Any
    is_change: bool = True


@dataclass(frozen=True)
class _Tag:
    """A start tag in the page, from `start` to `end`."""

    name: str
    attributes: tuple[tuple[str, str | None], ...]
    start: int
    end: int

    def get(self, name: str, otherwise: str = "") -> str:
        return next((value or "" for key, value in self.attributes if key == name), otherwise)

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.attributes)

    def written(self, **changed: str | bool) -> str:
        """The tag with other attributes: a text, True (it has no value) or False (it goes)."""
        kept = [(key, value) for key, value in self.attributes if key not in changed]
        kept += [(key, None if value is True else str(value)) for key, value in changed.items() if value is not False]
        return f"<{self.name}" + "".join(f" {key}" if value is None else f' {key}="{escape(value)}"' for key, value in kept) + ">"


@dataclass
class _FormOnPage:
    tag: _Tag
    around: Sequence[_Tag]
    fields: list[_Tag] = field(default_factory=list)
    #: An option, or a text area, and its text.
    texts: list[tuple[_Tag, str, str]] = field(default_factory=list)


class _Forms(HTMLParser):
    """The forms of a page, with where their tags stand."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[_FormOnPage] = []
        self._lines = [0, *(at + 1 for at, char in enumerate(page) if char == "\n")]
        self._details: list[_Tag] = []
        self._form: _FormOnPage | None = None
        self._select, self._open, self._text = "", None, ""  # type: str, _Tag | None, str
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line, column = self.getpos()
        start = self._lines[line - 1] + column
        found = _Tag(tag, tuple(attrs), start, start + len(self.get_starttag_text() or ""))
        match tag:
            case "details":
                self._details.append(found)
            case "form":
                self._form = _FormOnPage(found, tuple(self._details))
                self.found.append(self._form)
            case "input" if self._form is not None:
                self._form.fields.append(found)
            case "select":
                self._select = found.get("name")
            case "option" | "textarea":
                self._open, self._text = found, ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        match tag:
            case "details" if self._details:
                self._details.pop()
            case "form":
                self._form = None
            case "option" | "textarea" if self._open is not None:
                if self._form is not None:
                    name = self._select if tag == "option" else self._open.get("name")
                    self._form.texts.append((self._open, name, self._text))
                self._open = None


def with_refused(page: str, refused: RefusedForm) -> str:
    """The page with the form as it was typed, open; as it is, if it has no such form any more."""
    candidates = [one for one in _Forms(page).found if one.tag.get("action") == refused.action and _is_same(one, refused.form)]
    if not candidates:
        return page
    # Two forms about the same are one question, once in the menu and once on the page itself.
    edits = {start: (end, text) for start, end, text in _edits(page, candidates[-1], refused)}
    parts, at = [], 0
    for start, (end, text) in sorted(edits.items()):
        parts += [page[at:start], text]
        at = end
    return "".join([*parts, page[at:]])


def _is_same(found: _FormOnPage, sent: Form) -> bool:
    """Whether it is about the same things."""
    about = [one for one in _hidden(found) if one.get("name") not in {CSRF_FIELD, PAGE_FIELD, *SEEN_FIELDS}]
    return all(one.get("value") in sent.all(one.get("name")) for one in about)


def _hidden(found: _FormOnPage) -> list[_Tag]:
    return [one for one in found.fields if one.get("type") == "hidden"]


def _edits(page: str, found: _FormOnPage, refused: RefusedForm) -> Iterator[tuple[int, int, str]]:
    """Parts of the page and what takes their place."""
    sent = refused.form
    # What the reader saw has changed: the choices, which rest on it, are made again.
    is_as_seen = all(one.get("value") == sent[one.get("name")] for one in _hidden(found) if one.get("name") in SEEN_FIELDS)
    marked: dict[str, str | bool] = {"id": "refused-form", "data-typed": True}
    yield found.tag.start, found.tag.end, found.tag.written(**marked)
    for one in found.around:
        yield one.start, one.end, one.written(open=True)
    for one in found.fields:
        name, kind = one.get("name"), one.get("type", "text")
        marks: dict[str, str | bool] = {"aria-invalid": "true"} if name in refused.wrong else {}
        if kind in _TEXTS and sent.has(name):
            yield one.start, one.end, one.written(value=sent[name], **marks)
        elif kind in _TICKED and is_as_seen:
            yield one.start, one.end, one.written(checked=one.get("value", "on") in sent.all(name), **marks)
    for one, name, text in found.texts:
        if one.name == "textarea" and sent.has(name):
            typed = next(value for key, value in sent.fields if key == name)
            yield one.end, page.index("</textarea", one.end), "\n" + escape(typed)  # A browser drops a newline that comes first.
        elif one.name == "option" and sent.has(name) and is_as_seen:
            yield one.start, one.end, one.written(selected=one.get("value", text.strip()) == sent[name])
