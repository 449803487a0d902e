"""Campaigns with a purpose: short ones for every day, and those that a wrong protocol doesn't survive."""

from collections.abc import Callable

from tests.campaign.campaign import EVERYTHING, Plan
from tests.campaign.mutants import MUTANTS, OF_COUNTDOWNS, OF_RELEASES
from tests.campaign.work import CITIES
from worker.wavix.sandbox import SandboxAdmin

#: What a short campaign leaves out: outages that take longer than the campaign has, and waits of a minute for funds.
TOO_LONG = {"valkey_outage": 0, "valkey_stall": 0, "funds_drained": 0}
#: For mutants: a minute is enough for the fault that a wrong protocol can't bear, in every purchase.
ONLY_PURCHASES = {"kill": 1, "reply_lost": 1}


#: Jobs of which kinds a wrong protocol needs.
ONLY = {one.__name__: "countdown" for one in OF_COUNTDOWNS} | {one.__name__: "release" for one in OF_RELEASES}


def short(seconds: float, seed: int) -> Plan:
    """Everything that a minute has room for."""
    return Plan(seconds=seconds, seed=seed, weights=EVERYTHING | TOO_LONG, slack_s=6.0)


def against(mutant: str | None, seconds: float, seed: int) -> Plan:
    """Purchases, or countdowns, under the faults that the named wrong protocol can't bear; None: the right one under all of them."""
    orders = [order for name, order in STRESS.items() if mutant in (name, None)]

    def first_orders(sandbox: SandboxAdmin) -> None:
        for order in orders:
            order(sandbox)

    weights = dict(ONLY_PURCHASES)
    if mutant in ("no_token_check", None):
        # Now and then, so that others are awake to take over.
        weights |= {"freeze_before_step": 2, "scripts_forgotten": 8}
    return Plan(
        seconds=seconds,
        seed=seed,
        in_flight=48,
        pause_s=(0.2, 0.6),
        weights=weights,
        only=ONLY.get(mutant or "", "buy"),
        # In one city a number that is abandoned is soon used again, if it may be.
        cities=CITIES[:1],
        first_orders=first_orders,
        mutant=mutant,
        with_roles=False,
        profiles=(),
        quiet_within_s=60.0,
    )


def _zombies(sandbox: SandboxAdmin) -> None:
    """Workers sleep before they fill the cart or write the end: that is the campaign's doing, the provider is well."""


def _well(sandbox: SandboxAdmin) -> None:
    """A countdown can go wrong without the provider's help."""


def _late_checkouts(sandbox: SandboxAdmin) -> None:
    """Some checkouts act when recovery has settled that they didn't."""
    for seconds in (2.0, 3.0, 4.0):
        sandbox.add_fault("checkout", "act_late", times=None, probability=0.15, seconds=seconds)


def _late_adds(sandbox: SandboxAdmin) -> None:
    """Adds that come late, and checkouts that come later still: together they buy a number that was abandoned and used again."""
    for seconds in (3.5, 4.5):
        sandbox.add_fault("cart_put", "act_late", times=None, probability=0.2, seconds=seconds)
    for seconds in (3.5, 5.0):
        sandbox.add_fault("checkout", "act_late", times=None, probability=0.25, seconds=seconds)


def _refused_answers(sandbox: SandboxAdmin) -> None:
    """Checkouts that act and are refused, with lists that lag."""
    sandbox.order("reconfigure", read_lag_s=0.9)
    sandbox.add_fault("checkout", "act_then_refuse", times=None, probability=0.2, status=404)


def _releases_of_one_id(sandbox: SandboxAdmin) -> None:
    """Of several ids a release takes the last, and says yes."""
    sandbox.order("reconfigure", release_ids="last")


def _refused_releases(sandbox: SandboxAdmin) -> None:
    """Releases that act and are refused."""
    sandbox.add_fault("release", "act_then_refuse", times=None, probability=0.3, status=422)


STRESS: dict[str, Callable[[SandboxAdmin], None]] = {
    "no_token_check": _zombies,
    "look_first": _late_checkouts,
    "reuse_tainted": _late_adds,
    "believe_refusals": _refused_answers,
    "deaf_to_cancels": _well,
    "leaves_parked": _well,
    "believe_yes_to_releases": _releases_of_one_id,
    "believe_refused_releases": _refused_releases,
}
assert STRESS.keys() == MUTANTS.keys()
