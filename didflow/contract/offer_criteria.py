"""Which numbers match a request: pure rules, each refusal with its reason."""

from fnmatch import fnmatchcase
from typing import Literal

import phonenumbers

from didflow.contract.numbers import is_of_type, to_provider
from didflow.contract.provider import Offer
from didflow.contract.requests import SearchAndBuy

Reason = Literal["setup_fee", "monthly_fee", "documents", "sms", "channels", "area_code", "prefix", "pattern", "number_type"]


def reason_against(offer: Offer, request: SearchAndBuy) -> Reason | None:
    """Why the number doesn't fit, or None if it does."""
    digits = to_provider(offer.number)
    refusals: tuple[tuple[bool, Reason], ...] = (
        (not is_of_type(offer.number, request.number_type), "number_type"),
        (request.prefix is not None and not digits.startswith(request.prefix), "prefix"),
        (request.area_code is not None and not national_digits(offer.number).startswith(request.area_code), "area_code"),
        (request.pattern is not None and not matches(digits, request.pattern), "pattern"),
        (request.sms and not offer.sms_enabled, "sms"),
        (request.min_channels is not None and (offer.channels or 0) < request.min_channels, "channels"),
        (request.documents == "refuse" and bool(offer.documents), "documents"),
        (request.max_setup_usd is not None and offer.setup_usd > request.max_setup_usd, "setup_fee"),
        (request.max_monthly_usd is not None and offer.monthly_usd > request.max_monthly_usd, "monthly_fee"),
    )
    return next((reason for refused, reason in refusals if refused), None)


def matches(digits: str, pattern: str) -> bool:
    """Whether the whole number's digits match: ``?`` is one digit, ``*`` any number of them."""
    # fnmatch compiles stars to atomic groups, so that a pattern full of stars can't make the match explode.
    return fnmatchcase(digits, pattern)


def national_digits(e164: str) -> str:
    """The digits after the country code."""
    try:
        return str(phonenumbers.parse(e164, None).national_number)
    except phonenumbers.NumberParseException:
        return to_provider(e164)
