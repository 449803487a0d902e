"""`didflow webhooks`: endpoints that get events by HTTP, what was delivered to them, and the process that delivers."""

import asyncio
import time
from datetime import timedelta
from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.client.sync.webhooks import Webhooks
from didflow.contract.errors import InvalidRequest, WaitTimeout
from didflow.contract.time_values import read_span
from didflow.contract.webhooks import Attempt, DeliveryOutcome, EndpointChange, EndpointState, EndpointView, EndpointWithSecret, NewEndpoint
from didflow.logs import configure_logs
from didflow.settings import load_settings
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, confirmed
from didflow.terminal.output import ExitCode, WholeWords, errors_shown, plain, print_json, print_table
from didflow.terminal.tables import is_terminal

webhooks_app = typer.Typer(no_args_is_help=True, help="Post events to URLs, signed: make endpoints, redeliver, run the process.")

#: A secret that was replaced still signs for this long beside the new one.
OVERLAP = "24h"
#: Between two looks whether a test was delivered.
LOOK_S = 0.1
_ATTEMPT_COLUMNS = ("time (UTC)", "event", "type", "try", "outcome", "answer", "ms", "begins, or why none came")

Named = Annotated[str, typer.Argument(metavar="WEBHOOK", help="the endpoint's name, or its id")]


@webhooks_app.command()
def run(
    consumer: Annotated[
        str | None, typer.Option(help="this process's name in the consumer group (default: the host's name)", show_default=False)
    ] = None,
    as_json: given.Json = False,
) -> None:
    """Deliver events to the endpoints until SIGTERM. Several processes share the work."""
    with errors_shown(as_json=as_json):
        settings = load_settings()
        configure_logs(log_format="json" if as_json else settings.log_format, level=settings.log_level, serves=True)
        # Not at the top: nothing else here needs an HTTP client.
        from producers.webhooks.process import run_with

        asyncio.run(run_with(settings, consumer))


@webhooks_app.command()
def create(
    name: Annotated[str, typer.Argument(help="what it is called: letters, digits, dots, dashes and underscores")],
    url: Annotated[str, typer.Argument(help="where events are posted")],
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type", help="an event type, or didflow.job.* for all that begin so; may be repeated; none: all", show_default=False
        ),
    ] = None,
    account: Annotated[str | None, typer.Option(help="only events of this account", show_default=False)] = None,
    reference_prefix: Annotated[str | None, typer.Option(help="only events of jobs whose reference begins so", show_default=False)] = None,
    reason: given.Reason = None,
    as_json: given.Json = False,
) -> None:
    """Create an endpoint and print its signing secret, once. It gets what happens from now on."""
    with errors_shown(as_json=as_json):
        fields = {"types": tuple(types or ()), "account": account, "reference_prefix": reference_prefix}
        new = NewEndpoint.model_validate({"name": name, "url": url, **fields})
        _show_secret(_webhooks(reason).create(new), as_json=as_json)


@webhooks_app.command(name="list")
def list_webhooks(as_json: given.Json = False) -> None:
    """List the endpoints: what each gets, whether it works, and how many events wait for it."""
    with errors_shown(as_json=as_json):
        found = _webhooks().all()
        if as_json:
            print_json([plain(one) for one in found])
        elif not found and is_terminal():
            WholeWords().print("no webhooks: `didflow webhooks create` makes one", style="dim")
        else:
            print_table(("webhook", "state", "queued", "delivered (UTC)", "gets", "url", "by"), [_row(one) for one in found])


@webhooks_app.command()
def show(webhook: Named, as_json: given.Json = False) -> None:
    """Show an endpoint: its filters, its state and why, what waits and what it missed."""
    with errors_shown(as_json=as_json):
        _show(_webhooks().get(webhook), as_json=as_json)


