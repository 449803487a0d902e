"""What the sandbox saw: calls by name, when they came, how many at once; and the rate limit."""

import time
from collections import Counter, deque
from typing import Any

#: The most calls kept with their time.
REMEMBERED = 200_000


class Traffic:
    """Counts calls. The caller holds the world's lock."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self._arrivals: deque[tuple[float, str]] = deque(maxlen=REMEMBERED)
        self._first_s: dict[str, float] = {}
        self._last_s: dict[str, float] = {}
        self._now = self._peak = 0

    def came(self, call: str) -> None:
        self.calls[call] += 1
        self._last_s[call] = time.monotonic()
        self._first_s.setdefault(call, self._last_s[call])
        self._arrivals.append((self._last_s[call], call))
        self._now += 1
        self._peak = max(self._peak, self._now)

    def left(self, status: int | str) -> None:
        self._now -= 1
        self.statuses[str(status)] += 1

    def summary(self) -> dict[str, Any]:
        return {
            "calls": dict(self.calls),
            "statuses": dict(self.statuses),
            "peak_concurrency": self._peak,
            "busiest_second": self._busiest_second(),
            "first_came_s_ago": {call: time.monotonic() - moment_s for call, moment_s in self._first_s.items()},
            "last_came_s_ago": {call: time.monotonic() - moment_s for call, moment_s in self._last_s.items()},
        }

    def _busiest_second(self) -> int:
        window: deque[float] = deque()
        busiest = 0
        for moment_s, _ in self._arrivals:
            window.append(moment_s)
            while window[0] <= moment_s - 1:
                window.popleft()
            busiest = max(busiest, len(window))
        return busiest


class Bucket:
    """A token bucket that holds one second's worth."""

    def __init__(self, rate_per_s: float) -> None:
        self._rate = rate_per_s
        self._size = max(1.0, rate_per_s)
        self._tokens = self._size
        self._since_s = time.monotonic()

    def wait_s(self) -> float:
        """Take a token and return 0, or return how long it takes until there is one."""
        now = time.monotonic()
        self._tokens = min(self._size, self._tokens + (now - self._since_s) * self._rate)
        self._since_s = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate
