"""Settings from the environment or `.env`; `didflow settings` lists them with the secrets masked."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from itertools import combinations, product
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.functional_validators import AfterValidator, BeforeValidator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict, SettingsError

from didflow.contract.actors import fault_of, os_user
from didflow.contract.errors import InvalidSettings
from didflow.contract.ids_form import IdsFormSetting
from didflow.contract.money import Usd
from didflow.contract.numbers import NumberList
from didflow.contract.spending import SCOPES, UNITS, WINDOWS, SpendLimit
from didflow.urls import base_url, check_redis_url

#: The key of the sandbox's account `default`. Not a secret: it opens nothing but a sandbox.
SANDBOX_KEY = "sandbox-key"
#: What the sandbox is called, at whichever port it listens. It loses its numbers when it stops, so they don't identify it.
SANDBOX = "sandbox"

Dialect = Literal["auto", "mydids", "numbers"]
KeyIn = Literal["auto", "query", "bearer"]


def _words(value: object) -> object:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _readable_key(key: SecretStr) -> SecretStr:
    if not key.get_secret_value():
        raise ValueError("is empty: give the key, or leave the setting out")
    if not _KEY.fullmatch(key.get_secret_value()):
        raise ValueError("holds spaces, line breaks or letters beyond ASCII, which no key has: was more than the key copied?")
    return key


def _readable_redis_url(url: SecretStr | None) -> SecretStr | None:
    if url is not None and url.get_secret_value():
        check_redis_url(url.get_secret_value())
    return url


def _readable_proxy_url(url: SecretStr | None) -> SecretStr | None:
    if url is None:
        return None
    try:
        read = urlsplit(url.get_secret_value())
        fits = read.scheme in ("http", "https") and bool(read.hostname) and read.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("is no URL of a proxy: write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT")
    return url


def _usable_path(path: Path | None) -> Path | None:
    if path is not None and not str(path).isprintable():
        raise ValueError("holds characters that can't be printed")
    return path


def _usable_actor(name: str | None) -> str | None:
    if name is not None and (fault := fault_of(name)) is not None:
        raise ValueError(fault)
    return name


_KEY = re.compile(r"[\x21-\x7e]{1,2000}")
ApiKey = Annotated[SecretStr, AfterValidator(_readable_key)]
BaseUrl = Annotated[str, AfterValidator(base_url)]
RedisUrl = Annotated[SecretStr | None, AfterValidator(_readable_redis_url)]
ProxyUrl = Annotated[SecretStr | None, AfterValidator(_readable_proxy_url)]
Network = IPv4Network | IPv6Network
UsablePath = Annotated[Path | None, AfterValidator(_usable_path)]
#: A longer wait, or a larger count, is a slip of the pen, and would overflow somewhere.
DAY_S, MOST_DAYS, MOST_TIMES = 86_400, 36_500, 1_000_000

SpendUsd = Annotated[Usd, Field(gt=0, le=100_000_000, decimal_places=4)]
SpendNumbers = Annotated[int, Field(ge=1, le=100_000_000)]


class Account(BaseModel):
    """One Wavix account: where it is and the key to it. A spend limit of its own goes before the one for all accounts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: ApiKey
    base_url: BaseUrl = "https://api.wavix.com"
    dialect: Dialect = "auto"
    key_in: KeyIn = "auto"
    ids_form: IdsFormSetting | None = None
    linked_card: bool | None = None
    spend_usd_per_hour: SpendUsd | None = None
    spend_usd_per_day: SpendUsd | None = None
    spend_numbers_per_hour: SpendNumbers | None = None
    spend_numbers_per_day: SpendNumbers | None = None

    @property
    def server(self) -> str:
        """The name of its provider: the address, or `sandbox`."""
        return SANDBOX if self.api_key.get_secret_value() == SANDBOX_KEY else self.base_url


