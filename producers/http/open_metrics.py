"""The ledger's measures in the text form that Prometheus reads. No label names a job, a number or a reference: their count has no bound."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from didflow.contract.metric_counts import Histogram
from didflow.contract.spending import WINDOWS
from didflow.contract.states import JobState
from didflow.contract.webhooks import EndpointState
from didflow.ledger.metrics import AccountMeasures, Measures

#: The media type of the text.
CONTENT_TYPE = CONTENT_TYPE_LATEST
#: States in which a job waits for a worker, for time to pass or for a person.
_OPEN = (JobState.QUEUED, JobState.RUNNING, JobState.WAITING, JobState.NEEDS_REVIEW)


def open_metrics(measures: Measures) -> bytes:
    """The OpenMetrics text of these measures."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Measured(measures))
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return text


class _Measured(Collector):
    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def describe(self) -> Iterable[Metric]:
        return ()  # Otherwise everything would be collected once more when it is registered.

    def collect(self) -> Iterator[Metric]:
        measures = self._measures
        yield _gauge("workers", "Worker processes that are alive", {(): measures.workers})
        yield from _jobs(measures)
        yield from _provider(measures)
        yield from _accounts(measures)
        yield from _streams(measures)
        yield from _webhooks(measures)


def _jobs(measures: Measures) -> Iterator[Metric]:
    counts = {(state.value,): count for state, count in measures.jobs.items()}
    yield _gauge("jobs", "Jobs by state; batches of a large job aren't counted", counts, "state")
    ages = {(state.value,): measures.oldest_s(state) for state in _OPEN}
    yield _gauge("oldest_job_seconds", "Since when the oldest job in this state was submitted", ages, "state")
    yield _gauge("frozen_jobs", "Jobs that wait until a freeze is lifted", {(): measures.frozen_jobs})
    waiting = {(lane.value,): backlog.waiting for lane, backlog in measures.lanes.items()}
    yield _gauge("due_jobs", "Jobs that are due and that no worker has taken", waiting, "lane")
    oldest = {(lane.value,): backlog.oldest_s for lane, backlog in measures.lanes.items()}
    yield _gauge("oldest_due_seconds", "For how long the oldest such job has been due", oldest, "lane")
    ended = CounterMetricFamily("didflow_jobs_ended", "Jobs that ended or were parked", labels=("kind", "state"))
    for (kind, state), count in sorted(measures.ended.counts.items()):
        ended.add_metric((kind, state), count)
    yield ended
    yield _histogram("job_wait_seconds", "From when a job was due until its first attempt began", "kind", measures.ended.waited)
    yield _histogram("job_run_seconds", "From the beginning of a job's first attempt until its end", "kind", measures.ended.ran)


def _provider(measures: Measures) -> Iterator[Metric]:
    calls = CounterMetricFamily("didflow_provider_calls", "Requests to the provider", labels=("call", "answer"))
    for (call, answer), count in sorted(measures.calls.counts.items()):
        calls.add_metric((call, answer), count)
    yield calls
    yield _histogram("provider_call_seconds", "How long requests to the provider took", "call", measures.calls.took)


