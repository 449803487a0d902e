"""Submits over HTTP as another system does: a client of its own, which repeats with the same key until it is answered."""

import json
import random
import socket
import time
from http.client import HTTPConnection, HTTPException
from typing import Any

from pydantic import TypeAdapter

from didflow.contract.errors import ServiceUnavailable
from didflow.contract.requests import Request
from didflow.ledger.script_calls import Submission

#: A server that is frozen doesn't answer; then another connection is tried.
ANSWERED_WITHIN_S = 5.0
#: What is answered while Redis is away, and nothing else may be.
AWAY = 503


class HttpClient:
    """`counts`: how many submits were answered, and how many attempts weren't."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self._port, self._rng = port, rng
        self.answered = self.unanswered = 0

    def wait_until_served(self, within_s: float) -> None:
        """Raises ServiceUnavailable if nothing listens within this time."""
        deadline_s = time.monotonic() + within_s
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=ANSWERED_WITHIN_S).close()
            except OSError as error:
                if time.monotonic() > deadline_s:
                    raise ServiceUnavailable(f"nothing listens for HTTP after {within_s:g} s ({type(error).__name__})") from None
                time.sleep(0.05)
            else:
                return

    def submit(self, submission: Submission) -> str:
        """One attempt; the job's id. Raises ServiceUnavailable if there is no answer, AssertionError for one that may not be."""
        body = {"request": TypeAdapter(Request).dump_python(submission.request, mode="json"), "reference": submission.reference}
        headers = {"Content-Type": "application/json", "Idempotency-Key": submission.idempotency_key or ""}
        path = f"/v1/jobs{self._rng.choice(('', '', '?wait=0.5'))}"
        connection = HTTPConnection("127.0.0.1", self._port, timeout=ANSWERED_WITHIN_S)
        try:
            connection.request("POST", path, json.dumps(body), headers)
            if self._rng.random() < 0.05:
                raise ConnectionAbortedError  # The client dies before its answer.
            answer = connection.getresponse()
            status, found = answer.status, json.loads(answer.read())
        except (TimeoutError, OSError, HTTPException, ValueError) as error:
            self.unanswered += 1
            raise ServiceUnavailable(f"no answer over HTTP ({type(error).__name__})") from None
        finally:
            connection.close()
        return self._job(status, found)

    def _job(self, status: int, found: dict[str, Any]) -> str:
        if status == AWAY:
            self.unanswered += 1
            raise ServiceUnavailable(str(found.get("detail")))
        assert status in (200, 202), f"a submit over HTTP was answered {status}: {found}"
        self.answered += 1
        return str(found["id"])
