"""Hears everything that the two streams say, through every outage, as a consumer would."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, cast

import redis

from didflow.contract.release_events import CALLS_CAME
from didflow.contract.states import REPORTED
from didflow.ledger.commands import Entries, entries_of
from didflow.ledger.connection import connect
from didflow.ledger.consumer_groups import parse_event
from didflow.ledger.keys import Keys
from tests.campaign.oracle import Heard

BLOCK_MS = 300
GROUP = "campaign"


class Listener:
    """Reads both streams from their beginning. Events about accounts are counted and not kept: they belong to no job.
    Of the calls that came for numbers the numbers are kept."""

    def __init__(self, url: str, namespace: str) -> None:
        self.heard = Heard()
        self.about_accounts: list[str] = []
        self._url, self._keys = url, Keys(namespace)
        self._last = {self._keys.results: "0-0", self._keys.events: "0-0"}
        self._given_up: dict[str, str] = {}
        self._reported: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def reported(self) -> int:
        """How many jobs have ended or are parked."""
        return len(self._reported)

    def catch_up(self) -> None:
        """Return when everything that is there by now has been heard."""
        client = connect(self._url)
        newest = {stream: self._newest(client, stream) for stream in self._last}
        _wait(lambda: all(_order(self._last[stream]) >= _order(entry_id) for stream, entry_id in newest.items()))

    def _newest(self, client: redis.Redis, stream: str) -> str:
        entries = cast("Entries", client.xrevrange(stream, count=1))
        return entries[0][0] if entries else "0-0"

    def _listen(self) -> None:
        client = connect(self._url)
        while not self._stop.is_set():
            try:
                for stream in self._last:
                    replies = client.xread(
                        {stream: self._last[stream]}, count=500, block=BLOCK_MS if stream == self._keys.results else None
                    )
                    for entry_id, fields in entries_of(replies):
                        self._take_in(stream, entry_id, fields)
                        self._last[stream] = entry_id
                    self._let_go(client)
            except (redis.RedisError, OSError):
                self._stop.wait(0.2)

    def _let_go(self, client: redis.Redis) -> None:
        """What has been heard may be trimmed: the group has read and acknowledged so far, and no further."""
        for stream, entry_id in self._last.items():
            if entry_id not in ("0-0", self._given_up.get(stream)):
                if stream not in self._given_up:
                    with suppress(redis.ResponseError):
                        client.xgroup_create(stream, GROUP, id="0")
                client.xgroup_setid(stream, GROUP, entry_id)
                self._given_up[stream] = entry_id

    def _take_in(self, stream: str, entry_id: str, fields: dict[str, str]) -> None:
        if not fields.get("type", "").startswith("didflow.job."):
            self.about_accounts.append(fields.get("type", ""))
            if fields.get("type") == CALLS_CAME:
                self.heard.calls_came.append(str(json.loads(fields["data"])["number"]))
            return
        event = parse_event(fields)
        if stream == self._keys.results:
            self.heard.results[entry_id] = event
            if event.data.state in REPORTED:
                self._reported.add(event.subject)
        else:
            self.heard.events[entry_id] = event


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)


def _wait(met: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < deadline_s, "the streams were not read to their end"
        time.sleep(0.05)
