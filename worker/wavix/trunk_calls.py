"""SIP trunks of the account."""

from functools import cached_property

import structlog

from didflow.contract.provider import NotNow, NotNowReason, Page, ReadFailed, Trunk
from worker.pages import PER_PAGE, PageRepeated, all_pages
from worker.wavix import parsing
from worker.wavix.reads import Reads
from worker.wavix.trunks import TrunkNames

#: All of an account's trunks are kept in memory; a longer list isn't believed.
MAX_TRUNKS = 10_000

log = structlog.stdlib.get_logger("didflow.wavix")


class TrunkCalls(Reads):
    """The list of trunks, and their names in routes."""

    @cached_property
    def _trunk_names(self) -> TrunkNames:
        return TrunkNames(self._locations, self.trunks)

    def trunks(self) -> tuple[Trunk, ...]:
        """All of them: one that isn't there is refused as a destination. Raises ReadFailed."""
        found: dict[int, Trunk] = {}
        try:
            for shown in all_pages(self._trunks_page, key=lambda trunk: trunk.id):
                found |= {trunk.id: trunk for trunk in shown.items}
                if len(found) > MAX_TRUNKS:
                    log.error("wavix.too_many_trunks", most=MAX_TRUNKS)
                    raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))
        except PageRepeated as repeated:
            log.error("wavix.page_repeated", path="/v1/trunks", page=repeated.page)
            raise
        return tuple(found.values())

    def _trunks_page(self, page: int) -> Page[Trunk]:
        params: dict[str, str | int] = {"page": page, "per_page": PER_PAGE}
        return self._read_known("/v1/trunks", params, lambda raw: parsing.trunks_page(raw, page, self._max_pages))
