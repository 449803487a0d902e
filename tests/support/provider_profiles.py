"""Which variations of the provider a test runs on: drawn from a seed for tests of jobs, none for others, or what a test's mark says.

`DIDFLOW_PROFILE_SEED` draws others; the default stays the same, so that a run can be repeated. `DIDFLOW_PROFILES` (comma list, may be
empty) sets them for all tests. `@pytest.mark.provider("city-route")` pins those of one test, `@pytest.mark.provider()` none.
"""

import os
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from worker.wavix.sandbox import SandboxOptions
from worker.wavix.sandbox.profiles import PROFILES, draw, settings_of

SEED = os.environ.get("DIDFLOW_PROFILE_SEED", "1")
FORCED = os.environ.get("DIDFLOW_PROFILES")
#: Tests below this folder run on drawn profiles.
DRAWS = "tests/jobs/"
#: A simulation has a clock of its own, which these would not follow; its lists lag when the test says so.
TIMED = frozenset({"read_lag_s", "apply_late_s", "cart_removal_late_s", "cart_lag_s"})
#: Under these every job ends the same way.
FOR_ANY_JOB = tuple(name for name, profile in PROFILES.items() if profile.any_job)


@dataclass(frozen=True)
class Drawn:
    """The profiles of one test."""

    names: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """What the client needs to speak with such a provider."""
        return settings_of(self.names)

    def applied_to(self, options: SandboxOptions, *, timed: bool = True) -> SandboxOptions:
        """The sandbox; `timed`: with those that go by the real clock, too."""
        return options.with_profiles(*(name for name in self.names if timed or not TIMED & PROFILES[name].changes.keys()))


#: The profiles of the test that is running in this process.
current = Drawn()


def drawn_for(nodeid: str, pinned: Iterable[str] | None, *, forced: str | None = FORCED) -> Drawn:
    """The profiles of this test; the same for the same seed. `pinned`: those that its mark names."""
    if pinned is not None:
        return Drawn(tuple(pinned))
    if forced is not None:
        return Drawn(tuple(name for name in forced.split(",") if name))
    if not nodeid.startswith(DRAWS):
        return Drawn()
    rng = random.Random(f"{SEED} {nodeid}")
    return Drawn(draw(rng, rng.randint(1, 3), FOR_ANY_JOB))


def use(drawn: Drawn) -> None:
    """Let what is built from here on stand on these."""
    global current
    current = drawn


def how_to_repeat(nodeid: str, drawn: Drawn) -> str:
    """What a failing test says."""
    return f"{', '.join(drawn.names) or 'none'}\nagain: DIDFLOW_PROFILES={','.join(drawn.names)} .venv/bin/python -m pytest '{nodeid}'"
