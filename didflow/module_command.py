"""The command that runs one of our modules as a process."""

import sys


def module_command(module: str, *arguments: str) -> list[str]:
    """For a new process, or for this one to become. A folder `worker` or `producers` where it is started isn't taken for ours (`-P`)."""
    return [sys.executable, "-P", "-m", module, *arguments]
