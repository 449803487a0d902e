"""The demo's order over HTTP: sent with `curl`, and answered by a signed webhook."""

import base64
import hmac
import json
import queue
import shlex
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rich.console import Console

from didflow.contract.errors import ServiceUnavailable

#: Of the processes that serve HTTP and deliver webhooks: the demo's receiver is on this machine.
ENVIRONMENT = {"DIDFLOW_WEBHOOK_NETWORKS": "127.0.0.0/8"}
COMES_WITHIN_S = 30.0
ORDER = {"request": {"country": "US", "city": "SAN DIEGO, CA"}, "reference": "demo"}
_KEY = "order-4718"

Delivery = tuple[Mapping[str, str], bytes]


class HttpDemo:
    """`url`: where `didflow serve` listens."""

    def __init__(self, url: str, console: Console) -> None:
        self._url, self._console = url, console

    def run(self) -> str:
        """Order one number, and show the webhook that says so; the job's id. Raises ServiceUnavailable if none comes or it isn't ours."""
        with _receiver() as (hook, arrived):
            wanted = {"name": "demo", "url": hook, "types": ["didflow.job.succeeded.v1"]}
            secret = str(_posted(f"{self._url}/v1/webhooks", wanted, {})["secret"])
            self._say("\n[bold]buy 1 in San Diego over HTTP; a webhook says when it is done[/]")
            job = str(self._ordered()["id"])
            headers, body = _next(arrived)
            if not is_signed(secret, headers, body):
                raise ServiceUnavailable("a webhook came whose signature isn't right")
            self._console.print(
                f"  POST {hook}\n  webhook-id: {headers['webhook-id']}\n  webhook-signature: {headers['webhook-signature']}"
            )
            event = json.loads(body)
            numbers = ", ".join(number["number"] for number in event["data"]["numbers"])
            self._say(f"  [green]{event['type']}: {numbers}; the signature is right[/]")
        return job

    def _ordered(self) -> dict[str, Any]:
        url, headers = f"{self._url}/v1/jobs/search-and-buy", {"Content-Type": "application/json", "Idempotency-Key": _KEY}
        curl = shutil.which("curl")
        options = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
        command = ["curl", "-s", url, *options, "-d", json.dumps(ORDER)]
        self._console.print(f"  {shlex.join(command)}", style="dim", soft_wrap=True, markup=False)
        if curl is None:
            self._say("  there is no curl here: sent with Python instead")
            return _posted(url, ORDER, headers)
        done = subprocess.run([curl, "--noproxy", "*", "--max-time", "30", *command[1:]], capture_output=True, check=False)
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise ServiceUnavailable(f"curl got no answer from the HTTP API (exit code {done.returncode})") from None
        self._console.print(f'  {{"id": "{answer["id"]}", "state": "{answer["state"]}", …}}', markup=False)
        return answer

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False)


def is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """As a receiver verifies it by Standard Webhooks; one that isn't a demo also refuses an old timestamp."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
    expected = f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"
    return any(hmac.compare_digest(expected, one) for one in headers["webhook-signature"].split())


def _posted(url: str, body: object, headers: Mapping[str, str]) -> dict[str, Any]:
    """Raises ServiceUnavailable for anything but a success."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError) as error:
        raise ServiceUnavailable(f"the HTTP API doesn't take the demo's request ({error})") from None


def _next(arrived: "queue.Queue[Delivery]") -> Delivery:
    try:
        return arrived.get(timeout=COMES_WITHIN_S)
    except queue.Empty:
        raise ServiceUnavailable(f"no webhook came within {COMES_WITHIN_S:g} s") from None


@contextmanager
def _receiver() -> Iterator[tuple[str, "queue.Queue[Delivery]"]]:
    """A receiver on this machine: its URL, and what comes."""
    arrived: queue.Queue[Delivery] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()
            arrived.put(({name.lower(): text for name, text in self.headers.items()}, body))

        def log_message(self, *_: object) -> None:
            """Nothing: the demo shows what came."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", arrived
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
