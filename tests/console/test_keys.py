"""Keys on the console: made, rotated and revoked by an admin who sees everything, each secret shown once."""

import re

import httpx
import pytest

from didflow.contract.api_keys import ApiScope, KeptKey
from didflow.ledger import api_keys
from didflow.ledger.ledger import Ledger
from tests.console.conftest import As
from tests.support.console_visitor import Visitor, text_of, visiting
from tests.support.http_server import Api, serving
from worker.local.embedded_valkey import EmbeddedValkey

SECRET = re.compile(r"dfk_[A-Za-z0-9_-]{43}")
SHOP: dict[str, str | list[str]] = {
    "name": "shop",
    "scope": ["read", "buy"],
    "account": "second",
    "reference_prefix": "shop-",
    "rate_per_s": "2.5",
    "expires": "90d",
    "reason": "the shop goes live",
}


def secret_in(page: httpx.Response) -> str:
    """The one secret of the page, which browsers and proxies mustn't keep."""
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    (secret,) = set(SECRET.findall(page.text))
    return str(secret)


def kept(api: Api, name: str) -> KeptKey | None:
    return next((one for one in api.ledger.perform(api_keys.kept(api.ledger.commands)) if one.key.name == name), None)


def rotation(visitor: Visitor, key: KeptKey, **fields: str) -> dict[str, str]:
    """The form as the page has it."""
    found = re.search(rf'name="key" value="{key.key.id}">\s*<input type="hidden" name="seen" value="([^"]+)"', visitor.get("/keys").text)
    assert found is not None
    return {"key": key.key.id, "seen": found[1], "reason": "it leaked", **fields}


def opens(api: Api, secret: str) -> int:
    return httpx.get(f"{api.url}/v1/jobs", headers={"Authorization": f"Bearer {secret}"}, trust_env=False).status_code


def why(api: Api, what: str) -> list[tuple[str, str | None, str | None]]:
    entries = api.http.get("/v1/audit", params={"what": what}).json()["entries"]
    return [(one["actor"], one["on"]["subject"], one.get("reason")) for one in entries]


def test_a_key_is_made_with_its_limits_and_its_secret_is_shown_once(
    as_: As, api: Api, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    admin = as_("admin")
    made = admin.post("/keys/create", SHOP)
    secret, key = secret_in(made), kept(api, "shop")
    assert key is not None
    assert (key.key.scopes, key.key.account, key.key.reference_prefix, key.key.rate_per_s) == (
        frozenset({ApiScope.READ, ApiScope.BUY}),
        "second",
        "shop-",
        2.5,
    )
    assert key.expires_at is not None
    assert key.created_at is not None
    assert ((key.expires_at - key.created_at).days, key.created_by) == (90, "admin")
    assert opens(api, secret) == 200
    assert secret not in str(made.url) + admin.get("/keys").text + admin.get("/audit").text
    heard = capfd.readouterr()
    assert secret not in heard.out + heard.err + caplog.text
    assert why(api, "keys create")[0] == ("admin", "shop", "the shop goes live")
    again = admin.post("/keys/create", SHOP)
    assert (again.status_code, SECRET.search(again.text)) == (422, None), "a form that is sent again makes no second key"
    assert "buy, read account second, references shop-…, 2.5 a second 1" in text_of(admin.get("/keys"))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"reason": ""}, "reason_missing"),
        ({"name": ""}, "name"),
        ({"scope": []}, "scope: choose a scope"),
        ({"scope": ["everything"]}, "scopes"),
        ({"scope": ["admin"]}, "reference prefix"),
        ({"expires": "soon"}, "expires"),
        ({"expires": "0s"}, "expires"),
        ({"rate_per_s": "-1"}, "rate_per_s"),
    ],
)
def test_a_key_that_cannot_be_is_refused_and_not_made(as_: As, api: Api, fields: dict[str, str | list[str]], word: str) -> None:
    refused = as_("admin").post("/keys/create", {**SHOP, "name": "odd", **fields})
    assert (refused.status_code, word in text_of(refused), kept(api, "odd")) == (422, True, None)


def test_every_fault_of_a_key_is_named_at_once(as_: As) -> None:
    text = text_of(as_("admin").post("/keys/create", {"name": "\n", "scope": [], "expires": "soon", "rate_per_s": "x", "reason": "y"}))
    assert [text.count(word) for word in ("choose a scope", "'soon' is no duration")] == [1, 1]
    assert all(word in text for word in ("name", "expires", "rate_per_s"))