@webhooks_app.command()
def update(
    webhook: Named,
    url: Annotated[str | None, typer.Option(help="where events are posted, also those that wait", show_default=False)] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="an event type, or didflow.job.* for all that begin so; may be repeated", show_default=False),
    ] = None,
    every_type: Annotated[bool, typer.Option("--every-type", help="events of every type")] = False,
    account: Annotated[str | None, typer.Option(help="only events of this account", show_default=False)] = None,
    every_account: Annotated[bool, typer.Option("--every-account", help="events of every account")] = False,
    reference_prefix: Annotated[str | None, typer.Option(help="only events of jobs whose reference begins so", show_default=False)] = None,
    every_reference: Annotated[bool, typer.Option("--every-reference", help="events of jobs with any reference or none")] = False,
    enabled: Annotated[bool | None, typer.Option("--enabled/--disabled", help="whether it gets deliveries", show_default=False)] = None,
    reason: given.Reason = None,
    as_json: given.Json = False,
) -> None:
    """Change an endpoint's URL or filters, or whether it gets deliveries. It holds at once; what isn't named stays as it is.

    Events that wait go to the new URL, in the same order. Those that the new filters leave out aren't sent.
    """
    with errors_shown(as_json=as_json):
        _one_of("type", types or None, "every-type", every_type)
        _one_of("account", account, "every-account", every_account)
        _one_of("reference-prefix", reference_prefix, "every-reference", every_reference)
        fields: dict[str, object] = {"url": url, "types": tuple(types or ()) if types or every_type else None, "enabled": enabled}
        fields = {name: value for name, value in fields.items() if value is not None}
        if account is not None or every_account:
            fields["account"] = account
        if reference_prefix is not None or every_reference:
            fields["reference_prefix"] = reference_prefix
        if not fields:
            raise InvalidRequest("change: give what is to change", (("change", "give what is to change: --url, --type, --disabled …"),))
        _show(_webhooks(reason).update(webhook, EndpointChange.model_validate(fields)), as_json=as_json)


@webhooks_app.command()
def rotate(
    webhook: Named,
    overlap: Annotated[str, typer.Option(help="how long the old secret signs beside the new one: 24h, 0s")] = OVERLAP,
    reason: given.Reason = None,
    as_json: given.Json = False,
) -> None:
    """Give an endpoint a new signing secret, and print it, once. Until the overlap ends, deliveries carry both signatures."""
    with errors_shown(as_json=as_json):
        _show_secret(_webhooks(reason).rotate(webhook, overlap=_span("overlap", overlap)), as_json=as_json)


@webhooks_app.command()
def enable(webhook: Named, reason: given.Reason = None, as_json: given.Json = False) -> None:
    """Deliver to an endpoint again: what was queued meanwhile, and what comes."""
    with errors_shown(as_json=as_json):
        _show(_webhooks(reason).enable(webhook), as_json=as_json)


@webhooks_app.command()
def disable(webhook: Named, reason: given.Reason = None, as_json: given.Json = False) -> None:
    """Deliver nothing to an endpoint until it is enabled. Its events are queued, for seven days."""
    with errors_shown(as_json=as_json):
        _show(_webhooks(reason).disable(webhook), as_json=as_json)


@webhooks_app.command()
def delete(webhook: Named, reason: given.Reason = None, yes: given.Yes = False, as_json: given.Json = False) -> None:
    """Delete an endpoint, with what waits for it and its delivery log."""
    with errors_shown(as_json=as_json):
        confirmed(f"delete the webhook {webhook!r}, and what waits for it?", FOR_GOOD, yes=yes)
        _webhooks(reason).delete(webhook)
        _said({"deleted": webhook}, f"deleted {webhook}", as_json=as_json)


@webhooks_app.command()
def deliveries(
    webhook: Named,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="at most this many")] = 20,
    as_json: given.Json = False,
) -> None:
    """List attempts to deliver, newest first: status, duration, the beginning of the answer. The newest thousand are kept."""
    with errors_shown(as_json=as_json):
        found = _webhooks().deliveries(webhook, limit=limit)
        if as_json:
            print_json([plain(one) for one in found])
        else:
            print_table(
                _ATTEMPT_COLUMNS,
                [_attempt_row(one) for one in found],
            )


@webhooks_app.command()
def redeliver(
    webhook: Named,
    event: Annotated[str | None, typer.Argument(help="the event's id, as `deliveries` shows it", show_default=False)] = None,
    since: Annotated[str | None, typer.Option(help="all events since then: 2h (ago), or a time", show_default=False)] = None,
    reason: given.Reason = None,
    as_json: given.Json = False,
) -> None:
    """Deliver an event again, or all that the endpoint gets since a time. Exit code 6 if nothing of it is kept."""
    with errors_shown(as_json=as_json):
        if (event is None) == (since is None):
            raise InvalidRequest("event: give an event's id, or --since", (("event", "give an event's id, or --since"),))
        client = _webhooks(reason)
        if since is not None:
            count = client.redeliver_since(webhook, given.past_moment(since, "since"))
        else:
            count = client.redeliver(webhook, event or "")
        _said({"queued": count}, f"{count} event{'' if count == 1 else 's'} queued for {webhook}", as_json=as_json)
        if not count:
            raise typer.Exit(ExitCode.NOTHING_DONE)


