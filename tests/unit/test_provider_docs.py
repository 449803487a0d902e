"""The page on the provider names every variation that the sandbox can play."""

from pathlib import Path

import pytest

from worker.wavix.sandbox.profiles import PROFILES

PAGE = (Path(__file__).parents[2] / "docs" / "provider.md").read_text()


@pytest.mark.parametrize("name", PROFILES)
def test_the_page_names_the_profile(name: str) -> None:
    assert f"`{name}`" in PAGE, f"docs/provider.md doesn't say what didflow does with {name}"