def _accounts(measures: Measures) -> Iterator[Metric]:
    accounts = measures.accounts
    for name, words, of in (
        ("account_paused", "1 while the provider refuses the account's key", lambda one: int(one.paused)),
        ("frozen", "1 while a freeze stops the account's purchases and releases", lambda one: int(one.frozen)),
        ("gate_closed", "1 while no money moves because a restart of Redis may have lost writes", lambda one: int(one.gate_closed)),
        ("breaker_open", "1 while the provider fails and only probes are sent", lambda one: int(one.breaker_open)),
        ("money_in_doubt_usd", "Held by checkouts that aren't settled", lambda one: float(one.in_doubt_usd)),
        ("money_in_doubt_oldest_seconds", "For how long the oldest of them has been open", lambda one: one.in_doubt_s),
    ):
        yield _gauge(name, words, {(account,): of(one) for account, one in accounts.items()}, "account")
    ages = {(account,): one.inventory.age_s for account, one in accounts.items() if one.inventory.age_s is not None}
    yield _gauge("inventory_age_seconds", "Since when no complete sweep of the account's numbers has begun", ages, "account")
    mirrored = {(account,): one.inventory.numbers for account, one in accounts.items()}
    yield _gauge("inventory_numbers", "Numbers in the inventory", mirrored, "account")
    rates = {(account,): one.rate_per_s for account, one in accounts.items() if one.rate_per_s is not None}
    yield _gauge("rate_requests_per_second", "Requests that are allowed now", rates, "account")
    yield _gauge("spent_usd", "Spent and held in the window", _spent(accounts.items()), "account", "window")
    limits = {
        (account, limit.unit, limit.window): float(limit.most)
        for account, one in accounts.items()
        for limit in one.limits
        if limit.scope == "account"
    }
    yield _gauge("spend_limit", "The account's spend limits, in USD or numbers", limits, "account", "unit", "window")


def _spent(accounts: Iterable[tuple[str, AccountMeasures]]) -> dict[tuple[str, ...], float]:
    known = ((account, one.spending) for account, one in accounts if one.spending is not None)
    return {(account, window): float(spending.used(window).usd) for account, spending in known for window in WINDOWS}


def _streams(measures: Measures) -> Iterator[Metric]:
    letters = {(where,): count for where, count in measures.dead_letters.items()}
    yield _gauge("dead_letters", "Entries that nobody could process", letters, "where")
    groups = [group for stream in measures.groups for group in stream.groups]
    labels = ("stream", "group")
    unread = {(one.stream, one.name): one.unread for one in groups}
    yield _gauge("stream_unread", "Entries that were delivered to no consumer of the group", unread, *labels)
    pending = {(one.stream, one.name): one.pending for one in groups}
    yield _gauge("stream_pending", "Entries that were delivered and aren't acknowledged", pending, *labels)
    held = {(one.stream, one.name): one.held_s or 0.0 for one in groups}
    yield _gauge("stream_oldest_pending_seconds", "For how long the oldest of them has been with its consumer", held, *labels)


def _webhooks(measures: Measures) -> Iterator[Metric]:
    attempts = CounterMetricFamily("didflow_webhook_attempts", "Attempts to deliver an event to an endpoint", labels=("webhook", "outcome"))
    for one in measures.webhooks:
        for outcome, count in one.attempts.items():
            attempts.add_metric((one.name, outcome.value), count)
    yield attempts
    enabled = {(one.name,): int(one.state is EndpointState.ENABLED) for one in measures.webhooks}
    yield _gauge("webhook_enabled", "0 while nothing is sent to the endpoint", enabled, "webhook")
    queued = {(one.name,): one.queued for one in measures.webhooks}
    yield _gauge("webhook_queued_events", "Events that wait for the endpoint", queued, "webhook")
    failing = {(one.name,): (measures.at - one.failing_since).total_seconds() if one.failing_since else 0.0 for one in measures.webhooks}
    yield _gauge("webhook_failing_seconds", "Since when no attempt has succeeded", failing, "webhook")


def _gauge(name: str, words: str, values: Mapping[Any, float], *labels: str) -> Metric:
    """`values`: by the values of the labels, in their order."""
    metric = GaugeMetricFamily(f"didflow_{name}", words, labels=labels)
    for named, value in values.items():
        metric.add_metric(named, value)
    return metric


def _histogram(name: str, words: str, label: str, histograms: dict[str, Histogram]) -> Metric:
    metric = HistogramMetricFamily(f"didflow_{name}", words, labels=(label,))
    for named, histogram in sorted(histograms.items()):
        rows = [("+Inf" if bound == float("inf") else f"{bound:g}", count) for bound, count in histogram.cumulative()]
        metric.add_metric((named,), rows, histogram.sum_s)
    return metric
