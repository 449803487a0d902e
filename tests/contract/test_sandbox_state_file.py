"""A sandbox with a state file: the next one on the same file has the same numbers, cart, documents and charges."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cluster import until
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.__main__ import main
from worker.wavix.sandbox.options import SANDBOX_KEY, SandboxOptions
from worker.wavix.sandbox.saved_world import UnreadableState

BERLIN = "/v1/buy/countries/8701/cities/500/dids"
ROUTE = {"transport": 5, "trunk_id": 144, "destination": "32882"}


def api(sandbox: Sandbox) -> httpx.Client:
    return httpx.Client(base_url=sandbox.url, params={"appid": SANDBOX_KEY}, trust_env=False)


def shown(sandbox: Sandbox) -> dict[str, Any]:
    """What the account sees of itself."""
    today = datetime.now(UTC).date().isoformat()
    days = {"from_date": today, "to_date": today}
    with api(sandbox) as http:
        paths = ("/v1/mydids", "/v1/buy/cart", "/v1/profile/config", "/v1/billing/transactions")
        answers = {path: http.get(path, params=days) for path in paths}
        assert {answer.status_code for answer in answers.values()} == {200}
        return {path: answer.json() for path, answer in answers.items()}


def buy(http: httpx.Client, *numbers: str) -> dict[str, int]:
    """Record ids of all numbers of the account, with these."""
    assert http.put("/v1/buy/cart", json={"ids": numbers}).is_success
    assert http.post("/v1/buy/cart/checkout", json={"ids": numbers}).is_success
    return {one["number"]: one["id"] for one in http.get("/v1/mydids").json()["items"]}


def offered(http: httpx.Client) -> list[str]:
    return [one["number"] for one in http.get(BERLIN).json()["dids"]]


def spend(sandbox: Sandbox) -> None:
    """Buy two numbers, route and document one, give the other back; leave a third in the cart."""
    with api(sandbox) as http:
        kept, returned, carted = offered(http)[:3]
        records = buy(http, kept, returned)
        routed = http.post("/v1/mydids/update-destinations", json={"ids": [records[kept]], "destinations": [ROUTE]})
        paper = {"did_ids": str(records[kept]), "doc_id": "1"}
        uploaded = http.post("/v1/mydids/papers", data=paper, files={"doc_attachment": ("passport.pdf", b"%PDF-1.4 a passport")})
        released = http.request("DELETE", "/v1/mydids", params={"appid": SANDBOX_KEY, "ids": records[returned]})
        left = http.put("/v1/buy/cart", json={"ids": [carted]})
        assert all(answer.is_success for answer in (routed, uploaded, released, left))


def test_the_next_sandbox_has_what_the_last_one_sold(tmp_path: Path) -> None:
    with Sandbox(state=tmp_path / "wavix.json") as first:
        spend(first)
        before, ledger = shown(first), first.ledger()
        with api(first) as http:
            free = offered(http)
    assert before["/v1/mydids"]["items"][0]["documents"], "it has its document"
    with Sandbox(state=tmp_path / "wavix.json") as second:
        assert shown(second) == before
        assert second.ledger() == ledger
        with api(second) as http:
            assert offered(http) == free
            again = buy(http, free[0])
        known = {int(entry["record_id"]) for entry in ledger}
        assert again[free[0]] not in known, "no id is given twice"
        ids = [one["id"] for one in shown(second)["/v1/billing/transactions"]["transactions"]]
        assert len(ids) == len(set(ids)) == 6


def test_what_was_sold_is_in_the_file_before_the_sandbox_ends(tmp_path: Path) -> None:
    with Sandbox(state=tmp_path / "wavix.json") as killed:
        killed.order("seed_owned", count=3)
        until(lambda: (tmp_path / "wavix.json").exists(), what="the file")
        assert (tmp_path / "wavix.json").stat().st_mode & 0o777 == 0o600
        with Sandbox(state=tmp_path / "wavix.json") as other:
            assert other.owned() == killed.owned()


def test_a_sandbox_that_never_stopped_in_order_leaves_the_file_for_the_next(tmp_path: Path) -> None:
    (tmp_path / "wavix.new").write_text("{")  # It was killed while it wrote.
    with Sandbox(state=tmp_path / "wavix.json") as sandbox:
        spend(sandbox)
    with Sandbox(state=tmp_path / "wavix.json") as other:
        assert len(other.owned()) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stock": [200, 1, false]}', "\x00"])
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "wavix.json"
    file.write_text(text)
    with pytest.raises(UnreadableState, match="damaged"):
        Sandbox(state=file)
    assert file.read_text() == text
    with pytest.raises(SystemExit, match="can't be used: it is damaged"):
        main(["--port", "0", "--state", str(file)])


def test_a_file_that_is_no_text_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "wavix.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableState, match="damaged"):
        Sandbox(state=tmp_path / "wavix.json")


def test_a_path_that_cannot_be_read_is_not_taken_for_an_address(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"state .* can't be used: Is a directory"):
        main(["--port", "0", "--state", str(tmp_path)])


def test_a_file_that_could_not_be_written_is_written_once_it_can_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Such as on a full disk: what was sold meanwhile isn't forgotten."""
    folder = tmp_path / "later"
    with Sandbox(state=folder / "wavix.json") as sandbox:
        sandbox.order("seed_owned", count=2)
        until(lambda: "isn't written: No such file or directory" in capsys.readouterr().err, what="a try that fails")
        folder.mkdir()
        until(lambda: (folder / "wavix.json").exists(), what="the file")
        with Sandbox(state=folder / "wavix.json") as other:
            assert other.owned() == sandbox.owned()


def test_a_sandbox_whose_file_cannot_be_written_ends_all_the_same(tmp_path: Path) -> None:
    with Sandbox(state=tmp_path / "gone" / "wavix.json") as sandbox:
        sandbox.order("seed_owned", count=1)


def test_a_file_of_another_stock_is_refused(tmp_path: Path) -> None:
    with Sandbox(state=tmp_path / "wavix.json") as sandbox:
        sandbox.order("seed_owned", count=1)
    with pytest.raises(UnreadableState, match="another stock"):
        Sandbox(SandboxOptions(seed=2), state=tmp_path / "wavix.json")