@webhooks_app.command(name="test")
def send_test(webhook: Named, timeout: given.Timeout = 30.0, reason: given.Reason = None, as_json: given.Json = False) -> None:
    """Have an event without meaning delivered to an endpoint, and print what it answered. Exit code 1 if it wasn't taken."""
    with errors_shown(as_json=as_json):
        client = _webhooks(reason)
        attempt = _awaited(client, webhook, client.test(webhook), timeout)
        if as_json:
            print_json(plain(attempt))
        else:
            print_table(
                _ATTEMPT_COLUMNS,
                [_attempt_row(attempt)],
            )
        if attempt.outcome is not DeliveryOutcome.DELIVERED:
            raise typer.Exit(ExitCode.JOB)


def _awaited(client: Webhooks, webhook: str, event_id: str, timeout_s: float) -> Attempt:
    """The first attempt. Raises WaitTimeout."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        for attempt in client.deliveries(webhook, limit=100):
            if attempt.event_id == event_id:
                return attempt
        if time.monotonic() >= deadline_s:
            raise WaitTimeout(
                f"the event {event_id} wasn't sent in {timeout_s:g} s, and stays queued: see whether `didflow webhooks run` runs,"
                f" and whether the webhook is enabled (`didflow webhooks show {webhook}`)"
            )
        time.sleep(LOOK_S)


def _webhooks(reason: str | None = None) -> Webhooks:
    return Didflow.from_env().acting(reason=reason).webhooks


def _one_of(name: str, value: object, flag: str, is_given: bool) -> None:
    """Raises InvalidRequest if both a value and the flag that stands for every value were given."""
    if value is not None and is_given:
        raise InvalidRequest(f"{name}: is given with --{flag}", ((name, f"is given with --{flag}: give one of them"),))


def _span(name: str, text: str) -> timedelta:
    try:
        span = read_span(text)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}", ((name, str(error)),)) from None
    if span is None or not timedelta(0) <= span <= timedelta(days=365):
        what = f"{text[:40]!r} is no duration of up to a year: write 90s, 10m, 2h or 7d"
        raise InvalidRequest(f"{name}: {what}", ((name, what),))
    return span


def _show_secret(made: EndpointWithSecret, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    WholeWords(stderr=True).print(
        "the secret is shown once: keep it where only the receiver can read it, which checks signatures with it", style="yellow"
    )
    typer.echo(made.secret)


def _said(value: dict[str, object], words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        WholeWords().print(words, markup=False)


def _show(one: EndpointView, *, as_json: bool) -> None:
    if as_json:
        print_json(plain(one))
        return
    fields = plain(one)
    attempts = fields.pop("attempts")
    rows = [(name.replace("_", " "), value) for name, value in fields.items() if value not in (None, "", [])]
    rows += [(f"attempts {outcome.replace('_', ' ')}", count) for outcome, count in attempts.items() if count]
    print_table(("field", "value"), [(name, ", ".join(value) if isinstance(value, list) else value) for name, value in rows], whole=2)


def _row(one: EndpointView) -> tuple[object, ...]:
    gets = [*one.types] or ["all"]
    gets += [f"account {one.account}"] if one.account else []
    gets += [f"references {one.reference_prefix}…"] if one.reference_prefix else []
    state = f"{one.state.value} ({one.reason.value})" if one.reason else one.state.value
    state = "failing" if one.failing_since and one.state is EndpointState.ENABLED else state
    queued = f"{one.queued}, {one.missed} missed" if one.missed else one.queued
    delivered = f"{one.delivered_at:%Y-%m-%d %H:%M}" if one.delivered_at else ""
    return (one.name, state, queued, delivered, ", ".join(gets), one.url, one.created_by)


def _attempt_row(one: Attempt) -> tuple[object, ...]:
    answer = one.status if one.status is not None else one.failure or ""
    when = f"{one.at:%Y-%m-%d %H:%M:%S}" if one.at else ""
    return (when, one.event_id, one.type, one.attempt, one.outcome.value, answer, one.duration_ms, one.beginning[:60] or one.why or "")
