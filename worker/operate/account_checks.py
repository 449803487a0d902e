"""The doctor's checks of each account: whether its key works, its dialect, the key's rights, and jobs that wait for it.

By reads alone. What the workers know is checked and left as it is.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime

from didflow.checks.check import Check
from didflow.contract.errors import ServiceUnavailable
from didflow.contract.provider import Barred, NotNow, NotNowReason, NotThere, ReadFailed
from didflow.contract.time_values import about
from didflow.ledger.dialects import noted_dialect
from didflow.ledger.ledger import Ledger
from didflow.ledger.provider_identity import noted_provider
from didflow.settings import SANDBOX, Account, Settings
from worker.attempt.dialects import finder_of
from worker.attempt.provider_clients import client_of, pace_from
from worker.attempt.rate_limiter import SharedRateLimiter
from worker.process.provider_identity import look_at, other_account, other_server
from worker.wavix.client import WavixClient
from worker.wavix.dialects import Dialect

#: A doctor doesn't wait long.
HTTP_TIMEOUT_S = 10.0

#: What is asked to determine what a key may do, and what doesn't work without it.
RIGHTS: Mapping[str, tuple[Callable[[WavixClient], object], str]] = {
    "stock": (lambda client: client.countries(), "purchases fail"),
    "cart": (lambda client: client.cart(), "purchases fail"),
    "trunks": (lambda client: client.trunks(), "SIP trunks as destinations aren't checked before they are set"),
    "balance": (lambda client: client.balance_usd(), "a dry run doesn't say what is left after a purchase"),
    "transactions": (lambda client: client.transactions(since=_today(), until=_today()), "`didflow reconcile --money` can't compare"),
}


def check_accounts(settings: Settings, ledger: Ledger | None) -> Iterator[Check]:
    """Every account of these settings, and every other one that is paused. `ledger` None: it can't be asked."""
    accounts = settings.all_accounts()
    if not accounts:
        yield Check("accounts", "warn", "none is known to this shell: fine beside `didflow up` with its sandbox, else set WAVIX_API_KEY")
    paused = _paused(ledger) if ledger is not None else {}
    for name, account in accounts.items():
        for check in _account(name, account, settings, ledger):
            is_paused = check.name == f"account {name}" and name in paused
            yield _with_pause(check, paused[name], settings) if is_paused else check
    for name in paused.keys() - accounts.keys():
        unless = "unless done already; this shell doesn't know the account, so it can't try the key"
        message = f"{paused[name]}: correct its key where its workers run, {unless}"
        yield Check(f"account {name}", "fail", message)


def _paused(ledger: Ledger) -> dict[str, str]:
    """The accounts that are paused, with since when and why."""
    states = {account: ledger.account_state(account) for account in ledger.paused_accounts()}
    return {
        account: f"paused since {state.since:%Y-%m-%d %H:%M} UTC: the provider said {state.status} {state.message}"
        for account, state in states.items()
        if state.paused
    }


def _with_pause(check: Check, paused: str, settings: Settings) -> Check:
    """What is to be done about the pause depends on whether the key works now."""
    if check.verdict == "ok":
        goes_on = f"nothing to correct here; its jobs resume after a probe, within {settings.probe_seconds:g} s"
        if_not = "; if they don't, the workers run with another key: restart them with this one"
        return Check(check.name, "warn", f"{check.message}; it is still {paused}; {goes_on}{if_not}")
    return Check(check.name, check.verdict, f"{paused}; {check.message}")


def _account(name: str, account: Account, settings: Settings, ledger: Ledger | None) -> Iterator[Check]:
    # Within the rate, but whatever the breaker says: whether the provider can be reached from here is the question.
    gate = SharedRateLimiter(ledger, name, pace_from(settings), None, emergency=False) if ledger else None
    client = client_of(account, finder_of(name, account, None), timeout_s=HTTP_TIMEOUT_S, admission=gate)
    try:
        dialect = client.dialect()
    except ReadFailed as error:
        yield _unwell(name, account.base_url, error)
    else:
        rights = {right: _read(read, client) for right, (read, _) in RIGHTS.items()}
        balance = rights["balance"]
        words = f"the balance is {balance} USD" if not isinstance(balance, ReadFailed) else "the balance is not readable"
        yield Check(f"account {name}", "ok", f"{account.base_url} takes the key; {words}")
        yield _dialect(name, account, dialect, ledger)
        if ledger is not None:
            yield _identity(name, account, client, ledger)
        yield _rights(name, rights)
    finally:
        client.close()


