"""A ledger belongs to one provider account: a worker of another one doesn't serve it, and says so."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from didflow import AsyncDidflow, Didflow, SearchAndBuy
from didflow.contract.errors import WrongLedger
from didflow.contract.requests import Release
from didflow.ledger.address import address_file
from didflow.ledger.ledger import Ledger
from didflow.ledger.provider_identity import Claimed, claim_ledger, noted_provider
from tests.support.cluster import until
from tests.support.inline_worker import InlineWorker, settings_for
from tests.support.role_processes import BIN, bought, started
from tests.support.shell import Shell
from worker.attempt.runner import JobRunner
from worker.local.embedded_valkey import EmbeddedValkey
from worker.operate.account_checks import check_accounts
from worker.process.provider_identity import IdentityGuard, IdentityWatch, claim_server
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.options import SANDBOX_KEY, SandboxOptions

MINE, NEW_KEY, OTHER = "key-of-mine", "new-key-of-mine", "key-of-another"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A server of two accounts, none of which has the sandbox's own key; the first has two keys."""
    options = SandboxOptions(numbers_per_city=30, accounts={"default": MINE, "other": OTHER}, more_keys={NEW_KEY: "default"})
    with Sandbox(options) as server:
        yield server


class Host:
    """Where workers with this key run."""

    def __init__(self, ledger: Ledger, sandbox: Sandbox, key: str, url: str = "") -> None:
        self.settings = settings_for(url or sandbox.url, ledger.keys.namespace, WAVIX_API_KEY=SecretStr(key))
        self.client = WavixClient(sandbox.url, SecretStr(key), "mydids", read_backoff_s=0.01)
        self.guard = IdentityGuard(ledger, self.settings.all_accounts())
        self.ledger, self.sandbox = ledger, sandbox

    def start(self) -> None:
        claim_server(self.ledger, "default", self.settings.all_accounts()["default"])
        self.guard.check("default", self.client)

    def inline(self) -> InlineWorker:
        """Its jobs run as this host's workers run them."""
        inline = InlineWorker(self.ledger, self.sandbox)
        inline.client.close()
        inline.client = self.client
        inline.runner = JobRunner(
            self.ledger, self.settings, inline.provider, inline.leases, inline.stopping, check_account=self.guard.check
        )
        return inline

    def doctor(self) -> tuple[str, str]:
        return next((one.verdict, one.message) for one in check_accounts(self.settings, self.ledger) if one.name == "ledger default")


def calls(sandbox: Sandbox) -> int:
    return sum(sandbox.state()["calls"].values())


def test_another_account_at_the_same_address_is_refused_and_another_key_of_the_same_one_is_not(
    real_ledger: Ledger, sandbox: Sandbox
) -> None:
    sandbox.order("seed_owned", count=3, account="default")
    sandbox.order("seed_owned", count=3, account="other")
    Host(real_ledger, sandbox, MINE).start()
    Host(real_ledger, sandbox, NEW_KEY).start()
    wrong = Host(real_ledger, sandbox, OTHER)
    with pytest.raises(WrongLedger, match="another account of http"):
        wrong.start()
    assert wrong.guard.refused is not None
    assert not wrong.guard.is_known("default")
    assert wrong.doctor()[0] == "fail"
    assert Host(real_ledger, sandbox, MINE).doctor()[0] == "ok"
    note = noted_provider(real_ledger, "default")
    assert note is not None
    assert {number for _, number in note.records} == {f"+{number}" for number in sandbox.owned()}, "the other one changed nothing"


def test_an_account_that_is_empty_is_another_one_unless_we_released_all_its_numbers(real_ledger: Ledger, sandbox: Sandbox) -> None:
    numbers = [f"+{number}" for number in sandbox.order("seed_owned", count=2, account="default")]
    mine = Host(real_ledger, sandbox, MINE)
    mine.start()
    with pytest.raises(WrongLedger):
        Host(real_ledger, sandbox, OTHER).start()
    inline = mine.inline()
    assert inline.run(Release(numbers=tuple(numbers))).state == "succeeded"
    Host(real_ledger, sandbox, MINE).start()
    inline.close()


def test_numbers_that_left_the_first_page_are_still_known(real_ledger: Ledger, sandbox: Sandbox) -> None:
    sandbox.order("seed_owned", count=250, account="default")
    mine = Host(real_ledger, sandbox, MINE)
    first, last = ([(one.record_id, one.number) for one in mine.client.owned(page=page).items] for page in (1, 3))
    assert not set(first) & set(last)
    real_ledger.run(claim_ledger("default", sandbox.url, last))
    mine.start()


def test_another_address_is_refused_before_anything_is_asked(real_ledger: Ledger, sandbox: Sandbox) -> None:
    Host(real_ledger, sandbox, MINE).start()
    before = calls(sandbox)
    with pytest.raises(WrongLedger, match=r"belong to http://127\.0\.0\.1:\d+, since .* name https://api\.example\.net"):
        Host(real_ledger, sandbox, MINE, url="https://api.example.net").start()
    assert calls(sandbox) == before


