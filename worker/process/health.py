"""`python -m worker.process.health`: would a restart of this host's workers help? For a container's health check.

Healthy is: a worker process of this host has shown in the ledger that it lives. An unreachable Redis isn't the worker's fault
here: a restart would only add to the outage. `didflow doctor` looks at everything.
"""

import os
import sys

from didflow.contract.errors import DidflowError
from didflow.contract.printable import printable
from didflow.ledger.address import redis_url
from didflow.ledger.connection import connect
from didflow.ledger.freezes import freezes
from didflow.ledger.ledger import Ledger
from didflow.settings import load_settings


def living(ledger: Ledger, host: str) -> int:
    """How many worker processes of this host live. Raises ServiceUnavailable."""
    return sum(worker.startswith(f"{host}:") for worker in ledger.workers())


def main() -> None:
    """Exit code 0 if one lives or Redis can't be asked, 1 if none does."""
    try:
        settings = load_settings()
        ledger = Ledger(connect(redis_url(settings)), settings.namespace)
        count, frozen = living(ledger, os.uname().nodename), ledger.perform(freezes(ledger.keys))
    except DidflowError as error:
        sys.stdout.write(f"not known: {error.code}\n")
        sys.exit(0)
    sys.stdout.write(f"{count} worker processes alive here\n")
    for one in frozen:
        sys.stdout.write(printable(one.sentence) + "\n")
    sys.exit(0 if count else 1)


if __name__ == "__main__":
    main()
