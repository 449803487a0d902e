"""A client whose calls a test can interrupt."""

from tests.support.inline_worker import InlineWorker
from worker.wavix.client import WavixClient


class Meddled(WavixClient):
    """The real client of an inline worker, where a test may do something just before or after a call."""

    def __init__(self, inline: InlineWorker) -> None:
        self.__dict__ = inline.client.__dict__
        inline.client = self
