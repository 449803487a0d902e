"""A receiver of webhooks that acts once on each event, though events are delivered at least once.

Shows: checking the signature with the standard library alone, dropping what was seen, and answering before the work is done.

Run it beside `didflow up`. Both commands that call it need the network of this machine; the secret is what `create` prints:

    DIDFLOW_WEBHOOK_NETWORKS=127.0.0.0/8 didflow up
    DIDFLOW_WEBHOOK_NETWORKS=127.0.0.0/8 didflow webhooks create local http://127.0.0.1:9999/hook > secret
    python examples/webhook_receiver.py --port 9999 secret
    didflow webhooks test local

Secrets that overlap after a `rotate` are lines of the file. A real receiver keeps the ids that it has seen in its database.
"""

import argparse
import base64
import hmac
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

#: Older attempts are refused: a copy of a request that was sent again later is one.
MAX_AGE_S = 300


class Hooks(BaseHTTPRequestHandler):
    """`POST` with an event. 204: taken, or seen before. 401: not signed by didflow."""

    secrets: tuple[bytes, ...]
    seen: set[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        event_id, sent_s = self.headers.get("webhook-id", ""), self.headers.get("webhook-timestamp", "")
        genuine = sent_s.isdecimal() and abs(time.time() - int(sent_s)) <= MAX_AGE_S and self._signed(event_id, sent_s, body)
        self.send_response(204 if genuine else 401)
        self.end_headers()
        if genuine and event_id not in self.seen:
            self.seen.add(event_id)
            event = json.loads(body)
            print(event["type"], event["subject"], flush=True)

    def _signed(self, event_id: str, sent_s: str, body: bytes) -> bool:
        """Whether one of the signatures is by one of the secrets."""
        signed = f"{event_id}.{sent_s}.".encode() + body
        ours = [b"v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")) for secret in self.secrets]
        theirs = self.headers.get("webhook-signature", "").encode().split()
        return any(hmac.compare_digest(one, other) for one in ours for other in theirs)

    def log_message(self, *_: object) -> None:
        """Print events alone."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Receive webhooks of didflow, and print each event once.")
    parser.add_argument("secrets", type=Path, help="a file with a signing secret on each line")
    parser.add_argument("--port", type=int, default=9999)
    given = parser.parse_args()
    Hooks.secrets = tuple(base64.b64decode(line.removeprefix("whsec_")) for line in given.secrets.read_text().split())
    Hooks.seen = set()
    with ThreadingHTTPServer(("127.0.0.1", given.port), Hooks) as server:
        print(f"http://127.0.0.1:{server.server_port}/hook", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
