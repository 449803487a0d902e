"""A service that orders numbers for new customers and provisions each fulfilled order.

Shows: an HTTP endpoint that answers at once and never orders twice, and a background thread that consumes the fulfilments.

Run it beside `didflow up`, which has the workers and a sandbox of the provider:

    python examples/onboarding_service.py --port 8080
    curl -d '{"order": "4731", "customer": "acme", "quantity": 2}' http://127.0.0.1:8080/orders
    curl http://127.0.0.1:8080/orders/4731

The same order may be posted again when an answer was lost: it is the same job. `provision` is where your own code goes.
"""

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from didflow import Destination, Didflow, DidflowError, IdempotencyConflict, InvalidRequest, SearchAndBuy
from producers.onboarding import Fulfilment, Onboarding

PBX = Destination.sip("pbx@example.net")


class Orders(BaseHTTPRequestHandler):
    """`POST /orders` places an order, `GET /orders/<order>` shows it."""

    onboarding: Onboarding

    def do_POST(self) -> None:
        try:
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            request = SearchAndBuy(country="US", city="LOS ANGELES, CA", quantity=asked["quantity"], destinations=(PBX,))
            job = self.onboarding.order(str(asked["order"]), request, customer=asked.get("customer"))
        except (ValueError, KeyError, TypeError, InvalidRequest) as error:
            self.reply(400, {"error": str(error)})
        except IdempotencyConflict as error:  # The order exists, and asked for something else.
            self.reply(409, {"error": str(error)})
        except DidflowError as error:  # Redis is away: the client repeats the request.
            self.reply(503, {"error": str(error)})
        else:
            self.reply(202, {"job": job.id, "new": job.is_new})

    def do_GET(self) -> None:
        try:
            view = self.onboarding.find(self.path.removeprefix("/orders/"))
        except DidflowError as error:
            self.reply(503, {"error": str(error)})
            return
        if view is None:
            self.reply(404, {"error": "no such order"})
        else:
            self.reply(200, {"job": view.id, "state": view.state, "reason": view.reason})

    def reply(self, status: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Writes nothing: the lines on stdout are the fulfilments."""


def provision(done: Fulfilment) -> None:
    """Your own work on a fulfilled order. It may be called more than once for an order, so make it idempotent."""
    numbers = [one.number for one in done.active]
    print(json.dumps({"order": done.order, "customer": done.customer, "state": done.state, "numbers": numbers}), flush=True)


def consume(onboarding: Onboarding) -> None:
    """Provision each order, then acknowledge it. A fulfilment that wasn't acknowledged is delivered again."""
    for done in onboarding.fulfilments(consumer="onboarding-1"):
        provision(done)
        done.ack()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8080, help="port to listen on; 0 picks one")
    port = parser.parse_args().port
    Orders.onboarding = Onboarding(Didflow.from_env())
    threading.Thread(target=consume, args=(Orders.onboarding,), daemon=True).start()
    with ThreadingHTTPServer(("127.0.0.1", port), Orders) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
