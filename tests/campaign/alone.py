"""`python -m tests.campaign.alone`: what runs one job at a time for a worker of the fleet, with that one's clock, protocol and version."""

import os
import sys
from pathlib import Path

from tests.campaign.fleet import PIDS_VARIABLE, become
from worker.process import isolated_process

if __name__ == "__main__":
    with Path(os.environ[PIDS_VARIABLE]).open("a") as file:  # One that was frozen doesn't notice that its worker is gone.
        file.write(f"{os.getpid()}\n")
    become(float(sys.argv[1]), sys.argv[2] or None, int(sys.argv[3]))
    isolated_process.main()