def test_a_job_that_a_worker_of_another_account_took_waits_and_its_process_ends(real_ledger: Ledger, sandbox: Sandbox) -> None:
    sandbox.order("seed_owned", count=2, account="default")
    Host(real_ledger, sandbox, MINE).start()
    wrong = Host(real_ledger, sandbox, OTHER)
    inline = wrong.inline()
    view = inline.attempt(inline.submit(SearchAndBuy(country="US")))
    assert (view.state, view.reason, view.attempt) == ("waiting", "retry", 0)
    assert "cart_put" not in sandbox.state()["calls"]
    IdentityWatch(wrong.guard, lambda _: wrong.client, inline.stopping).run()  # It returns, because the guard has refused.
    assert wrong.guard.refused is not None
    inline.close()


def test_a_provider_that_is_down_is_asked_again_and_no_job_runs_before(real_ledger: Ledger, sandbox: Sandbox) -> None:
    host = Host(real_ledger, sandbox, MINE)
    sandbox.add_fault("*", "status_500_before", times=None)
    inline = host.inline()
    job = inline.submit(SearchAndBuy(country="US"))
    assert inline.attempt(job).reason == "provider_down"
    assert not host.guard.is_known("default")
    sandbox.clear_faults()
    assert inline.finish(job).state == "succeeded"
    assert host.guard.is_known("default")
    inline.close()


def test_the_sandbox_is_one_provider_at_every_port(real_ledger: Ledger, sandbox: Sandbox) -> None:
    for url in (sandbox.url, "http://127.0.0.1:1"):
        settings = settings_for(url, real_ledger.keys.namespace, WAVIX_API_KEY=SecretStr(SANDBOX_KEY))
        claim_server(real_ledger, "default", settings.all_accounts()["default"])
    with pytest.raises(WrongLedger, match="belong to sandbox"):
        Host(real_ledger, sandbox, MINE).start()


# Who submits and looks


def producer(valkey: EmbeddedValkey, namespace: str, **account: str) -> dict[str, str]:
    return {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace} | account


