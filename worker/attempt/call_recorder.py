"""The provider as used by a job: every mutating call is recorded, with its request and answer."""

from collections.abc import Callable
from typing import Any, cast

from didflow.contract.jobs import ProviderCall
from didflow.contract.provider import answer_class
from worker.jobs.ports.provider import Provider

#: The calls that may change something, as the story names them.
CALLS = {
    "put_in_cart": "cart_add",
    "remove_from_cart": "cart_remove",
    "check_out": "checkout",
    "set_route": "set_route",
    "set_sms_relay_url": "sms_relay",
    "set_sms_enabled": "sms_on",
    "upload_paper": "papers",
    "release": "release",
}


def recorded_calls(provider: Provider, asked: Callable[[ProviderCall], None]) -> Provider:
    """The provider; `asked` is called with every answered call of these."""
    return cast("Provider", _Recorded(provider, asked))


class _Recorded:
    """Stands in for `inner`."""

    def __init__(self, inner: object, asked: Callable[[ProviderCall], None]) -> None:
        self._inner, self._asked = inner, asked

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        return self._around(CALLS[name], attribute) if name in CALLS else attribute

    def _around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def heard(*args: Any, **kwargs: Any) -> Any:
            answer = call(*args, **kwargs)
            self._asked(ProviderCall(name, answer.request, answer_class(answer)))
            return answer

        return heard
