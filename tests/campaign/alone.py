"""`python -m tests.campaign.alone`: what runs one job at a time for a worker of the fleet, with that one's clock, protocol and version."""

import sys

from tests.campaign.fleet import become
from worker.runtime import solitary_process

if __name__ == "__main__":
    become(float(sys.argv[1]), sys.argv[2] or None, int(sys.argv[3]))
    solitary_process.main()