class Settings(BaseSettings):
    """All settings. A field's description is what `didflow settings` prints."""

    model_config = SettingsConfigDict(
        env_file=".env", env_prefix="DIDFLOW_", extra="ignore", populate_by_name=True, frozen=True, allow_inf_nan=False
    )

    wavix_api_key: ApiKey | None = Field(None, alias="WAVIX_API_KEY", description="key of the account `default`")
    wavix_base_url: BaseUrl = Field("https://api.wavix.com", alias="WAVIX_BASE_URL", description="where the Wavix API is, without /v1")
    wavix_dialect: Dialect = Field(
        "auto",
        alias="WAVIX_DIALECT",
        description="path of the owned numbers: mydids, numbers (since June 2026), or auto: detected by reads",
    )
    wavix_key_in: KeyIn = Field(
        "auto", alias="WAVIX_KEY_IN", description="where the key goes: bearer, query (?appid=KEY), or auto: a Bearer token if it is taken"
    )
    wavix_ids_form: IdsFormSetting = Field(
        "auto",
        alias="WAVIX_IDS_FORM",
        description="several ids in one release: repeat (ids=1&ids=2), brackets (ids[]=1), comma (ids=1,2), single (one a call); "
        "auto: as was learned of the account, else repeat",
    )
    accounts: UsablePath = Field(
        None, description="TOML file with further accounts: a table for each, with api_key, base_url, dialect, key_in, spend_usd_per_hour …"
    )

    redis_url: RedisUrl = Field(
        None,
        description="redis://…, rediss://…, unix://… or redis+sentinel://HOST:PORT,…/SERVICE; none: the embedded Valkey of `didflow up`",
    )
    namespace: str = Field(
        "didflow", min_length=1, pattern=r"^[\w{}.-]+$", description="first part of every key; on a Cluster {didflow}, with the braces"
    )
    unsafe_redis: bool = Field(False, description="start although Redis could forget jobs (no AOF, no fsync, eviction); for tests only")
    state_dir: Annotated[Path, AfterValidator(_usable_path)] = Field(
        Path(platformdirs.user_state_dir("didflow")), description="where the embedded Valkey keeps its data"
    )

    rate_limit: float = Field(
        10.0, ge=0.001, le=100_000, description="requests a second to the provider, per account, over all workers together"
    )
    emergency_share: float = Field(
        0.5, ge=0, le=0.9, description="part of the rate limit that is kept for emergency jobs as soon as there are any"
    )
    breaker_seconds: float = Field(
        5.0,
        ge=0.1,
        le=DAY_S,
        description="pause after five failed requests in a row; it doubles with each failed probe, up to six times that",
    )
    http_timeout: float = Field(
        30.0,
        ge=0.01,
        le=3600,
        description="seconds from the start of a provider call to the last byte of its answer; later the call is abandoned as unclear",
    )
    list_pages: int = Field(
        10_000,
        ge=1,
        le=MOST_TIMES,
        description="pages of a hundred that a list of the provider has at most; one that says it has more isn't believed",
    )
    lease_seconds: float = Field(30.0, ge=1, le=DAY_S, description="a job of a dead worker is taken over after this long")
    linked_card: bool = Field(
        False, description="a card linked to the account pays for what its balance doesn't cover: purchases don't wait for the balance"
    )
    settle_seconds: float = Field(
        10.0, ge=0, le=DAY_S, description="how long the provider's lists may lag behind its own writes (assumption A3)"
    )
    settle_limit_seconds: float = Field(
        600.0, ge=1, le=30 * DAY_S, description="an unclear purchase or release that can't be settled by then needs a review"
    )
    batch_size: int = Field(100, ge=1, le=1000, description="numbers in one provider call at most")
    max_attempts: int = Field(
        8, ge=1, le=MOST_TIMES, description="failed attempts before a job ends as failed, or is parked if money may have moved"
    )
    max_crashes: int = Field(5, ge=1, le=MOST_TIMES, description="workers that may die running a job, and no other, before it is parked")
    probe_seconds: float = Field(30.0, ge=0.1, le=DAY_S, description="how often one job tries whether a paused account works again")
    stock_look_seconds: float = Field(
        60.0,
        ge=0.1,
        le=DAY_S,
        description="approximate interval at which a standing order searches the stock; jobs that watch the same city share searches",
    )
    inventory_seconds: float = Field(
        900.0, ge=1, le=30 * DAY_S, description="how often workers read all numbers of an account, for the inventory"
    )
    failover_inventory_seconds: float = Field(
        1800.0, ge=0, le=30 * DAY_S, description="how old the inventory may be for a failover by selector to go by it; 0: it always lists"
    )
    inventory_share: float = Field(
        0.1, gt=0, le=1, description="part of the rate limit that a sweep of the inventory uses at most; it pauses for emergencies"
    )
    renewal_due_days: float = Field(
        3.0, ge=0, le=MOST_DAYS, description="how long before `paid_until` the event didflow.number.renewal_due.v1 is emitted"
    )
    quote_seconds: float = Field(3600.0, ge=1, le=365 * DAY_S, description="how long the quote of a dry run can be ordered by")
    plan_refresh_seconds: float = Field(300.0, ge=1, le=30 * DAY_S, description="how often workers refresh a failover plan's numbers")
    catalogue_age_seconds: float = Field(
        3600.0, ge=0, le=MOST_DAYS * DAY_S, description="a catalogue answer that is no older is given without a new look"
    )
    catalogue_days: float = Field(30.0, gt=0, le=MOST_DAYS, description="how long looks of the catalogue are kept")
    catalogue_looks: int = Field(2000, ge=10, le=100_000, description="looks of the catalogue that are kept of an account at most")
    reuse_label: str | None = Field(
        None, min_length=1, description="numbers of ours with this label, without destinations and SMS callback, are the pool for reuse"
    )
    documents_poll_seconds: float = Field(
        3600.0, ge=1, le=30 * DAY_S, description="approximate interval at which a number that waits for documents is checked"
    )
    documents_deadline_days: float = Field(
        30.0, gt=0, le=MOST_DAYS, description="how long numbers that wait for documents are followed, where a request doesn't say"
    )
    # Not less: after a restart of Redis the gate reports numbers that were bought since the day before and that no kept job claims.
    retention_days: float = Field(90.0, ge=2, le=MOST_DAYS, description="how long ended jobs and their idempotency keys are kept")
    audit_days: float = Field(365.0, gt=0, le=MOST_DAYS, description="how long the audit of people's changes is kept")
    history_days: float = Field(1095.0, gt=0, le=MOST_DAYS, description="how long a number's history is kept after the number went")
    protected_numbers: Annotated[NumberList, NoDecode, BeforeValidator(_words)] = Field(
        (), description="comma list: numbers that are never released"
    )
    protected_labels: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = Field(
        (), description="comma list: numbers with these labels are never released"
    )

    releases_per_day: int | None = Field(
        None,
        ge=1,
        le=MOST_TIMES,
        description="numbers that an account may release per day (UTC), across all jobs; the rest waits for the next day; none: no limit",
    )
    grace_look_hours: float = Field(
        24.0, gt=0, le=744, description="how often a number in its grace period is checked for calls, besides just before its release"
    )

    spend_account_usd_per_hour: SpendUsd | None = Field(
        None, description="USD that one account may spend on purchases in any hour, activation and first month; none: no limit"
    )
    spend_account_usd_per_day: SpendUsd | None = Field(None, description="USD that one account may spend in any day")
    spend_account_numbers_per_hour: SpendNumbers | None = Field(None, description="numbers that one account may buy in any hour")
    spend_account_numbers_per_day: SpendNumbers | None = Field(None, description="numbers that one account may buy in any day")
    spend_reference_usd_per_hour: SpendUsd | None = Field(None, description="USD that the jobs of one reference may spend in any hour")
    spend_reference_usd_per_day: SpendUsd | None = Field(None, description="USD that the jobs of one reference may spend in any day")
    spend_reference_numbers_per_hour: SpendNumbers | None = Field(
        None, description="numbers that the jobs of one reference may buy in any hour"
    )
    spend_reference_numbers_per_day: SpendNumbers | None = Field(
        None, description="numbers that the jobs of one reference may buy in any day"
    )

    second_person_usd: SpendUsd | None = Field(
        None,
        description="in `didflow serve` and `didflow resolve`: a finding about parked numbers that cost more USD than this ends the job "
        "only when a second person sends the same one; none: one is enough",
    )

    webhook_networks: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_words)] = Field(
        (), description="comma list of private networks that webhooks may be posted to, such as 10.1.0.0/16; others have to be public"
    )
    webhook_proxy: ProxyUrl = Field(
        None, description="proxy that webhooks are posted through: http://…, with its user and password; none: no proxy"
    )

    actor: Annotated[str | None, AfterValidator(_usable_actor)] = Field(
        None, description="who requests the changes that this process makes, stored with them; none: the operating system's user"
    )
    processes: int = Field(2, ge=1, le=64, description="worker processes that `didflow worker` keeps running")
    threads: int = Field(
        8, ge=1, le=32, description="threads of a worker process for money and bulk jobs; a quarter as many again serve emergencies"
    )
    middleware: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = Field(
        (), description="comma list of module:Class: Dramatiq middleware of yours that the workers load (docs/middleware.md)"
    )
    log_format: Literal["console", "json"] = Field("console", description="how log events are written")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the lowest level written")

    @property
    def acting(self) -> str:
        """Who is behind what this process is asked to change."""
        return os_user() if self.actor is None else self.actor

    def spend_limits(self, account: Account | None) -> tuple[SpendLimit, ...]:
        """What the jobs of this account have to keep."""
        found = []
        for scope, unit, window in product(SCOPES, UNITS, WINDOWS):
            own = getattr(account, f"spend_{unit}_per_{window}") if account is not None and scope == "account" else None
            most = own if own is not None else getattr(self, f"spend_{scope}_{unit}_per_{window}")
            found += [SpendLimit(scope=scope, unit=unit, window=window, most=most)] if most is not None else []
        return tuple(found)

    def account(self, name: str) -> Account | None:
        """The account of that name, or None."""
        return self.all_accounts().get(name)

    def all_accounts(self) -> dict[str, Account]:
        """`default` from WAVIX_*, the others from the TOML file. Raises InvalidSettings if it can't be read, or if two are one account."""
        found = dict(_read_accounts(self.accounts)) if self.accounts else {}
        if self.wavix_api_key:
            found["default"] = Account(
                api_key=self.wavix_api_key, base_url=self.wavix_base_url, dialect=self.wavix_dialect, key_in=self.wavix_key_in
            )
        _refuse_twins(found)
        return found


