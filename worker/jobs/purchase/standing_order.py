"""Standing orders: when a job that waits for stock searches again, and how jobs that watch the same city share searches."""

from pydantic import BaseModel, ConfigDict

from didflow.contract.numbers import NumberType
from didflow.contract.provider import NotThere, Offer, Page
from didflow.contract.requests import SearchAndBuy
from didflow.delays import draw_for, jittered_s
from worker.jobs.checkpoint import read_if_readable
from worker.jobs.ports.attempt import Clock
from worker.jobs.ports.context import PurchaseContext
from worker.jobs.ports.provider import StockPort
from worker.pages import PER_PAGE


def left_s(request: SearchAndBuy, context: Clock) -> float:
    """How long a standing order still has, 0 at least; endless for a job that isn't one."""
    return float("inf") if request.wait_until is None else max(0.0, request.wait_until.timestamp() - context.now_ms() / 1000)


def is_over(request: SearchAndBuy, context: Clock) -> bool:
    """Whether the time of a standing order is over."""
    return left_s(request, context) == 0


def next_look_s(job_id: str, looks: int, every_s: float) -> float:
    """The pause before the next look: three to five quarters of `every_s`, so that jobs that came together don't continue together.

    Which part of that is the job's and the look's, so that a look which is repeated waits as long.
    """
    return jittered_s(every_s, draw_for(job_id, looks))


class StockNote(BaseModel):
    """A page of a city's stock as some job of the account saw it."""

    model_config = ConfigDict(frozen=True)

    at_ms: int
    total_pages: int
    total: int
    offers: tuple[Offer, ...]
    per_page: int = PER_PAGE


class SharedLooks:
    """Lists a city's numbers for standing orders: what another one saw a moment ago isn't requested again.

    A note may be out of date, as any list of the stock may; what can be had is what the cart says. It is fresh for half the pause
    between two looks, so no job goes by what itself saw the last time.
    """

    def __init__(self, provider: StockPort, context: PurchaseContext, every_s: float) -> None:
        self._provider, self._context, self._fresh_ms = provider, context, every_s * 500

    def offers(self, country_id: int, city_id: int, *, sms_only: bool, page: int, number_type: NumberType = "all") -> Page[Offer]:
        place = f"{country_id}:{city_id}:{'sms' if sms_only else 'all'}:{number_type}:{page}"
        now_ms = self._context.now_ms()
        note = read_if_readable(StockNote, self._context.notes.read(place))
        if note is None or not 0 <= now_ms - note.at_ms < self._fresh_ms:
            note = self._ask(country_id, city_id, sms_only=sms_only, page=page, number_type=number_type, now_ms=now_ms)
            self._context.notes.write(place, note.model_dump_json())
        return Page(note.offers, page, note.total_pages, note.total, per_page=note.per_page)

    def _ask(self, country_id: int, city_id: int, *, sms_only: bool, page: int, number_type: NumberType, now_ms: int) -> StockNote:
        try:
            found = self._provider.offers(country_id, city_id, sms_only=sms_only, page=page, number_type=number_type)
        except NotThere:  # Nothing for sale there, which others needn't ask either.
            return StockNote(at_ms=now_ms, total_pages=0, total=0, offers=())
        # Records that can't be read aren't in the note, and are part of a full page all the same.
        per_page = found.per_page - len(found.unread)
        return StockNote(at_ms=now_ms, total_pages=found.total_pages, total=found.total, offers=found.items, per_page=per_page)
