"""Whole lists of places and offers that jobs read for themselves go to the catalogue, each with its age. Best effort."""

import time
from collections.abc import Callable

import redis
import structlog

from didflow.contract.catalogue import Look
from didflow.contract.errors import DidflowError
from didflow.ledger.catalogue import MOST_LOOK_CHARS, feed, look_text
from didflow.ledger.ledger import Ledger
from worker.inventory.gathering import Gathering

#: Lists that wait to be written, at most.
MOST_LISTS = 50

log = structlog.stdlib.get_logger("didflow.catalogue")


class CatalogueFeed(Gathering[tuple[Look, float]]):
    """`saw` is called by any thread; what it leaves is written in this one."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        kept_s: float,
        most: int,
        is_its_ledger: Callable[[str], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("catalogue feed", MOST_LISTS)
        self._ledger, self._kept_ms, self._most, self._clock = ledger, int(kept_s * 1000), most, clock
        self._is_its_ledger = is_its_ledger

    def saw(self, look: Look, asked_s: float) -> None:
        """A whole list whose reading began no earlier than `asked_s`, on `clock`."""
        self.leave((look, asked_s))

    def write(self) -> None:
        newest = {(look.account, look.question): (look, asked_s) for look, asked_s in self.taken()}
        try:
            for look, asked_s in newest.values():
                if self._is_its_ledger(look.account):
                    self._write(look, asked_s)
        except (DidflowError, redis.RedisError) as error:
            log.warning("catalogue.list_dropped", error=f"{type(error).__name__}: {error}")
        except Exception:
            log.exception("catalogue.bug")  # Jobs need this process, so it must not end for this.

    def _write(self, look: Look, asked_s: float) -> None:
        before_s, now_ms = self._clock(), self._ledger.now_ms()
        began = look.model_copy(update={"began_ms": int(now_ms - (before_s - asked_s) * 1000) - 1})
        text = look_text(began)
        if len(text) <= MOST_LOOK_CHARS:
            self._ledger.run(feed(began, text, kept_ms=self._kept_ms, most=self._most))
