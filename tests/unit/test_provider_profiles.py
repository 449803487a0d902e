"""Profiles of the provider: each option and value that is a variation has one, and those that are drawn fit together."""

import random
from dataclasses import fields
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from didflow.settings import Settings
from worker.wavix.sandbox.__main__ import main
from worker.wavix.sandbox.options import SandboxOptions
from worker.wavix.sandbox.profiles import PROFILES, changes_of, draw

#: Options that say how large, how fast and whose a sandbox is; the others vary what the provider does.
NO_VARIATION = {"accounts", "more_keys", "more_trunks", "balance_usd", "latency_ms", "jitter_ms", "rate_limit", "restock_s", "seed"}
NO_VARIATION |= {"numbers_per_city"}
VARIATIONS = [one.name for one in fields(SandboxOptions) if one.name not in NO_VARIATION]


@pytest.mark.parametrize("option", VARIATIONS)
def test_each_variation_has_a_profile_for_each_of_its_values(option: str) -> None:
    set_to = [profile.changes[option] for profile in PROFILES.values() if option in profile.changes]
    assert set_to, f"no profile sets {option}: add one to worker/wavix/sandbox/profiles.py"
    kind = get_type_hints(SandboxOptions)[option]
    if get_origin(kind) is Literal:
        assert set(get_args(kind)) - {getattr(SandboxOptions(), option)} == set(set_to)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_changes_options_that_exist_away_from_their_defaults(name: str) -> None:
    profile, plain = PROFILES[name], SandboxOptions()
    changed = plain.with_profiles(name)
    assert profile.changes or profile.settings
    assert all(getattr(changed, option) == value != getattr(plain, option) for option, value in profile.changes.items())
    assert profile.settings.keys() <= Settings.model_fields.keys()
    assert profile.says.endswith(".")


def test_profiles_that_contradict_each_other_and_unknown_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="profiles funds-402 and funds-422 set funds_status"):
        SandboxOptions().with_profiles("funds-402", "funds-422")
    with pytest.raises(ValueError, match="there is no profile 'none'"):
        SandboxOptions().with_profiles("none")


def test_what_is_drawn_can_be_combined_and_is_the_same_for_the_same_seed() -> None:
    drawn = [draw(random.Random(seed), 3) for seed in range(200)]
    assert drawn == [draw(random.Random(seed), 3) for seed in range(200)]
    assert all(len(names) == 3 and changes_of(names) for names in drawn)
    assert {name for names in drawn for name in names} == set(PROFILES)
    dialects = {name for names in drawn if "numbers-dialect" in names for name in names}
    assert not {"path-mydids", "key-in-query"} & dialects, "a client with a fixed dialect can't follow"


def test_the_sandbox_command_lists_its_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--profile", "list"])
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == list(PROFILES)


def test_the_sandbox_command_refuses_what_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--profile", "funds-402", "--profile", "funds-422"])
    assert "set funds_status to different values" in capsys.readouterr().err
