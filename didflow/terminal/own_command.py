"""How a person calls `didflow` from where this process was started."""

import shutil
import sys
from pathlib import Path


def own_command() -> str:
    """Its name where the PATH has it, else its path."""
    beside = Path(sys.executable).with_name("didflow")
    if shutil.which("didflow") == str(beside) or not beside.exists():
        return "didflow"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)
