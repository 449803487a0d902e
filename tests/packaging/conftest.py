"""The built wheel in an environment of its own. One build for the session, without a network."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel. `python`: its interpreter; `files`: what the wheel holds."""

    python: Path
    site_packages: Path
    files: tuple[str, ...]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=PROJECT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a fresh environment. Its dependencies come from the environment of the tests, by a `.pth` file."""
    folder = tmp_path_factory.mktemp("application") / "venv"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--no-input", "install"]
    subprocess.run([*pip, "--no-index", "--no-deps", "--no-compile", wheel], check=True, capture_output=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    with zipfile.ZipFile(wheel) as archive:
        return Installed(python, site_packages, tuple(archive.namelist()))
