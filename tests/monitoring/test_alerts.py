"""The alert rules, by Prometheus's own tests of rules; and that what they say to type is a command."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from producers.cli.commands import SECTIONS

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "deploy" / "monitoring" / "alerts.yml"


def test_each_rule_fires_when_it_should_and_only_then() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        # Where everything must be tested, as in CI, a test that is left out is a failure.
        assert not os.environ.get("DIDFLOW_TEST_EVERYTHING"), "promtool is missing: install Debian's package prometheus"
        pytest.skip("promtool isn't installed: it is in Debian's package prometheus")
    ran = subprocess.run([promtool, "test", "rules", HERE / "alert_tests.yml"], capture_output=True, text=True, check=False, cwd=HERE)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_rule_is_tested() -> None:
    rules = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    assert len(rules) > 10
    assert rules - set(re.findall(r"Didflow\w+", (HERE / "alert_tests.yml").read_text())) == set()


def test_what_a_rule_says_to_type_is_a_command() -> None:
    texts = re.findall(r'next: "(.*)"', RULES.read_text())
    named = {command for text in texts for command in re.findall(r"(?:^|[`; ])didflow ([a-z-]+)", text)}
    known = {name for section in SECTIONS.values() for name in section}
    assert named
    assert named <= known, named - known