def test_a_rotated_key_has_two_secrets_until_the_overlap_ends(as_: As, api: Api) -> None:
    admin, old = as_("admin"), api.key("rotating", ApiScope.READ)
    key = kept(api, "rotating")
    assert key is not None
    form = rotation(admin, key, overlap="1h", expires="30d")
    assert "reason_missing" in admin.post("/keys/rotate", form | {"reason": ""}).text
    assert admin.post("/keys/rotate", form | {"overlap": "long"}).status_code == 422
    assert admin.post("/keys/rotate", form | {"key": "nothing"}).status_code == 404
    new = secret_in(admin.post("/keys/rotate", form))
    assert ({old, new} == {old}, opens(api, old), opens(api, new)) == (False, 200, 200)
    rotated = kept(api, "rotating")
    assert rotated is not None
    assert (rotated.secrets, rotated.expires_at is not None) == (2, True)
    again = admin.post("/keys/rotate", form)
    assert (again.status_code, "key_changed" in again.text, opens(api, new)) == (409, True, 200), "a reload rotates nothing"
    newest = secret_in(admin.post("/keys/rotate", rotation(admin, key, overlap="0s")))
    assert [opens(api, one) for one in (old, new, newest)] == [401, 401, 200]
    assert why(api, "keys rotate")[0] == ("admin", "rotating", "it leaked")


def test_a_revoked_key_and_its_sessions_end_at_once(as_: As, api: Api) -> None:
    admin, secret = as_("admin"), api.key("gone", ApiScope.READ)
    key = kept(api, "gone")
    assert key is not None
    with visiting(api.url, secret) as visitor:
        assert admin.post("/keys/revoke", {"key": key.key.id}).status_code == 422, "why?"
        done = admin.post("/keys/revoke", {"key": key.key.id, "reason": "left us"})
        assert "The key is revoked, and its sessions have ended." in text_of(done)
        assert (visitor.get("/jobs").url.path, opens(api, secret)) == ("/console/login", 401)
    assert why(api, "keys revoke")[0] == ("admin", "gone", "left us")
    assert admin.post("/keys/revoke", {"key": key.key.id, "reason": "left us"}).status_code == 404


@pytest.mark.parametrize("what", ["create", "rotate", "revoke"])
def test_only_an_admin_who_sees_everything_changes_keys(as_: As, api: Api, what: str) -> None:
    key = kept(api, "viewer")
    assert key is not None
    form = {**SHOP, "name": f"of nobody {what}", "key": key.key.id}
    assert as_("operator").post(f"/keys/{what}", form).status_code == 403
    with visiting(api.url, api.key(f"limited {what}", ApiScope.ADMIN, account="second")) as limited:
        assert limited.post(f"/keys/{what}", form).status_code == 403
    assert (kept(api, f"of nobody {what}"), kept(api, "viewer")) == (None, key)


def test_the_first_key_is_one_that_can_make_others(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    form: dict[str, str | list[str]] = {"name": "shop", "scope": ["read"], "reason": "the first", "page": "/console/keys"}
    with serving(real_ledger, valkey.url, open_to="ann") as url, visiting(url) as visitor:
        visitor.get("/keys")
        limited: dict[str, str | list[str]] = {"scope": ["admin"], "account": "second"}
        for odd, where in ((form, "scopes"), (limited, "account")):
            refused = visitor.post("/keys/create", form | odd)
            assert (refused.status_code, "didflow keys create boss --scope admin" in text_of(refused)) == (422, True)
            body = {"name": "shop", "scopes": ["read"], **({"scopes": ["admin"], "account": "second"} if odd is limited else {})}
            by_http = visitor.http.post("/v1/keys", json=body)
            assert (by_http.status_code, by_http.json()["errors"][0]["pointer"]) == (422, f"/{where}")
            assert "make an admin key first" in by_http.json()["detail"]
        assert visitor.get("/keys").status_code == 200, "no key was made: nobody is locked out"
        assert secret_in(visitor.post("/keys/create", form | {"scope": ["admin"]}))


def test_an_admin_only_page_names_the_command_that_opens_it(as_: As) -> None:
    refused = as_("viewer").get("/keys")
    assert (refused.status_code, "didflow keys create boss --scope admin" in text_of(refused)) == (403, True)
