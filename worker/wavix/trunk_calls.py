"""SIP trunks of the account."""

from functools import cached_property

import structlog

from didflow.contract.provider import NotNow, NotNowReason, Page, ReadFailed, Trunk
from worker.wavix import parsing
from worker.wavix.reads import PER_PAGE, Reads
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
        found: dict[int, Trunk] = {}
        page = pages = 1
        while page <= pages:
            shown = self._trunks_page(page)
            if shown.items and not any(trunk.id not in found for trunk in shown.items):
                log.error("wavix.page_repeated", path="/v1/trunks", page=page)
                raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))
            found |= {trunk.id: trunk for trunk in shown.items}
            if len(found) > MAX_TRUNKS:
                log.error("wavix.too_many_trunks", most=MAX_TRUNKS)
                raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))
            page, pages = page + 1, shown.total_pages
        return tuple(found.values())

    def _trunks_page(self, page: int) -> Page[Trunk]:
        params: dict[str, str | int] = {"page": page, "per_page": PER_PAGE}
        return self._read_known("/v1/trunks", params, lambda raw: parsing.trunks_page(raw, page, self._max_pages))
