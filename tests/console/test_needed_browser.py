"""Without a browser the stories are skipped, and say so; where there has to be one, they fail."""

import pytest

from tests.support import browser


def test_what_is_missing_is_named_and_skipped_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="isn't installed"):
        browser.needed()
    monkeypatch.setenv(browser.VARIABLE, "required")
    with pytest.raises(pytest.fail.Exception, match="isn't installed"):
        browser.needed()
