"""Server-Sent Events: each event once, in order, resumed where the client was."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from structlog.testing import capture_logs

from didflow import AsyncDidflow
from didflow.contract.api_keys import ApiScope
from didflow.ledger.api_keys import revoke
from producers.http.feed import Feed
from tests.support.foreign_entries import FOREIGN
from tests.support.http_server import WITHIN_S, Api, serving
from tests.support.ledger_roles import claimed, finished, submitted
from worker.local.embedded_valkey import EmbeddedValkey


class Listening:
    """Reads one stream, message by message."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer, self._lines = answer, answer.iter_lines()
        self.last_id = ""

    def message(self) -> dict[str, str]:
        """The next one with data, or `{}` at the end of the stream."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line and "data" in fields:
                return fields
            name, _, value = line.partition(": ")
            if name in ("id", "event", "data"):
                fields[name] = value
            if name == "id":
                self.last_id = value
        return {}

    def next(self) -> dict[str, object]:
        """Its CloudEvent."""
        found: dict[str, object] = json.loads(self.message()["data"])
        return found


@contextmanager
def listening(api: Api, path: str, *, last_event_id: str | None = None, http: httpx.Client | None = None) -> Iterator[Listening]:
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    with (http or api.http).stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        found = Listening(answer)
        if last_event_id is None and "/jobs/" not in path:
            for line in found._lines:  # Its first line with an id says that everything from here on is heard.
                if line.startswith("id: "):
                    found.last_id = line[4:]
                    break
        yield found


def ended(api: Api, job_id: str) -> None:
    assert finished(api.ledger, claimed(api.ledger, job_id))


def test_an_event_comes_as_it_is_on_the_stream(api: Api) -> None:
    with listening(api, "/v1/events") as events:
        assert events.answer.headers["content-type"].startswith("text/event-stream")
        assert events.answer.headers["x-accel-buffering"] == "no"
        job_id = submitted(api.ledger, reference="acme").id
        ended(api, job_id)
        found = [events.next() for _ in range(3)]
    assert [event["type"] for event in found] == [f"didflow.job.{state}.v1" for state in ("queued", "running", "succeeded")]
    assert [event["id"] for event in found] == [f"{job_id}:{count}" for count in (1, 2, 3)]
    assert {event["subject"] for event in found} == {job_id}
    assert found[0]["specversion"] == "1.0"
    assert isinstance(found[0]["data"], dict)
    assert found[0]["data"]["reference"] == "acme"


def test_a_client_continues_behind_its_last_event(api: Api) -> None:
    with listening(api, "/v1/events") as events:
        first = submitted(api.ledger).id
        assert events.next()["subject"] == first
        last = events.last_id
    missed = [submitted(api.ledger).id for _ in range(3)]
    ended(api, missed[0])
    with listening(api, "/v1/events", last_event_id=last) as events:
        found = [events.next() for _ in range(5)]
        assert [event["subject"] for event in found] == [*missed, missed[0], missed[0]]
        later = submitted(api.ledger).id
        assert events.next()["subject"] == later


def test_a_new_listener_hears_nothing_older_while_the_reader_is_behind(api: Api, valkey: EmbeddedValkey) -> None:
    async def hear() -> list[str]:
        didflow = AsyncDidflow.from_url(valkey.url, api.ledger.keys.namespace)
        feed = Feed(didflow)
        try:
            async with feed.listening(lambda _: True) as early:
                jobs.append(submitted(api.ledger).id)  # Nothing is awaited here, so the reader can't have it before the next one listens.
                async with feed.listening(lambda _: True) as late:
                    jobs.append(submitted(api.ledger).id)
                    heard = [await listener.next(WITHIN_S) for listener in (early, early, late)]
        finally:
            await feed.aclose()
            await didflow.aclose()
        return [item.subject for item in heard if item]

    jobs: list[str] = []
    heard = asyncio.run(hear())
    older, newer = jobs
    assert heard == [older, newer, newer]


def test_everything_that_is_kept_is_read_from_the_beginning(api: Api) -> None:
    job_id = submitted(api.ledger).id
    ended(api, job_id)
    with listening(api, "/v1/events", last_event_id="0") as events:
        seen: list[object] = []
        while f"{job_id}:3" not in seen:
            seen.append(events.next()["id"])
    assert len(seen) == len(set(seen)), "each once"
    assert [one for one in seen if str(one).startswith(job_id)] == [f"{job_id}:{count}" for count in (1, 2, 3)]


def test_a_job_is_followed_to_its_end(api: Api) -> None:
    job_id = submitted(api.ledger).id
    with listening(api, f"/v1/jobs/{job_id}/events") as events:
        first = events.message()
        assert (first["event"], json.loads(first["data"])["state"]) == ("job", "queued")
        submitted(api.ledger)
        ended(api, job_id)
        assert [events.next()["type"] for _ in range(2)] == ["didflow.job.running.v1", "didflow.job.succeeded.v1"]
        assert events.message() == {}
        last = events.last_id
    again = api.http.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": last})
    assert again.status_code == 204


def test_a_job_that_has_ended_is_shown_once(api: Api) -> None:
    job_id = submitted(api.ledger).id
    ended(api, job_id)
    with listening(api, f"/v1/jobs/{job_id}/events") as events:
        assert json.loads(events.message()["data"])["state"] == "succeeded"
        assert events.message() == {}


def test_an_end_that_was_missed_is_sent_later(api: Api) -> None:
    job_id = submitted(api.ledger).id
    with listening(api, f"/v1/jobs/{job_id}/events") as events:
        events.message()
        last = events.last_id
    ended(api, job_id)
    with listening(api, f"/v1/jobs/{job_id}/events", last_event_id=last) as events:
        assert [events.next()["type"] for _ in range(2)] == ["didflow.job.running.v1", "didflow.job.succeeded.v1"]
        assert events.message() == {}


def test_only_the_wanted_events_come(api: Api) -> None:
    path = "/v1/events?reference=mine&type=didflow.job.succeeded.v1&type=didflow.job.queued.v1"
    with listening(api, path) as events:
        submitted(api.ledger, reference="other")
        mine = submitted(api.ledger, reference="mine").id
        ended(api, mine)
        assert [events.next()["id"] for _ in range(2)] == [f"{mine}:1", f"{mine}:3"]


def test_a_limited_key_hears_its_own_jobs_only(api: Api) -> None:
    with (
        api.client(api.key("listener", ApiScope.READ, reference_prefix="shop-")) as http,
        listening(api, "/v1/events", http=http) as events,
    ):
        submitted(api.ledger, reference="other-1")
        submitted(api.ledger)
        api.ledger.pause_account("default", 401, "wrong key")
        api.ledger.resume_account("default")
        mine = submitted(api.ledger, reference="shop-1").id
        assert events.next()["subject"] == mine


@pytest.mark.parametrize("stream", ["results", "events"])
def test_what_others_write_to_a_stream_is_passed_over(api: Api, stream: str) -> None:
    def write_foreign() -> None:
        with api.ledger.client.pipeline(transaction=True) as together:
            for fields in FOREIGN:
                together.xadd(getattr(api.ledger.keys, stream), fields)  # type: ignore[arg-type]
            written.extend(together.execute())

    written: list[str] = []
    with capture_logs() as logged:
        with listening(api, "/v1/events") as stream_of_all:
            place = stream_of_all.last_id
            write_foreign()
            job = submitted(api.ledger).id
            assert stream_of_all.next()["subject"] == job, "as it comes"
        with listening(api, "/v1/events", last_event_id=place) as continued:
            assert continued.next()["subject"] == job, "and to one who missed it"
    api.ledger.client.xdel(getattr(api.ledger.keys, stream), *written)
    lines = [one for one in logged if one["event"] == "http.foreign_entries"]
    assert (sum(one["skipped"] for one in lines), {one["stream"] for one in lines}) == (len(FOREIGN), {stream})


def test_a_foreign_id_is_refused(api: Api) -> None:
    answer = api.http.get("/v1/events", headers={"Last-Event-ID": "abc"})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "Last-Event-ID")


def test_a_wait_ends_with_the_job(api: Api) -> None:
    body = {"request": {"country": "US", "dry_run": True}, "reference": "waits"}
    with ThreadPoolExecutor(1) as threads, listening(api, "/v1/events?reference=waits") as events:
        waiting = threads.submit(api.http.post, "/v1/jobs/search-and-buy", params={"wait": "60"}, json=body)
        job_id = str(events.next()["subject"])
        ended(api, job_id)
        answer = waiting.result()
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")


def test_a_wait_is_over_when_its_time_is(api: Api) -> None:
    body = {"request": {"country": "US", "dry_run": True}}
    for options in ({"params": {"wait": "0.05"}}, {"headers": {"Prefer": "respond-async, wait=0"}}):
        answer = api.http.post("/v1/jobs/search-and-buy", json=body, **options)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")


def test_a_job_that_ends_while_a_client_connects_is_followed_to_its_end(api: Api) -> None:
    """The end lies anywhere: in what was missed, in what is heard, or in both."""
    for _ in range(20):
        job_id = submitted(api.ledger).id
        claim = claimed(api.ledger, job_id)
        with ThreadPoolExecutor(1) as threads:
            ending = threads.submit(finished, api.ledger, claim)
            with listening(api, f"/v1/jobs/{job_id}/events") as events:
                seen = []
                while message := events.message():
                    seen.append(json.loads(message["data"]))
            assert ending.result()
        assert seen[-1].get("state") == "succeeded" or seen[-1]["type"] == "didflow.job.succeeded.v1"


def test_a_silent_stream_shows_that_it_lives_until_its_key_does_not(api: Api, valkey: EmbeddedValkey) -> None:
    secret = api.key("revoked", ApiScope.READ)
    headers = {"Authorization": f"Bearer {secret}"}
    with (
        serving(api.ledger, valkey.url, heartbeat_s=0.05) as url,
        httpx.stream("GET", f"{url}/v1/events", headers=headers, trust_env=False, timeout=WITHIN_S) as answer,
    ):
        lines = answer.iter_lines()
        assert next(line for line in lines if line == ":")
        api.ledger.perform(revoke(api.ledger.commands, "revoked"))
        assert set(lines) <= {"", ":"}, "and then it ends"


def test_a_busy_stream_ends_with_its_key_too(api: Api, valkey: EmbeddedValkey) -> None:
    """What is written never pauses for as long as a heartbeat."""
    secret = api.key("busy", ApiScope.READ)
    headers = {"Authorization": f"Bearer {secret}"}
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(0.02):
            submitted(api.ledger)

    with (
        ThreadPoolExecutor(1) as threads,
        serving(api.ledger, valkey.url, heartbeat_s=1.0) as url,
        httpx.stream("GET", f"{url}/v1/events", headers=headers, trust_env=False, timeout=WITHIN_S) as answer,
    ):
        writing = threads.submit(write)
        try:
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith("data: "))
            api.ledger.perform(revoke(api.ledger.commands, "busy"))
            for read, _ in enumerate(lines):
                assert read < 10_000, "it goes on without its key"
        finally:
            ended.set()
        writing.result()