def load_settings() -> Settings:
    """Read the environment. Raises InvalidSettings, naming every fault, but no value (it may be a secret)."""
    try:
        return Settings()
    except ValidationError as error:
        raise InvalidSettings("the settings are invalid: " + _faults(error, variable)) from None
    except (SettingsError, OSError, UnicodeError) as error:
        raise InvalidSettings(f"the settings can't be read, from the environment or from .env ({type(error).__name__})") from None


def _read_accounts(path: Path) -> dict[str, Account]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: Account.model_validate(table) for name, table in tables.items()}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidSettings(f"DIDFLOW_ACCOUNTS names a file that can't be read as TOML ({type(error).__name__})") from None
    except ValidationError as error:
        raise InvalidSettings(f"the file in DIDFLOW_ACCOUNTS is invalid: {_faults(error)}") from None


def _refuse_twins(accounts: Mapping[str, Account]) -> None:
    """Reservations, limits and the rate belong to a name: under two names each number would be bought and reported twice."""
    for (one, first), (other, second) in combinations(sorted(accounts.items()), 2):
        if first.api_key == second.api_key and first.base_url == second.base_url:
            raise InvalidSettings(
                f"accounts {one!r} and {other!r} have the same key at the same address: they are one account; keep one name"
            )


#: Variables that processes of ours give each other, or that tests give them.
_INTERNAL = frozenset({"DIDFLOW_SUPERVISOR_PID", "DIDFLOW_WORKER_NAME", "DIDFLOW_PREDECESSOR", "DIDFLOW_FAULT_POINTS"})


