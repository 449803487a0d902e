"""`python -m tests.support.asking_process LANE THREADS`: a process whose threads ask the provider as fast as they may.

Each has a client of its own. Settings come from the environment, as a worker's do. Says ``ready``, begins at a line of input and ends at
the next; then says in JSON how many answers it had, and how long the longest took.
"""

import json
import sys
import threading
import time

from didflow.contract.provider import ReadFailed
from didflow.contract.states import Lane
from didflow.ledger.address import redis_url
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.logs import configure_logs
from didflow.settings import load_settings
from worker.attempt.provider_clients import Providers


def main() -> None:
    lane, threads = Lane(sys.argv[1]), int(sys.argv[2])
    configure_logs(level="critical")
    settings = load_settings()
    ledger = Ledger(connect(redis_url(settings)), settings.namespace)
    ledger.now_ms()
    providers = Providers(settings, ledger)
    stop, answers, took_s = threading.Event(), [0] * threads, [0.0]

    def work(place: int) -> None:
        client = providers("default", lane)
        while not stop.is_set():
            began_s = time.monotonic()
            try:
                client.balance_usd()
                answers[place] += 1
            except ReadFailed:
                stop.wait(0.01)
            took_s.append(time.monotonic() - began_s)

    workers = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for worker in workers:
        worker.start()
    sys.stdin.readline()
    stop.set()
    for worker in workers:
        worker.join()
    sys.stdout.write(json.dumps({"answers": sum(answers), "longest_s": max(took_s)}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
