"""Customer onboarding: order numbers when a customer signs up, and consume the outcome of each order.

onboarding = Onboarding(Didflow.from_env())
onboarding.order("4711", SearchAndBuy(country="US", quantity=2), customer="acme")
for fulfilment in onboarding.fulfilments(consumer="crm-1"):
    provision(fulfilment.order, fulfilment.active)
    fulfilment.ack()
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from didflow.client.sync.client import Didflow
from didflow.client.sync.deliveries import Delivery
from didflow.contract.errors import JobError, WrongJob
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import NumberResult, Quote
from didflow.contract.states import JobState, Outcome

#: An order's idempotency key begins with this, so that other jobs' keys can't be taken for orders.
KEY = "onboarding:"


@dataclass(frozen=True)
class Fulfilment:
    """What became of an order.

    active     numbers that take calls now
    inactive   numbers that are paid for and wait for the customer's documents
    state      `needs_review` means that a person must determine what was bought: tell the customer nothing yet; the same
               order comes again when that is settled
    """

    order: str
    customer: str | None
    job_id: str
    state: JobState
    active: tuple[NumberResult, ...]
    inactive: tuple[NumberResult, ...]
    charged_usd: Decimal
    error: JobError | None
    _ack: Callable[[], None] = field(repr=False)

    def ack(self) -> None:
        """Say that the customer's side is done; without it the fulfilment comes again. See `Delivery.ack` for a Redis that is away."""
        self._ack()


class Onboarding:
    """Orders of one account. An order that is placed twice is one purchase."""

    def __init__(self, didflow: Didflow, *, account: str = "default") -> None:
        self._didflow, self._account = didflow, account

    def quote(self, request: SearchAndBuy, *, customer: str | None = None, reusable: bool = False, timeout_s: float = 60.0) -> Quote:
        """What these numbers would cost now, signed. Nothing is reserved. It is good for one order, if `reusable` for any number.

        Raises WaitTimeout, ServiceUnavailable; WrongJob with the reason if there is nothing to quote.
        """
        job = self._didflow.submit(
            request.model_copy(update={"dry_run": True, "reusable_quote": reusable}), reference=customer, account=self._account
        )
        view = self._didflow.wait(job.id, timeout_s)
        if view.result is None or view.result.quote is None or view.state is not JobState.SUCCEEDED:
            raise WrongJob(f"there is nothing to quote: {view.error.message if view.error else view.state.value}")
        return view.result.quote

    def order(self, order: str, request: SearchAndBuy | None = None, *, quote: Quote | None = None, customer: str | None = None) -> Job:
        """Order numbers by a request, or by a quote: on its terms or not at all.

        Raises InvalidRequest, ServiceUnavailable (repeat it then), IdempotencyConflict if the order requested others.
        """
        return self._didflow.submit(request, quote=quote, idempotency_key=KEY + order, reference=customer, account=self._account)

    def find(self, order: str) -> JobView | None:
        """Return the order's purchase as it is now; None if none was placed or it is no longer kept. Raises ServiceUnavailable."""
        found = self._didflow.find(idempotency_key=KEY + order)
        return found[0] if found and found[0].account == self._account else None

    def cancel(self, order: str) -> JobView | None:
        """Cancel an order. An order that still waits for stock leaves nothing behind. None if there is no such order."""
        found = self.find(order)
        return self._didflow.cancel(found.id) if found else None

    def fulfilments(
        self,
        consumer: str,
        *,
        group: str = "onboarding",
        block_s: float = 2.0,
        min_idle_s: float = 60.0,
        give_up_idle: bool = False,
        wait_for_redis: bool = True,
    ) -> Iterator[Fulfilment]:
        """Iterate over the outcome of each order, at least once until acknowledged. Give every process its own `consumer` name.

        The waiting, for orders and for a Redis that is away, is that of `Didflow.results`. Results of other jobs are passed over.
        Raises InvalidRequest.
        """
        deliveries = self._didflow.results(
            group, consumer, block_s=block_s, min_idle_s=min_idle_s, give_up_idle=give_up_idle, wait_for_redis=wait_for_redis
        )
        return self._fulfilments(deliveries)

    def _fulfilments(self, deliveries: Iterator[Delivery]) -> Iterator[Fulfilment]:
        for delivery in deliveries:
            if self._is_order(delivery):
                yield fulfilment(delivery)
            else:
                delivery.ack()

    def _is_order(self, delivery: Delivery) -> bool:
        body = delivery.event.data
        return (body.idempotency_key or "").startswith(KEY) and body.account == self._account


def fulfilment(delivery: Delivery) -> Fulfilment:
    """An order's result in the words of onboarding."""
    body = delivery.event.data
    return Fulfilment(
        order=(body.idempotency_key or "").removeprefix(KEY),
        customer=body.reference,
        job_id=body.job,
        state=body.state,
        active=tuple(number for number in body.numbers if number.outcome in (Outcome.BOUGHT, Outcome.REUSED)),
        inactive=tuple(number for number in body.numbers if number.outcome is Outcome.BOUGHT_INACTIVE),
        charged_usd=body.totals.charged_usd if body.totals else Decimal(0),
        error=body.error,
        _ack=delivery.ack,
    )