def _read(read: Callable[[WavixClient], object], client: WavixClient) -> object:
    """What the read returned, or how it failed."""
    try:
        return read(client)
    except ReadFailed as error:
        return error
    except NotThere as error:
        return ReadFailed(NotNow(NotNowReason.UNAVAILABLE, words=str(error)))


def _dialect(name: str, account: Account, dialect: Dialect, ledger: Ledger | None) -> Check:
    fixed = [word for word, value in (("dialect", account.dialect), ("key_in", account.key_in)) if value != "auto"]
    message = f"the owned list is read at {dialect}, " + (f"as set ({', '.join(fixed)})" if fixed else "detected by reads")
    try:
        note = noted_dialect(ledger, name, account.base_url) if ledger is not None else None
    except ServiceUnavailable:
        note = None
    if note is None:
        return Check(f"dialect {name}", "ok", message + "; no worker has asked yet")
    if (note.path, note.key_in) != (dialect.path, dialect.key_in):
        known = f"; the workers use /v1/{note.path} with the key in {note.key_in}, confirmed {about(note.age_s)} ago"
        return Check(f"dialect {name}", "warn", message + known + ": they find out when the server refuses that")
    found_s = (datetime.now(UTC) - note.found_at).total_seconds()
    return Check(f"dialect {name}", "ok", f"{message}; the workers found it {about(found_s)} ago and confirmed it {about(note.age_s)} ago")


def _identity(name: str, account: Account, client: WavixClient, ledger: Ledger) -> Check:
    """Whether the ledger's jobs were done at this account."""
    server = account.server
    try:
        if (note := noted_provider(ledger, name)) is None:
            return Check(f"ledger {name}", "ok", "belongs to no provider account yet: to that of the first worker that starts")
        if note.server != server:
            return Check(f"ledger {name}", "fail", str(other_server(name, server, note)))
        if server != SANDBOX and look_at(client, note, ledger).is_other:
            return Check(f"ledger {name}", "fail", str(other_account(name, server, note)))
    except (ReadFailed, ServiceUnavailable) as error:
        return Check(f"ledger {name}", "warn", f"whether its jobs belong to this account can't be read: {error}")
    known = f", known by {len(note.records)} of its numbers" if note.records else ""
    return Check(f"ledger {name}", "ok", f"its jobs belong to {server} since {note.since:%Y-%m-%d %H:%M} UTC{known}")


def _rights(name: str, rights: Mapping[str, object]) -> Check:
    refused = {right: read for right, read in rights.items() if isinstance(read, ReadFailed)}
    may = "may read " + ", ".join(["numbers", *(right for right in rights if right not in refused)])
    if not refused:
        return Check(f"key {name}", "ok", may)
    not_so = "; ".join(f"not {right} ({read}): {RIGHTS[right][1]}" for right, read in refused.items())
    return Check(f"key {name}", "fail" if "stock" in refused or "cart" in refused else "warn", f"{may}; {not_so}")


def _unwell(name: str, base_url: str, error: ReadFailed) -> Check:
    match error.answer:
        case NotNow(NotNowReason.RATE_LIMITED):
            return Check(f"account {name}", "warn", f"{base_url} was not asked, or said 429: the rate is used up for now")
        case Barred():
            words = f"{base_url} refuses the key: {error}"
        case _:
            words = f"{base_url} can't be used: {error}"
    return Check(f"account {name}", "fail", words + ": check the key, the address and the dialect")


def _today() -> date:
    return datetime.now(UTC).date()