def test_a_producer_with_the_settings_of_another_provider_is_refused_and_one_without_any_is_not(
    valkey: EmbeddedValkey, real_ledger: Ledger, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_ledger.run(claim_ledger("default", "sandbox"))
    other = {"WAVIX_API_KEY": MINE, "WAVIX_BASE_URL": "https://api.example.net"}
    message = r"belong to sandbox, since .* name https://api\.example\.net: set DIDFLOW_REDIS_URL"
    for name, value in producer(valkey, namespace, **other).items():
        monkeypatch.setenv(name, value)
    refused = Didflow.from_env()
    verbs: list[Callable[[], object]] = [
        lambda: refused.submit(SearchAndBuy(country="US")),
        lambda: refused.get("job"),
        lambda: refused.find(),
        lambda: list(refused.results(group="billing", consumer="one", give_up_idle=True)),
        lambda: asyncio.run(AsyncDidflow.from_env().submit(SearchAndBuy(country="US"))),
    ]
    for verb in verbs:
        with pytest.raises(WrongLedger, match=message) as error:
            verb()
        assert MINE not in str(error.value)
    assert not any(real_ledger.counts().values())
    for name in other:
        monkeypatch.delenv(name)
    assert Didflow.from_env().submit(SearchAndBuy(country="US")).is_new
    shell = Shell(tmp_path, producer(valkey, namespace, **other))
    for command in (("jobs",), ("buy", "--country", "US", "--yes"), ("reconcile",), ("spend",), ("requests", "consume", "--until-idle")):
        ended = shell(*command)
        assert (ended.code, "belong to sandbox" in ended.err) == (2, True), (command, ended)
    assert shell("doctor").code in (1, 2, 5), "it says so in a check of its own"


def test_a_producer_of_the_same_provider_and_of_a_ledger_without_one_are_let_in(
    valkey: EmbeddedValkey, real_ledger: Ledger, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in producer(valkey, namespace, WAVIX_API_KEY=MINE, WAVIX_BASE_URL="https://API.example.net/").items():
        monkeypatch.setenv(name, value)
    early = Didflow.from_env()
    assert early.submit(SearchAndBuy(country="US")).is_new, "it belongs to nobody yet"
    real_ledger.run(claim_ledger("default", "https://api.example.net"))
    assert early.submit(SearchAndBuy(country="US")).is_new
    late = Didflow.from_env()
    assert late.submit(SearchAndBuy(country="US")).is_new
    real_ledger.run(claim_ledger("other", "sandbox"))
    assert Didflow.from_env().submit(SearchAndBuy(country="US")).is_new, "of an account that isn't named here"


def test_reconcile_and_upload_touch_no_ledger_of_another_provider(
    valkey: EmbeddedValkey, real_ledger: Ledger, namespace: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    real_ledger.run(claim_ledger("default", "https://api.example.net"))
    shell = Shell(tmp_path, producer(valkey, namespace, WAVIX_API_KEY=MINE, WAVIX_BASE_URL=sandbox.url))
    (tmp_path / "passport.pdf").write_bytes(b"%PDF-1.4\ntrailer << /Root 1 0 R >>")
    for command in (
        ("reconcile", "--repair", "--yes"),
        ("documents", "upload", "--number", "+12135550100", "--type", "id", "--file", "passport.pdf"),
    ):
        ended = shell(*command)
        assert (ended.code, "belong to https://api.example.net" in ended.err) == (2, True), ended
    assert calls(sandbox) == 0


# The processes


def shell_of(folder: Path, url: str, namespace: str, key: str, sandbox: Sandbox) -> Shell:
    settings = {"DIDFLOW_REDIS_URL": url, "DIDFLOW_NAMESPACE": namespace, "WAVIX_API_KEY": key, "WAVIX_BASE_URL": sandbox.url}
    return Shell(folder, settings)


def test_a_worker_ends_with_78_and_names_both_and_adopt_is_the_way_to_another_address(
    tmp_path: Path, valkey: EmbeddedValkey, real_ledger: Ledger, namespace: str, sandbox: Sandbox
) -> None:
    real_ledger.run(claim_ledger("default", "https://api.example.net"))
    there = shell_of(tmp_path, valkey.url, namespace, MINE, sandbox)
    worker = there(module="worker.process.worker_process")
    assert worker.code == 78
    assert "https://api.example.net" in worker.err
    assert sandbox.url in worker.err
    assert there("--processes", "1", module="worker.process.supervisor").code == 2, "it doesn't try again and again"
    assert "ledger default" in there(module="worker.operate.doctor").out
    assert there(module="worker.operate.adopt").code == 2, "there is no terminal"
    adopted = there("--yes", "--json", module="worker.operate.adopt")
    assert adopted.code == 0, adopted.err
    assert MINE not in worker.err + adopted.out
    note = noted_provider(real_ledger, "default")
    assert note is not None
    assert note.server == sandbox.url


def test_of_two_people_who_adopt_at_once_one_does(real_ledger: Ledger) -> None:
    """Both were shown the old address; what the second one confirmed isn't so any more."""
    real_ledger.run(claim_ledger("default", "https://old.example.net"))

    def adopts(server: str, actor: str) -> Claimed:
        return real_ledger.run(claim_ledger("default", server, how="adopt", actor=actor, seen="https://old.example.net"))

    first, repeated, second = adopts("https://a.example.net", "ann"), adopts("https://a.example.net", "ann"), adopts("sandbox", "ben")
    assert [(one.ours, one.server) for one in (first, repeated, second)] == [
        (True, "https://a.example.net"),
        (True, "https://a.example.net"),
        (False, "https://a.example.net"),
    ]
    note = noted_provider(real_ledger, "default")
    assert note is not None
    assert note.server == "https://a.example.net"


@pytest.mark.faults
def test_a_worker_process_whose_account_turns_out_to_be_another_one_ends_with_78(
    tmp_path: Path, valkey: EmbeddedValkey, real_ledger: Ledger, namespace: str, sandbox: Sandbox
) -> None:
    sandbox.order("seed_owned", count=2, account="default")
    Host(real_ledger, sandbox, MINE).start()
    there = shell_of(tmp_path, valkey.url, namespace, OTHER, sandbox)
    worker = there(module="worker.process.worker_process")
    assert worker.code == 78
    assert "belong to another account of" in worker.err
    assert there("--processes", "1", module="worker.process.supervisor").code == 2


@pytest.mark.long
@pytest.mark.faults
def test_up_keeps_the_sandbox_s_jobs_apart_from_those_of_a_real_account(tmp_path: Path, sandbox: Sandbox) -> None:
    def ledger() -> Didflow:
        until(address_file(tmp_path).exists, what="the embedded Valkey")
        return Didflow.from_url(address_file(tmp_path).read_text())

    up = [str(BIN / "didflow"), "up", "--processes", "1"]
    with started([*up, "--sandbox-port", "0"], tmp_path):
        assert bought(tmp_path) == "succeeded"
    with started(up, tmp_path, WAVIX_API_KEY=MINE, WAVIX_BASE_URL=sandbox.url):
        assert not ledger().find(idempotency_key="order-1")
        assert bought(tmp_path) == "succeeded"
        assert len(sandbox.owned()) == 1, "it was bought there"
    with started([*up, "--sandbox-port", "0"], tmp_path):
        assert len(ledger().find(idempotency_key="order-1")) == 1
        assert bought(tmp_path) == "succeeded", "another port is no other provider"
