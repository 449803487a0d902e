"""A wrong setting ends every process that reads it, once, with the variable's name; its content is shown nowhere."""

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from didflow.contract.errors import InvalidSettings
from didflow.settings import Settings, load_settings, unknown_variables, variable

SECRET = "hunter2"
FLOATS = [variable(name) for name, field in Settings.model_fields.items() if field.annotation is float]
COUNTS = [variable(name) for name, field in Settings.model_fields.items() if field.annotation in (int, int | None)]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other settings than the test's."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def refused(**environment: str) -> str:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        with pytest.raises(InvalidSettings) as error:
            load_settings().all_accounts()
    return str(error.value)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "Infinity", "1e300", "1e999", "-1", "", "abc", "0x10"])
def test_every_number_of_seconds_days_or_requests_is_finite(name: str, value: str) -> None:
    assert name in refused(**{name: value})


def test_there_are_numbers_to_check() -> None:
    assert {"DIDFLOW_RATE_LIMIT", "DIDFLOW_LEASE_SECONDS", "DIDFLOW_RETENTION_DAYS", "DIDFLOW_HISTORY_DAYS"} <= set(FLOATS)
    assert {"DIDFLOW_BATCH_SIZE", "DIDFLOW_RELEASES_PER_DAY"} <= set(COUNTS)
    assert all(
        math.isfinite(getattr(Settings(_env_file=None), name)) for name, field in Settings.model_fields.items() if field.annotation is float
    )


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", ["0", "-1", "9" * 30, "9" * 5000, "1.5", "inf", ""])
def test_every_count_is_bounded(name: str, value: str) -> None:
    assert name in refused(**{name: value})


WRONG = [
    *(
        ("WAVIX_BASE_URL", url)
        for url in (f"http://{SECRET}:abc", f"http://[::1{SECRET}", f"http://{SECRET}\nx", SECRET, f"ftp://{SECRET}")
    ),
    *(("WAVIX_API_KEY", key) for key in (f"{SECRET}\n", f"{SECRET}\u00e9", f"{SECRET} x", "")),
    ("DIDFLOW_REDIS_URL", f"redis://:{SECRET}#x@127.0.0.1:6399/0"),
    *(("DIDFLOW_REDIS_URL", f"redis://:{SECRET}@127.0.0.1{rest}") for rest in (":abc", ":99999", ":6379/abc", "?foo=bar", "/0#")),
    *((name, SECRET) for name in ("WAVIX_DIALECT", "DIDFLOW_LOG_LEVEL", "DIDFLOW_UNSAFE_REDIS", "DIDFLOW_PROTECTED_NUMBERS")),
    ("DIDFLOW_SPEND_ACCOUNT_USD_PER_DAY", SECRET),
    ("DIDFLOW_SPEND_ACCOUNT_USD_PER_DAY", "NaN"),
    ("DIDFLOW_NAMESPACE", f"{SECRET} x"),
    ("DIDFLOW_STATE_DIR", f"{SECRET}\x1b[2J"),
    ("DIDFLOW_ACCOUNTS", f"/nowhere/{SECRET}.toml"),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}-{place}" for place, (name, _) in enumerate(WRONG)])
def test_a_setting_that_cannot_be_used_is_named_without_its_content(name: str, value: str) -> None:
    said = refused(**{name: value})
    assert name in said
    assert SECRET not in said


TEXT_SETTINGS = [variable(name) for name in Settings.model_fields if name != "accounts"]


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(TEXT_SETTINGS),
    st.sampled_from(["", "redis://:", "redis://h/", "http://", "https://h:", "unix://", "redis://h?"]),
    st.text(st.characters(exclude_characters="\x00"), max_size=12),
)
def test_no_content_of_any_setting_is_shown_or_ends_in_another_error(name: str, before: str, after: str) -> None:
    secret = f"{SECRET}{after}"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(name, (before + secret).encode("utf-8", "replace").decode())
        try:
            load_settings().all_accounts()
        except InvalidSettings as error:
            said: str | None = str(error)
        else:
            said = None
    assert said is None or (name in said and SECRET not in said)


def test_a_file_of_settings_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"WAVIX_API_KEY=\xff\xfe" + SECRET.encode())
    assert SECRET not in refused()


def accounts(tmp_path: Path, text: str) -> dict[str, str]:
    (tmp_path / "accounts.toml").write_text(text)
    return {"DIDFLOW_ACCOUNTS": str(tmp_path / "accounts.toml")}


@pytest.mark.parametrize(
    "table",
    ["base_url = 'api.wavix.com'", "base_url = 'ftp://api.wavix.com'", "api_key = ''", "api_key = 'a b'", "base_url = 'https://h:99999'"],
)
def test_an_account_of_the_file_is_checked_in_the_same_way(tmp_path: Path, table: str) -> None:
    key = "" if "api_key" in table else f"api_key = '{SECRET}'\n"
    said = refused(**accounts(tmp_path, f"[reseller]\n{key}{table}\n"))
    assert table.split(" ")[0] in said
    assert SECRET not in said


@pytest.mark.parametrize("address", ["https://api.wavix.com/", "https://API.WAVIX.COM", "https://api.wavix.com:443"])
def test_one_account_under_two_names_is_refused_by_both_names(tmp_path: Path, address: str) -> None:
    table = f"[reseller]\napi_key = '{SECRET}'\nbase_url = '{address}'\ndialect = 'numbers'\n"
    said = refused(WAVIX_API_KEY=SECRET, **accounts(tmp_path, table))
    assert "'default'" in said
    assert "'reseller'" in said
    assert SECRET not in said


def test_one_key_at_two_addresses_and_two_keys_at_one_are_two_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = f"[sandbox]\napi_key = '{SECRET}'\nbase_url = 'http://127.0.0.1:8788'\n[other]\napi_key = '{SECRET}-2'\n"
    for name, value in accounts(tmp_path, tables).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WAVIX_API_KEY", SECRET)
    assert set(load_settings().all_accounts()) == {"default", "sandbox", "other"}


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("DIDFLOW_RATELIMIT", "DIDFLOW_RATELIMIT (is DIDFLOW_RATE_LIMIT meant?)"),
        ("didflow_rate_limits", "DIDFLOW_RATE_LIMITS (is DIDFLOW_RATE_LIMIT meant?)"),
        ("DIDFLOW_ZZZ", "DIDFLOW_ZZZ"),
        ("WAVIX_APIKEY", "WAVIX_APIKEY (is WAVIX_API_KEY meant?)"),
    ],
)
def test_a_misspelt_variable_is_named_without_its_value(name: str, named: str) -> None:
    assert unknown_variables({name: SECRET}) == (named,)


@pytest.mark.parametrize(
    "name", ["DIDFLOW_RATE_LIMIT", "didflow_rate_limit", "WAVIX_API_KEY", "WAVIX_SMS_TOKEN", "PATH", "DIDFLOW_WORKER_NAME"]
)
def test_settings_and_what_is_meant_for_others_are_not_named(name: str) -> None:
    assert unknown_variables({name: "1"}) == ()


def test_a_misspelt_line_of_the_file_is_named_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"DIDFLOW_RATE_LIMIT=2\nDIDFLOW_REDISURL={SECRET}\n")
    assert unknown_variables({}) == ("DIDFLOW_REDISURL (is DIDFLOW_REDIS_URL meant?)",)
    (tmp_path / ".env").write_bytes(b"DIDFLOW_X=\xff\xfe")
    assert unknown_variables({}) == ()
