"""How worker processes are named, and what a parent passes to its child through the environment."""

import os
import uuid

#: A name that no other process has (a pid isn't one, where containers share a host's name), and for a child that takes another one's place
#: that of the dead one, which the parent has seen end.
NAME_VARIABLE, PREDECESSOR_VARIABLE = "DIDFLOW_WORKER_NAME", "DIDFLOW_PREDECESSOR"


def own_worker_id() -> str:
    """As the ledger knows this process: host, pid, name."""
    return worker_id(os.getpid(), os.environ.get(NAME_VARIABLE) or uuid.uuid4().hex)


def worker_id(pid: int, name: str) -> str:
    """As the ledger knows a process of this host."""
    return f"{os.uname().nodename}:{pid}:{name}"
