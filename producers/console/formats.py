"""How times, money, durations, states and commands are written in pages."""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from markupsafe import Markup, escape

from didflow.contract.printable import printable
from didflow.contract.spending import amount_text, shown
from didflow.contract.states import JobState, Lane, Outcome

#: How a chip looks: its colour and its icon. Both go with a text, so that neither has to be seen.
LOOKS: dict[str, tuple[str, str]] = {
    JobState.SCHEDULED: ("idle", "clock"),
    JobState.QUEUED: ("idle", "queue"),
    JobState.RUNNING: ("info", "run"),
    JobState.WAITING: ("warn", "pause"),
    JobState.NEEDS_REVIEW: ("bad", "person"),
    JobState.SUCCEEDED: ("ok", "check"),
    JobState.PARTIAL: ("warn", "half"),
    JobState.FAILED: ("bad", "cross"),
    JobState.CANCELLED: ("idle", "stop"),
    JobState.EXPIRED: ("idle", "clock"),
    Outcome.BOUGHT: ("ok", "check"),
    Outcome.BOUGHT_INACTIVE: ("warn", "half"),
    Outcome.REUSED: ("ok", "check"),
    Outcome.ACTIVATED: ("ok", "check"),
    Outcome.ACCEPTED: ("info", "run"),
    Outcome.CONFIRMED: ("ok", "check"),
    Outcome.UNCHANGED: ("ok", "check"),
    Outcome.SUPERSEDED: ("idle", "stop"),
    Outcome.CHANGED_ELSEWHERE: ("warn", "half"),
    Outcome.RELEASED: ("ok", "check"),
    Outcome.ALREADY_RELEASED: ("idle", "check"),
    Outcome.PROTECTED: ("warn", "lock"),
    Outcome.IN_USE: ("warn", "lock"),
    Outcome.REFUSED: ("bad", "cross"),
    Outcome.NOT_FOUND: ("bad", "cross"),
    Outcome.UNCLEAR: ("bad", "person"),
    # Of incidents.
    "moving": ("info", "run"),
    "bringing_back": ("info", "run"),
    "moved": ("warn", "check"),
    "partly_moved": ("warn", "half"),
    "nothing_moved": ("idle", "stop"),
}
_PLAIN = ("idle", "dot")
KIND_NAMES = {
    "search_and_buy": "purchase",
    "move_batch": "batch",
    "follow_documents": "documents",
    "upload_document": "upload",
    "catalogue_look": "catalogue",
}
LANE_NAMES = {Lane.EMERGENCY: "emergency", Lane.MONEY: "money", Lane.BULK: "bulk"}


def look(word: str) -> dict[str, str]:
    """The colour and the icon of a state or an outcome."""
    colour, icon = LOOKS.get(word, _PLAIN)
    return {"colour": colour, "icon": icon}


def words(code: object) -> str:
    """A code as words: ``needs_review`` is ``needs review``."""
    return str(code).replace("_", " ")


def kind_name(kind: str) -> str:
    return KIND_NAMES.get(kind, words(kind))


def utc(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


_FORMS = {"full": "%d %b %Y, %H:%M:%S", "clock": "%H:%M:%S", "day": "%d %b %Y"}


def time(moment: datetime | float | None, form: str = "full") -> Markup:
    """A moment: as UTC in the page; the page's script writes it in the reader's zone. `form`: ``full``, ``clock`` or ``day``."""
    if moment is None:
        return Markup('<span class="none">–</span>')
    if isinstance(moment, int | float):
        moment = datetime.fromtimestamp(moment, UTC)
    at = moment.astimezone(UTC)
    shown_now = f"{at:{_FORMS[form]}}"
    machine = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    written = '<time datetime="{}" data-form="{}" title="{}"><span>{}</span><span class="zone"> UTC</span></time>'
    return Markup(written).format(machine, form, utc(at), shown_now)


def span(seconds: float | timedelta | None) -> str:
    """``0.31 s``, ``42 s``, ``3 min 5 s``, ``2 h 10 min``, ``4 d 3 h``."""
    if seconds is None:
        return "–"
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if seconds < 10:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s"
    for above, larger, smaller, names in ((86_400, 86_400, 3600, ("d", "h")), (3600, 3600, 60, ("h", "min")), (60, 60, 1, ("min", "s"))):
        if seconds >= above:
            whole, rest = divmod(int(seconds), larger)
            return f"{whole} {names[0]}" + (f" {rest // smaller} {names[1]}" if rest // smaller else "")
    return f"{seconds:.0f} s"


def ago(moment: datetime | None) -> str:
    """How long ago, in one unit: for what needn't be exact."""
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if seconds < 0:
        return "in " + _about(-seconds)
    return "just now" if seconds < 5 else f"{_about(seconds)} ago"


def _about(seconds: float) -> str:
    for unit_s, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {name}"
    return f"{seconds:.0f} s"


def usd(amount: Decimal | None) -> str:
    """Two decimals at least, as many as it has."""
    return "–" if amount is None else shown(amount, "usd")


def count(number: int) -> str:
    """With thin spaces between thousands."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def said(text: str) -> Markup:
    """A sentence of ours: what stands in backticks is a command."""
    parts = re.split(r"`([^`]+)`", text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts))


def sentence(text: str) -> str:
    """With a capital at its beginning and a full stop at its end."""
    stop = "" if text.endswith((".", "`")) or not text else "."
    return text[:1].upper() + text[1:] + stop


def plain(text: object) -> str:
    """A text from outside, in one line and without control characters or changes of direction."""
    return printable(str(text))


def pretty(value: Any) -> str:
    """A model as JSON for people, without what is empty."""
    dumped = value.model_dump(mode="json", exclude_none=True) if hasattr(value, "model_dump") else value
    return json.dumps({name: one for name, one in dumped.items() if one not in ([], "", None)}, indent=2, ensure_ascii=False)


def joined(parts: Iterable[object], by: str = ", ") -> str:
    return by.join(str(part) for part in parts if part)


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "amount": amount_text,
    "count": count,
    "joined_by": joined,
    "kind_name": kind_name,
    "look": look,
    "plain": plain,
    "pretty": pretty,
    "said": said,
    "sentence": sentence,
    "span": span,
    "time": time,
    "usd": usd,
    "utc": utc,
    "words": words,
}
