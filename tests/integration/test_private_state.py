"""What the embedded Valkey keeps is for its user alone, whatever the umask is and whatever the folder was before."""

import os
import stat
from pathlib import Path

import pytest
import redis

from didflow import Didflow, SearchAndBuy
from didflow.contract.errors import InvalidSettings
from didflow.ledger.address import address_file
from tests.support.cluster import until
from worker.local.embedded_valkey import EmbeddedValkey


def modes(folder: Path) -> dict[str, str]:
    """The mode of the folder and of everything in it but the socket."""
    found = {entry: entry.lstat().st_mode for entry in (folder, *folder.rglob("*"))}
    return {str(entry.relative_to(folder)): oct(stat.S_IMODE(mode)) for entry, mode in found.items() if not stat.S_ISSOCK(mode)}


def kept(folder: Path) -> dict[str, str]:
    with EmbeddedValkey(folder) as server:
        Didflow.from_url(server.url).submit(SearchAndBuy(country="US"))
        # A rewritten AOF has other files than the first one.
        client = redis.Redis.from_url(server.url)
        client.bgrewriteaof()
        # Until it has ended: its temporary file may go between the listing and the look at its mode.
        until(lambda: not (info := client.info("persistence"))["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"])
        client.close()
        return modes(folder)


@pytest.mark.parametrize("before", ["missing", "open to all", "with files open to all"])
def test_the_state_folder_and_its_files_are_private(tmp_path: Path, before: str) -> None:
    folder = tmp_path / "state"
    earlier = os.umask(0o000)
    try:
        if before != "missing":
            folder.mkdir(mode=0o755)
        if before == "with files open to all":
            kept(folder)
            folder.chmod(0o755)
            for entry in folder.rglob("*"):
                entry.chmod(0o777 if entry.is_dir() else 0o666)
        found = kept(folder)
    finally:
        os.umask(earlier)
    assert found["."] == "0o700"
    assert found["appendonlydir"] == "0o700"
    assert len(found) > 5
    assert {mode for name, mode in found.items() if name not in (".", "appendonlydir")} == {"0o600"}


def test_a_folder_that_holds_other_folders_keeps_its_mode_and_the_files_are_private_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    (folder / "something else").mkdir(parents=True)
    folder.chmod(0o755)
    found = kept(folder)
    assert found["."] == "0o755"
    assert found["appendonlydir"] == "0o700"


def test_a_folder_with_any_name_is_reached_by_its_url(tmp_path: Path) -> None:
    folder = tmp_path / "a #?%41 é"
    with EmbeddedValkey(folder):
        assert Didflow.from_url(address_file(folder).read_text()).submit(SearchAndBuy(country="US")).is_new


def test_a_state_folder_that_is_a_file_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(InvalidSettings, match="DIDFLOW_STATE_DIR can't be used"):
        EmbeddedValkey(tmp_path / "state").start()
