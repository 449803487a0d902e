"""A consumer of results that books each charge once, though results are delivered at least once.

Shows: a consumer group, an effect that is written together with the id of its event, and an acknowledgement after that.

Run it beside `didflow up` and submit some jobs:

    python examples/result_consumer.py charges.sqlite
    didflow buy --country US --city "LOS ANGELES, CA" --key order-booked-1 --yes

Start it twice with different `--consumer` names: the two share the work, and if one dies the other gets its deliveries after a minute.
"""

import argparse
import sqlite3
from pathlib import Path

from didflow import Delivery, Didflow


def book(charges: sqlite3.Connection, delivery: Delivery) -> bool:
    """Write the charge and the event's id in one transaction. False if the event was booked before."""
    body = delivery.event.data
    charged = body.totals.charged_usd if body.totals else 0
    with charges:
        added = charges.execute(
            "INSERT OR IGNORE INTO charges (event, job, reference, state, usd) VALUES (?, ?, ?, ?, ?)",
            (delivery.event.id, body.job, body.reference, body.state, str(charged)),
        )
    return added.rowcount == 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="SQLite file with the charges")
    parser.add_argument("--consumer", default="billing-1", help="a name of its own for each process")
    given = parser.parse_args()

    charges = sqlite3.connect(given.file)
    charges.execute("CREATE TABLE IF NOT EXISTS charges (event TEXT PRIMARY KEY, job TEXT, reference TEXT, state TEXT, usd TEXT)")
    for delivery in Didflow.from_env().results("billing", given.consumer):
        new = book(charges, delivery)
        delivery.ack()
        print(delivery.event.data.job, delivery.event.data.state, "booked" if new else "was booked before", flush=True)


if __name__ == "__main__":
    main()
