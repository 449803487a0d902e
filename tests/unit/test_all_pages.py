"""Every page of a list is read, however its server counts them: what ends a list, and what is a fault."""

import pytest

from didflow.contract.provider import Barred, No, NotNow, NotNowReason, NotThere, Page, ReadFailed
from worker.pages import PageRepeated, all_pages

AWAY = ReadFailed(NotNow(NotNowReason.UNAVAILABLE))
LIMITED = ReadFailed(NotNow(NotNowReason.RATE_LIMITED))
REFUSED = ReadFailed(No("read_refused", "422"))
BARRED = ReadFailed(Barred(401, "no"))

Shown = range | Exception


class Server:
    """Shows the entries of its pages, which are full with three; `says` that there are so many. Behind them it answers with `end`."""

    def __init__(self, *pages: Shown, says: int, end: Shown = range(0)) -> None:
        self.pages, self.says, self.end, self.read = pages, says, end, list[int]()

    def __call__(self, page: int) -> Page[int]:
        self.read.append(page)
        shown = self.pages[page - 1] if page <= len(self.pages) else self.end
        if isinstance(shown, Exception):
            raise shown
        return Page(tuple(shown), page, self.says, 0, per_page=3)

    def entries(self) -> list[int]:
        return [one for page in all_pages(self, key=int) for one in page.items]


@pytest.mark.parametrize("end", [range(0), range(3, 6), NotThere("page"), REFUSED, AWAY], ids=str)
@pytest.mark.parametrize("says", [1, 2])
def test_a_full_last_page_is_read_behind_whatever_is_there(says: int, end: Shown) -> None:
    server = Server(range(3), range(3, 6), says=says, end=end)
    assert server.entries() == list(range(6))
    assert server.read == [1, 2, 3, 1] if end is AWAY else [1, 2, 3]


def test_a_page_that_isnt_full_ends_the_list() -> None:
    server = Server(range(3), range(3, 5), says=2, end=AWAY)
    assert (server.entries(), server.read) == (list(range(5)), [1, 2])


@pytest.mark.parametrize("fault", [LIMITED, BARRED], ids=str)
def test_a_server_that_cant_answer_now_or_bars_the_key_hasnt_ended_the_list(fault: ReadFailed) -> None:
    with pytest.raises(ReadFailed) as failed:
        Server(range(3), says=1, end=fault).entries()
    assert failed.value is fault


def test_a_page_that_should_be_there_is_no_end_of_the_list() -> None:
    with pytest.raises(PageRepeated) as repeated:
        Server(range(3), range(3), says=3).entries()
    assert repeated.value.page == 2
    with pytest.raises(NotThere):
        Server(range(3), NotThere("page"), says=2).entries()


def test_records_that_cant_be_read_are_part_of_a_full_page() -> None:
    shown = Page((1, 2), 1, 1, 0, unread=(None,), per_page=3)
    assert shown.is_full
    assert not Page((1, 2), 1, 1, 0, per_page=3).is_full
