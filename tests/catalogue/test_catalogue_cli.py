"""`didflow catalogue`, as a person and a program call it."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.inline_shell import shell_of
from tests.support.inline_worker import InlineWorker
from tests.support.shell import Shell
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

OFFERS = ("catalogue", "offers", "--country", "US", "--city", "LOS ANGELES, CA")


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return shell_of(inline, valkey.url, tmp_path)


def test_each_list_is_a_table_in_a_pipe_tabs_and_as_json_one_document(inline: InlineWorker, shell: Shell) -> None:
    with working(inline):
        countries = shell("catalogue", "countries")
        assert countries.code == 0, countries.err
        assert countries.out.splitlines()[:2] == ["country\tname\tregions", "US\tUnited States\tyes"]
        assert countries.err.startswith("seen ")
        assert shell("catalogue", "regions", "--country", "us").out.splitlines()[:2] == ["region", "California"]
        cities = shell("catalogue", "cities", "--country", "US", "--region", "california", columns=100)
        assert cities.out.splitlines()[1].split("  ")[-2:] == ["California", "213568"]
        offers = shell(*OFFERS, "--sms", "--max-monthly", "2.50", "--json").json
    assert (offers["complete"], offers["gaps"], offers["seen"]) == (True, None, 30)
    first = offers["items"][0]
    assert first["sms"] is True
    assert Decimal(first["monthly_usd"]) <= Decimal("2.50")
    assert isinstance(first["setup_usd"], str)
    assert first["documents"] == []


def test_offers_say_which_documents_they_need_and_what_is_not_stated(inline: InlineWorker, shell: Shell) -> None:
    inline.sandbox.order("reconfigure", offers_leave_out=("sms_enabled", "sms_price"))
    with working(inline):
        offers = shell("catalogue", "offers", "--country", "DE", "--city", "Berlin", "--max-setup", "2.00", "--limit", "1")
    assert offers.code == 0, offers.err
    headings, row = (line.split("\t") for line in offers.out.splitlines())
    shown = dict(zip(headings, row, strict=True))
    assert (shown["SMS"], shown["an SMS"], shown["a minute"], shown["type"]) == ("not stated", "not stated", "0.01", "geographic")
    assert shown["documents"] == "Any form of ID (id), Proof of local address (localaddress)"
    assert "of 30 numbers fit, the 1 cheapest are shown; refused:" in offers.err
    assert "price" in offers.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cities", "--country", "Germny"), "unknown_country"),
        (("countries", "--max-age", "soon"), "max_age: 'soon' is no age"),
        (("offers", "--country", "US", "--city", "LOS ANGELS, CA"), "did you mean LOS ANGELES, CA"),
    ],
)
def test_bad_input_is_named_with_exit_code_2(inline: InlineWorker, shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    with working(inline):
        ended = shell("catalogue", *arguments)
    assert (ended.code, said in ended.err) == (2, True), ended.err


def test_without_a_worker_the_command_ends_with_exit_code_3_after_its_time(shell: Shell) -> None:
    ended = shell("catalogue", "countries", "--timeout", "0.2", "--json")
    assert ended.code == 3
    assert ended.json["error"]["code"] == "catalogue_timeout"
    assert "no worker is running" in ended.json["error"]["message"]


def test_an_old_answer_is_taken_where_the_caller_allows_it(inline: InlineWorker, shell: Shell) -> None:
    with working(inline):
        assert shell("catalogue", "countries").code == 0
    assert shell("catalogue", "countries", "--max-age", "0s", "--timeout", "0").code == 3
    assert len(shell("catalogue", "countries", "--max-age", "any", "--json").json["items"]) == 6


@pytest.mark.parametrize("columns", [None, 100])
def test_names_of_a_hostile_provider_are_shown_as_text(inline: InlineWorker, shell: Shell, columns: int | None) -> None:
    hostile = '"\\u001b[2J\\u202eBERLIN\\n[bold red]\\tx"'
    inline.sandbox.add_fault("cities", "set_field", field="name", value=hostile, times=None)
    with working(inline):
        ended = shell("catalogue", "cities", "--country", "DE", columns=columns)
        refused = shell("catalogue", "offers", "--country", "DE", "--city", "BERLIN [bold red] x", columns=columns)
    shown = "\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}BERLIN [bold red] x"
    assert (ended.code, ended.out.count(shown)) == (0, 2), ended.out
    for text in (ended.out, ended.err, refused.err):
        assert not {"\x1b", "\u202e"} & set(text)
    assert (refused.code, "did you mean" in refused.err) == (2, True)
