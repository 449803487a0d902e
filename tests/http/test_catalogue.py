"""The catalogue over HTTP: what a worker saw at the provider."""

from tests.support.http_server import api_of
from tests.support.inline_worker import InlineWorker
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey


def test_places_and_offers_are_listed(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    with working(inline), api_of(inline.ledger, valkey.url) as api:
        countries = api.http.get("/v1/catalogue/countries").json()
        assert ("US", True) in [(one["iso_code"], one["has_regions"]) for one in countries["items"]]
        assert countries["complete"] is True
        regions = api.http.get("/v1/catalogue/regions", params={"country": "US"}).json()["items"]
        assert "California" in [one["name"] for one in regions]
        cities = api.http.get("/v1/catalogue/cities", params={"country": "US", "region": "California"}).json()["items"]
        assert "LOS ANGELES, CA" in [one["name"] for one in cities]
        wanted = {"country": "US", "city": "LOS ANGELES, CA", "sms": "true", "max_monthly_usd": "2.50"}
        offers = api.http.get("/v1/catalogue/offers", params=wanted)
        assert offers.status_code == 200, offers.text
        assert offers.json()["items"]
        assert all(one["sms"] and float(one["monthly_usd"]) <= 2.5 for one in offers.json()["items"])
        unknown = api.http.get("/v1/catalogue/offers", params={**wanted, "city": "LOS ANGLES, CA"})
        assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_city")
        assert "LOS ANGELES, CA" in unknown.json()["detail"]
        wrong = api.http.get("/v1/catalogue/offers", params={**wanted, "pattern": "abc", "min_channels": "0"})
        assert wrong.status_code == 422


def test_without_a_worker_that_has_the_account_it_is_said_at_once(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    with api_of(inline.ledger, valkey.url) as api:
        answer = api.http.get("/v1/catalogue/countries", params={"account": "other", "wait": "0"})
    assert answer.status_code in (422, 504)
    assert answer.json()["code"] in ("unknown_account", "catalogue_timeout")
