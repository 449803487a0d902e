"""Who did it: the name of the person, or of the service, behind a request or a decision."""

import getpass
import os

from didflow.contract.errors import InvalidRequest

#: Characters of a name.
LONGEST = 100


def fault_of(name: object) -> str | None:
    """What is wrong with a name; None if it can be stored and shown."""
    fits = isinstance(name, str) and 1 <= len(name) <= LONGEST and name.isprintable() and bool(name.strip())
    return None if fits else f"is 1 to {LONGEST} printable characters"


def actor_named(name: str) -> str:
    """The name, if it can be stored. Raises InvalidRequest."""
    if (fault := fault_of(name)) is not None:
        raise InvalidRequest(f"actor: {fault}", (("actor", fault),))
    return name


def os_user() -> str:
    """The user of the operating system who runs this process."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # In a container the user may have no name.
        return f"uid {os.getuid()}"
    return name if fault_of(name) is None else f"uid {os.getuid()}"
