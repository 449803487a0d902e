"""The options of `didflow buy`, in groups: where, which numbers, at which price, how many, what else to do, how they are delivered."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from didflow.contract.requests import Rung
from didflow.terminal import completion
from didflow.terminal import options as given
from producers.rung_texts import rung_of


@dataclass(frozen=True)
class Place:
    """Where the numbers are, and their digits."""

    country: Annotated[str | None, typer.Option(help="ISO code or name", show_default=False, autocompletion=completion.countries)] = None
    region: Annotated[str | None, typer.Option(help="state or province", show_default=False)] = None
    city: Annotated[
        list[str] | None,
        typer.Option(
            help='as the provider spells it: "LOS ANGELES, CA"; may be repeated', show_default=False, autocompletion=completion.cities
        ),
    ] = None
    area_code: Annotated[str | None, typer.Option(help="digits after the country code", show_default=False)] = None
    prefix: Annotated[str | None, typer.Option(help="first digits, country code included", show_default=False)] = None
    pattern: Annotated[str | None, typer.Option(help='digits, ? for one, * for any: "*777"', show_default=False)] = None

    def fields(self) -> dict[str, Any]:
        return vars(self) | {"city": tuple(self.city or ())}


@dataclass(frozen=True)
class Features:
    """What the numbers can do."""

    number_type: Annotated[
        str, typer.Option(help="geographic | toll_free | all", autocompletion=completion.one_of("geographic", "toll_free", "all"))
    ] = "all"
    sms: Annotated[bool, typer.Option("--sms", help="must receive SMS")] = False
    min_channels: Annotated[int | None, typer.Option(help="minimum inbound channels", show_default=False)] = None


@dataclass(frozen=True)
class Terms:
    """What may be paid, and which obligations are accepted."""

    max_setup: Annotated[str | None, typer.Option(help="maximum activation fee per number, USD", show_default=False)] = None
    max_monthly: Annotated[str | None, typer.Option(help="maximum monthly fee per number, USD", show_default=False)] = None
    max_total: Annotated[str | None, typer.Option(help="maximum total charge of the job, USD", show_default=False)] = None
    documents: Annotated[
        str,
        typer.Option(
            help="refuse | allow_inactive: numbers that need documents", autocompletion=completion.one_of("refuse", "allow_inactive")
        ),
    ] = "refuse"

    def fields(self) -> dict[str, Any]:
        return {
            "max_setup_usd": self.max_setup,
            "max_monthly_usd": self.max_monthly,
            "max_total_usd": self.max_total,
            "documents": self.documents,
        }


@dataclass(frozen=True)
class Amount:
    """How many, and what to do where there are fewer."""

    quantity: Annotated[int, typer.Option("--quantity", "-q", help="1 to 1000")] = 1
    policy: Annotated[
        str,
        typer.Option(
            help="all_or_nothing | at_least | best_effort", autocompletion=completion.one_of("all_or_nothing", "at_least", "best_effort")
        ),
    ] = "all_or_nothing"
    at_least: Annotated[int | None, typer.Option(help="with policy at_least: this many or none", show_default=False)] = None

    def fields(self) -> dict[str, Any]:
        return vars(self) | ({} if self.at_least is None else {"policy": "at_least"})


@dataclass(frozen=True)
class Alternatives:
    """Where else to look, and until when."""

    rung: Annotated[
        list[str] | None,
        typer.Option(
            "--rung",
            help='a rung of the ladder, tried in the given order: "city=LOS ANGELES, CA; sms=needed; quantity=2"',
            show_default=False,
        ),
    ] = None
    wait_until: Annotated[
        str | None, typer.Option(help="a standing order: wait for stock until: 2h, 3d, or a time with zone", show_default=False)
    ] = None

    def ladder(self) -> tuple[Rung, ...] | None:
        """From texts such as ``city=LOS ANGELES, CA; quantity=2``. Raises InvalidRequest."""
        if self.rung is None:
            return None
        return given.together(*(lambda place=place, text=text: rung_of(place, text) for place, text in enumerate(self.rung, 1)))


@dataclass(frozen=True)
class Delivery:
    """Where calls and SMS go, and whether numbers of the pool come first."""

    to: given.To = None
    sms_relay_url: Annotated[str | None, typer.Option(help="where inbound SMS go", show_default=False)] = None
    reuse: Annotated[bool, typer.Option("--reuse", help="first assign our own numbers from the pool")] = False

    def fields(self) -> dict[str, Any]:
        return {"sms_relay_url": self.sms_relay_url, "reuse": self.reuse}


@dataclass(frozen=True)
class Pricing:
    """Whether only the price is wanted."""

    dry_run: given.DryRun = False
    reusable_quote: Annotated[
        bool, typer.Option("--reusable-quote", help="with --dry-run: the quote is valid for any number of orders, instead of one")
    ] = False


#: An order that was quoted before.
QuoteFile = Annotated[
    Path | None, typer.Option(help="buy by this quote, or nothing: a dry run's --json output; - reads stdin", show_default=False)
]