def unknown_variables(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What looks like a setting and is none, in the environment or in `.env`: its name, and the setting that may be meant. No value.

    Every DIDFLOW_… is meant for us; of WAVIX_…, which others may use, only what is nearly one of ours.
    """
    known = {variable(name) for name in Settings.model_fields}
    names = {name.upper() for name in (os.environ if environment is None else environment)} | _names_in_file()
    found = []
    for name in sorted(names - known - _INTERNAL):
        nearest = get_close_matches(name, known, n=1, cutoff=0.8)
        if name.startswith("DIDFLOW_") or (name.startswith("WAVIX_") and nearest):
            found.append(name + (f" (is {nearest[0]} meant?)" if nearest else ""))
    return tuple(found)


def _names_in_file() -> set[str]:
    try:
        return {name.upper() for name in DotEnvSettingsSource(Settings).env_vars}
    except (SettingsError, OSError, UnicodeError):
        return set()


def variable(name: str) -> str:
    """The environment variable of a setting."""
    field = Settings.model_fields.get(name)
    return name if field is None else field.alias or f"DIDFLOW_{name.upper()}"


def _faults(error: ValidationError, called: Callable[[str], str] = str) -> str:
    faults = error.errors(include_url=False)
    return "; ".join(
        f"{'.'.join(called(str(part)) for part in fault['loc'])}: {_without(fault['input'], fault['msg'].removeprefix('Value error, '))}"
        for fault in faults
    )


def _without(given: object, message: str) -> str:
    """The message, if it quotes nothing of what was given."""
    shown = given if isinstance(given, str) else ""
    return "can't be read" if shown and any(form in message for form in (shown, shown[:20], repr(shown)[1:21])) else message
