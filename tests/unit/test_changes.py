"""What an order with too few numbers is advised to change: the flag to type and the field to set, for what really refused numbers."""

import re

from didflow import Rung, SearchAndBuy
from didflow.contract.changes import _ADMITS, changes
from producers.cli.app import loaded


def test_the_cause_of_most_refusals_comes_first_and_what_refused_nothing_is_not_advised() -> None:
    said = changes(SearchAndBuy(country="DE"), {"monthly_fee": 2, "documents": 60, "taken": 99}, 0)
    assert said == ", ".join(
        (
            "allow numbers that need documents (--documents allow_inactive; field documents)",
            "pay more a month (--max-monthly; field max_monthly_usd)",
            "wait for stock (--wait-until 2d; field wait_until)",
            "or ask again later",
        )
    )


def test_the_request_itself_says_what_can_be_widened() -> None:
    city = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=5)
    assert changes(city, {}, 3).startswith("take the 3 (--policy best_effort; field policy), look in more cities (--city; field city), ")
    region = SearchAndBuy(country="US", region="California", policy="best_effort")
    assert changes(region, {"budget_in_cart": 1}, 1).startswith(
        "pay more in all (--max-total; field max_total_usd), look in another region (--region"
    )
    assert "try another place (--rung; field ladder)" in changes(SearchAndBuy(country="US", ladder=(Rung(region="Texas"),)), {}, 0)


def test_every_flag_is_an_option_of_buy_and_every_field_one_of_the_request() -> None:
    options = {name for param in loaded("buy").params for name in param.opts}
    for _, flag, field in _ADMITS.values():
        assert set(re.findall(r"--[\w-]+", flag)) <= options
        assert field in SearchAndBuy.model_fields
