"""The ledger's clock in the hands of a test, and which moment of the sandbox belongs to each of its times."""

import time
from bisect import bisect_right


class Clock:
    """Stands still but for a millisecond at each reading, until the test passes time.

    The sandbox remembers its past by a clock of its own, which can't be moved. `moment_s` translates, so that "a list shows the state
    of 9 seconds ago" means 9 seconds of this clock, and assumption A3 holds or fails by this clock alone.
    """

    def __init__(self) -> None:
        self._now_ms = int(time.time() * 1000)
        self._left_ms: list[int] = []  # Times that this clock has left, and the sandbox's moment at which it left each.
        self._moments_s: list[float] = []

    def now_ms(self) -> int:
        self.pass_ms(1)
        return self._now_ms

    @property
    def shown_ms(self) -> int:
        """The same, without passing time."""
        return self._now_ms

    def pass_ms(self, passed_ms: int) -> None:
        self._left_ms.append(self._now_ms)
        self._moments_s.append(time.monotonic())
        self._now_ms += passed_ms

    def moment_s(self, ago_ms: int) -> float:
        """The sandbox's last moment at which this clock showed the time of `ago_ms` ago, or less."""
        place = bisect_right(self._left_ms, self._now_ms - ago_ms) - 1
        if ago_ms == 0:
            return time.monotonic()
        return self._moments_s[place] if place >= 0 else float("-inf")
