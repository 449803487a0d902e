"""The catalogue in the ledger: looks by account and question, each with its age, and the jobs that make new ones.

A look is stored as the SHA-256 of its JSON (hex) followed by the JSON, so that one that something else wrote or cut is never believed.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from didflow.contract.catalogue import Look
from didflow.contract.job_kinds import kind_of
from didflow.contract.requests import REQUEST_VERSION, CatalogueLook
from didflow.ledger.client import WORKER_ALIVE_MS
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.script_calls import RENUDGE_MS, Call, Submission, fingerprint, new_job_id

#: A longer text isn't stored, nor read.
MOST_LOOK_CHARS = 1_000_000
#: What the looks of one account may take up together.
MOST_ACCOUNT_BYTES = 32_000_000
#: Lowest in its lane: a look never goes before a job that does something.
PRIORITY = 9
#: A list that jobs read all the time is written this often.
FED_AGAIN_MS = 60_000
_DIGEST_CHARS = 64


@dataclass(frozen=True)
class AskReply:
    """What the catalogue has for a question.

    verdict   ``kept``: a look that is young enough · ``under_way``: a job makes one · ``new``: such a job was submitted · ``missing``: none
    job_id    the job that makes one, '' where there is none
    look      only with ``kept``; None if it can't be believed
    began_ms  of the newest look that is kept, however old; None: there is none
    now_ms    the ledger's clock
    """

    verdict: Literal["kept", "under_way", "new", "missing"]
    job_id: str
    look: Look | None
    began_ms: int | None
    now_ms: int


def ask(account: str, request: CatalogueLook, *, max_age_ms: int | None, submit: bool, actor: str) -> Call[AskReply]:
    """Read a look no older than `max_age_ms`; None: a new one is wanted. With `submit`, where there is none, have one made, once for all
    who ask."""
    question, job_id = request.question, new_job_id()
    print_of = fingerprint(Submission(request, account=account))
    kind = kind_of(request)
    args: tuple[str | int, ...] = (account, question, -1 if max_age_ms is None else max_age_ms, int(submit))
    job = (job_id, REQUEST_VERSION, kind.name, request.model_dump_json(), print_of, kind.lane.value, PRIORITY, RENUDGE_MS, actor)
    return Call("catalogue_ask", (*args, *job), lambda reply: _asked(reply, account, question))


def _asked(reply: Any, account: str, question: str) -> AskReply:
    verdict, job_id, text, began_ms, now_ms = reply
    look = read_look(text, account, question) if verdict == "kept" else None
    return AskReply(verdict, str(job_id), look, int(float(began_ms)) if began_ms else None, int(now_ms))


def keep(job_id: str, token: str, look: Look, text: str, *, kept_ms: int, most: int) -> Call[bool]:
    """Keep a look for this long, and at most this many of its account, unless a newer one is kept. Reads whether the lease holds."""
    args = (job_id, token, look.question, look.began_ms, text, kept_ms, most, MOST_ACCOUNT_BYTES)
    return Call("catalogue_keep", args, lambda reply: bool(reply != "lost"))


def feed(look: Look, text: str, *, kept_ms: int, most: int) -> Call[str]:
    """The same of a whole list that a job read for itself, where what is kept is older by a minute. Reads ``ok`` or ``older``."""
    return Call("catalogue_feed", (look.account, look.question, look.began_ms, text, kept_ms, most, MOST_ACCOUNT_BYTES, FED_AGAIN_MS), str)


def kept_look(keys: Keys, account: str, question: str) -> Command[Look | None]:
    """The look that is kept, however old. None if there is none that can be believed."""
    text: str | None = yield RedisCommand("hget", (keys.catalogue_looks(account), question))
    return None if text is None else read_look(text, account, question)


def look_text(look: Look) -> str:
    """As it is stored."""
    text = look.model_dump_json(exclude_defaults=True)
    return hashlib.sha256(text.encode()).hexdigest() + text


def read_look(text: str, account: str, question: str) -> Look | None:
    """None if it isn't what a worker wrote there."""
    digest, body = text[:_DIGEST_CHARS], text[_DIGEST_CHARS:]
    if len(text) > _DIGEST_CHARS + MOST_LOOK_CHARS or hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest() != digest:
        return None
    try:
        look = Look.model_validate_json(body)
    except ValidationError:
        return None  # A newer version's, perhaps.
    return look if (look.account, look.question) == (account, question) else None


def living_workers(keys: Keys, now_ms: int) -> Command[tuple[str, ...]]:
    """The worker processes that were alive a moment ago."""
    return tuple((yield RedisCommand("zrangebyscore", (keys.workers, now_ms - WORKER_ALIVE_MS, "+inf"))))


def emergency_under_way(keys: Keys, account: str, now_ms: int, within_ms: int) -> Command[bool]:
    """Whether a job of the emergency lane has called the provider within this time."""
    text: str | None = yield RedisCommand("hget", (keys.rate(account), "emergency_us"))
    return text is not None and text.isdigit() and 0 <= now_ms - int(text) // 1000 < within_ms
