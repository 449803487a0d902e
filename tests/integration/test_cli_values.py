"""A value that a command can't take ends it with exit code 2 and the fault's name, never with a traceback (which `Shell` looks for)."""

from pathlib import Path

import pytest

from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

FAR = "99999999999d"
NUMBER = ("--number", "+12135550100")

WRONG: list[tuple[tuple[str, ...], str]] = [
    (("buy", "--country", "US", "--wait-until", FAR), "wait_until"),
    (("buy", "--country", "US", "--wait-until", "9999-12-31T23:59:59-05:00"), "wait_until"),
    (("buy", "--country", "US", "--not-before", FAR), "not_before"),
    (("buy", "--country", "US", "--rung", f"city=TORONTO; quantity={'9' * 5000}"), "quantity"),
    (("reroute", *NUMBER, "--to", "sip:a@b", "--not-before", "0001-01-01T00:00:00+01:00"), "not_before"),
    (("reroute", *NUMBER, "--to", "sip:a@b", "--deadline", FAR), "deadline"),
    (("failover", *NUMBER, "--to", "sip:a@b", "--deadline", FAR), "deadline"),
    (("failover", "plan", "run", "evening", "--deadline", FAR), "deadline"),
    (("release", *NUMBER, "--at", "9999-12-31", "--yes"), "at"),
    (("release", *NUMBER, "--grace", FAR, "--yes"), "grace"),
    (("churn", "churned", "acme", "--at", "9999-12-31", "--yes"), "at"),
    (("churn", "churned", "acme", "--at", FAR, "--yes"), "at"),
    (("churn", "churned", "acme", "--before-renewal", FAR, "--yes"), "before_renewal"),
    (("documents", "follow", *NUMBER, "--deadline", FAR), "deadline"),
    (("jobs", "--offset", "9" * 21), "--offset"),
    (("status", "j", "--wait", "--timeout", "nan"), "--timeout"),
    (("results", "--limit", "9" * 21), "--limit"),
    (("sandbox", "--port", "999999"), "--port"),
    (("sandbox", "--balance", "abc"), "--balance"),
    (("sandbox", "--balance", "NaN"), "--balance"),
    (("sandbox", "--latency-ms", "nan"), "--latency-ms"),
    (("sandbox", "--rate-limit", "0"), "--rate-limit"),
    (("sandbox", "--numbers-per-city", "-1"), "--numbers-per-city"),
    (("sandbox", "--seed", "9" * 5000), "--seed"),
    (("up", "--sandbox-port", "70000"), "--sandbox-port"),
    (("up", "--processes", "0"), "--processes"),
    (("up", "--threads", "1e3"), "--threads"),
]


@pytest.mark.parametrize(("command", "named"), WRONG, ids=[" ".join(command)[:50] for command, _ in WRONG])
def test_a_value_out_of_bounds_ends_the_command_with_its_name(
    tmp_path: Path, valkey: EmbeddedValkey, namespace: str, command: tuple[str, ...], named: str
) -> None:
    ended = Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace})(*command)
    assert ended.code == 2
    assert named in ended.err
    assert len(ended.err) < 2000
