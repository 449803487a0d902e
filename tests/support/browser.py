"""Chromium for the console's tests, as Playwright drives it; what a page reported, and what axe-core finds."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

#: `required`: a missing browser fails the tests; unset: they are skipped, and say so.
VARIABLE = "DIDFLOW_BROWSER"
#: As root, without a graphics card, and without asking anybody on the network anything.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
)
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
#: Long enough for a busy machine.
WITHIN_MS = 60_000
#: Widths of a desktop and of a phone.
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 360, "height": 780}


def missing() -> str | None:
    """What is missing for a browser; None: nothing."""
    if find_spec("playwright") is None:
        return "Playwright isn't installed: `make .venv/browser`"
    return None if shutil.which("chromium") else "Chromium isn't installed: `apt-get install chromium`"


def needed() -> None:
    """Skip where there is no browser; fail where there has to be one."""
    if (what := missing()) is None:
        return
    if os.environ.get(VARIABLE) == "required":
        pytest.fail(f"the console can't be tested in a browser: {what}")
    pytest.skip(f"the console isn't tested in a browser: {what}")


# Playwright's own types aren't named: where it isn't installed, they can't be checked.
@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Screen:
    """A page in a browser of its own, and what it reported: errors of scripts, refusals by the policy, requests that failed."""

    page: Any
    url: str
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}/console{path}")

    def log_in(self, secret: str) -> None:
        self.open("/login")
        self.page.get_by_label("API key").fill(secret)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(f"{self.url}/console/**")

    def serious(self) -> list[str]:
        """What axe-core finds that hinders people: serious or critical."""
        self.page.evaluate(AXE.read_text())
        options = {"resultTypes": ["violations"]}
        found: dict[str, Any] = self.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{one['id']}: {node['html'][:120]}: {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]


@contextmanager
def screen(
    browser: Any, url: str, *, secret: str | None = None, dark: bool = False, phone: bool = False, scripts: bool = True
) -> Iterator[Screen]:
    """A reader in Berlin, in a browser without anything of another's."""
    context = browser.new_context(
        color_scheme="dark" if dark else "light",
        viewport=PHONE if phone else DESKTOP,
        locale="en-GB",
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
        java_script_enabled=scripts,
    )
    context.set_default_timeout(WITHIN_MS)
    try:
        found = Screen(context.new_page(), url)
        found.page.on("console", lambda message: found.faults.append(message.text) if message.type in ("error", "warning") else None)
        found.page.on("pageerror", lambda error: found.faults.append(str(error)))
        found.page.on("dialog", lambda dialog: found.faults.append(f"a dialog: {dialog.message}"))
        if secret is not None:
            found.log_in(secret)
        yield found
    finally:
        context.close()
