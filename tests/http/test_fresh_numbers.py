"""The inventory over HTTP, no older than the caller wants."""

from tests.support.http_server import api_of
from tests.support.inline_worker import InlineWorker
from tests.support.sweeping import sweep
from worker.local.embedded_valkey import EmbeddedValkey


def test_a_young_inventory_is_shown_and_one_that_is_too_old_is_504(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    (number,) = inline.own(1)
    sweep(inline)
    with api_of(inline.ledger, valkey.url) as api:
        for path in ("/v1/numbers", "/v1/numbers/totals", f"/v1/numbers/{number.removeprefix('+')}"):
            assert api.http.get(path, params={"max_age_s": "60", "wait": "0"}).status_code == 200
            old = api.http.get(path, params={"max_age_s": "0", "wait": "0"})
            assert (old.status_code, old.json()["code"]) == (504, "inventory_timeout")
            assert "no worker is running" in old.json()["detail"]
        wrong = api.http.get("/v1/numbers", params={"max_age_s": "-1", "wait": "99"})
        assert wrong.status_code == 422
        assert len(wrong.json()["errors"]) == 2
