"""The file of a document on its way from the HTTP server that took it to the worker that uploads it: published in parts.

Redis stores nothing of what is published: neither its append-only file nor a snapshot has it. The worker asks for one part after the
other, so a part that is lost is asked for again, and no connection has more than a part waiting for it. The digest comes before the
content in a message, so that not even `SLOWLOG`, which has the first 128 characters of an argument in memory, shows any of it.
"""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import redis

from didflow.ledger.async_client import AsyncLedgerClient
from didflow.ledger.connection import translated
from didflow.ledger.keys import Keys

#: Bytes of a part.
PART_BYTES = 192 * 1024
#: How long a worker waits for the first part before it asks again, since the server may just have begun to listen; and for each other part.
FIRST_AGAIN_S, AGAIN_S = 0.1, 0.5
#: How long it waits for any server that has the file.
GIVE_UP_S = 10.0
#: How often a server awaits `tick`.
TICK_S = 1.0


@dataclass(frozen=True)
class Question:
    """Which part of which job's file a worker asks for. `to`: the channel for the answer."""

    job_id: str
    sha256: str
    offset: int
    to: str


def fetch(client: redis.Redis, keys: Keys, job_id: str, sha256: str, size_bytes: int, check: Callable[[], None]) -> bytes | None:
    """What a server says is this file; None if none has answered for `GIVE_UP_S`. Raises ServiceUnavailable, and what `check` raises."""
    to = keys.document_parts(secrets.token_hex(8))
    content, heard_s = b"", time.monotonic()
    with translated(), client.pubsub() as listening:  # type: ignore[no-untyped-call]
        listening.subscribe(to)
        while len(content) < size_bytes:
            check()
            client.publish(keys.document_questions, json.dumps(asdict(Question(job_id, sha256, len(content), to))))
            part = _part(listening, len(content), size_bytes, AGAIN_S if content else FIRST_AGAIN_S)
            if part:
                content, heard_s = content + part, time.monotonic()
            elif time.monotonic() - heard_s >= GIVE_UP_S:
                return None
    return content


def _part(listening: Any, offset: int, size_bytes: int, within_s: float) -> bytes:
    """The part that begins there; nothing if it doesn't come in time. Another answer to an earlier question is passed over."""
    until_s = time.monotonic() + within_s
    while (left_s := until_s - time.monotonic()) > 0:
        message = listening.get_message(timeout=left_s)
        found = _read(message)
        if found is None or found.get("offset") != offset:
            continue
        try:
            part = base64.b64decode(found["content"], validate=True)
        except (KeyError, TypeError, ValueError):
            continue
        if len(part) <= size_bytes - offset:
            return part
    return b""


async def answer_questions(ledger: AsyncLedgerClient, content_of: Callable[[Question], bytes | None], tick: Callable[[], Any]) -> None:
    """Answer workers until this is cancelled. `content_of`: the whole file, if it is here. `tick` is awaited about every second.

    Raises ServiceUnavailable.
    """
    with translated():
        async with ledger.client.pubsub() as listening:
            await listening.subscribe(ledger.keys.document_questions)
            ticked_s = time.monotonic()
            while True:
                message = await listening.get_message(timeout=TICK_S)
                if (question := _question(_read(message))) is not None and (content := content_of(question)) is not None:
                    await ledger.client.publish(question.to, await asyncio.to_thread(_answer, question, content))
                if time.monotonic() - ticked_s >= TICK_S:
                    await tick()
                    ticked_s = time.monotonic()


def _answer(question: Question, content: bytes) -> str:
    part = content[question.offset : question.offset + PART_BYTES]
    before = {"job_id": question.job_id, "sha256": question.sha256, "offset": question.offset}
    return json.dumps(before | {"content": base64.b64encode(part).decode()})


def _read(message: Any) -> dict[str, Any] | None:
    """The JSON of a published message; None for anything else."""
    if not message or message.get("type") != "message":
        return None
    try:
        found = json.loads(message["data"])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _question(found: dict[str, Any] | None) -> Question | None:
    match found:
        case {"job_id": str() as job_id, "sha256": str() as sha256, "offset": int() as offset, "to": str() as to} if offset >= 0:
            return Question(job_id, sha256, offset, to)
    return None
