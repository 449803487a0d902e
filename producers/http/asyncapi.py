"""The AsyncAPI 3 description of the streams and the webhooks, from the contract: at `/asyncapi.json` and in `docs/asyncapi.json`."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from didflow.contract.business_events import TYPES
from didflow.contract.events import AnyEvent, CloudEvent, Event
from didflow.contract.states import REPORTED, JobState

VERSION = "1"
_SCHEMAS, _MESSAGES = "#/components/schemas/", "#/components/messages/"
_Json = dict[str, Any]

#: Of a delivery; see https://www.standardwebhooks.com.
_DELIVERY_HEADERS: _Json = {
    "type": "object",
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "properties": {
        "webhook-id": {"type": "string", "description": "The event's id: the same in each attempt"},
        "webhook-timestamp": {"type": "string", "pattern": "^[0-9]+$", "description": "Unix time of this attempt, in seconds"},
        "webhook-signature": {"type": "string", "description": "`v1,` and a signature in base64; two with a space during a rotation"},
    },
}
_THIN: _Json = {
    "type": "object",
    "description": "An event above 20 kB: without its data, with where it can be read.",
    "required": ["specversion", "id", "source", "type", "subject", "time", "dataref"],
    "properties": {
        **{name: {"type": "string"} for name in ("id", "source", "type", "subject")},
        "specversion": {"const": "1.0"},
        "time": {"type": "string", "format": "date-time"},
        "dataref": {"type": "string", "description": "A path of the HTTP API"},
    },
}


@cache
def asyncapi() -> _Json:
    """The whole description."""
    messages = dict(_stream_messages()) | dict(_webhook_messages()) | dict(_request_messages())
    results = [name for state in JobState if state in REPORTED for name in [_short(_job_type(state))]]
    requests = [_short(kind) for kind in TYPES]
    webhooks = [name for name in messages if name.startswith("webhook-")]
    events = [name for name in messages if name not in (*results, *requests, *webhooks)]
    channels = {
        "results": _channel("{namespace}:results", "A job ended, or is parked for a person.", results),
        "events": _channel("{namespace}:events", "All other changes of jobs, accounts and numbers.", events),
        "requests": _channel("{namespace}:requests", "What happened in other systems; each event is one job.", requests),
        "webhooks": _channel(None, "Deliveries to the endpoints that `didflow webhooks create` made.", webhooks),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "didflow",
            "version": VERSION,
            "description": "Events about jobs that provision phone numbers: at least once, in order per job, with stable ids.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "redis": {"host": "redis.example.com:6379", "protocol": "redis", "description": "The Redis or Valkey of `DIDFLOW_REDIS_URL`"},
            "receiver": {"host": "receiver.example.com", "protocol": "https", "description": "A receiver of webhooks: any https URL"},
        },
        "channels": channels,
        "operations": {
            "publish_results": _operation("send", "results", results, "One entry for each end of a job, and for each parked job."),
            "publish_events": _operation("send", "events", events, "One entry for each other change."),
            "consume_requests": _operation("receive", "requests", requests, "Each event is submitted as a job, exactly once."),
            "deliver_webhooks": _operation("send", "webhooks", webhooks, "Signed, at least once, in order per job and endpoint."),
        },
        "components": {"schemas": _schemas(), "messages": messages},
    }


def event_types() -> dict[str, type[CloudEvent]]:
    """Every type of event on the results and the events stream, and the model of its entry."""
    jobs: dict[str, type[CloudEvent]] = {_job_type(state): Event for state in JobState}
    return jobs | {kind: model for model in get_args(AnyEvent) if model is not Event for kind in _types_of(model)}


def _types_of(model: type[CloudEvent]) -> tuple[str, ...]:
    return get_args(model.model_fields["type"].annotation)


def _job_type(state: JobState) -> str:
    return f"didflow.job.{state.value}.v1"


def _short(kind: str) -> str:
    return kind.removeprefix("didflow.").removesuffix(".v1")


def _body_of(model: type[BaseModel]) -> str:
    annotation = model.model_fields["data"].annotation
    assert annotation is not None
    return annotation.__name__


def _stream_messages() -> Iterator[tuple[str, _Json]]:
    """An entry's fields are the attributes of a CloudEvent, but for `data`, whose JSON is the payload."""
    for kind, model in event_types().items():
        yield _short(kind), _message(kind, model.__doc__ or "", {"$ref": _SCHEMAS + "Attributes"}, {"$ref": _SCHEMAS + _body_of(model)})


def _webhook_messages() -> Iterator[tuple[str, _Json]]:
    headers = {"$ref": _SCHEMAS + "DeliveryHeaders"}
    for model in get_args(AnyEvent):
        yield f"webhook-{model.__name__}", _message(model.__name__, model.__doc__ or "", headers, {"$ref": _SCHEMAS + model.__name__})
    yield "webhook-ThinEvent", _message("ThinEvent", _THIN["description"], headers, {"$ref": _SCHEMAS + "ThinEvent"})


def _request_messages() -> Iterator[tuple[str, _Json]]:
    for kind, model in TYPES.items():
        yield _short(kind), _message(kind, model.__doc__ or "", {"$ref": _SCHEMAS + "Sender"}, {"$ref": _SCHEMAS + model.__name__})


def _message(name: str, summary: str, headers: _Json, payload: _Json) -> _Json:
    return {"name": name, "summary": " ".join(summary.split()), "contentType": "application/json", "headers": headers, "payload": payload}


def _channel(address: str | None, description: str, names: Sequence[str]) -> _Json:
    channel: _Json = {
        "address": address,
        "description": description,
        "servers": [{"$ref": "#/servers/redis" if address else "#/servers/receiver"}],
        "messages": {name: {"$ref": _MESSAGES + name} for name in names},
    }
    if address:
        channel["parameters"] = {"namespace": {"default": "didflow", "description": "DIDFLOW_NAMESPACE"}}
    return channel


def _operation(action: str, channel: str, names: Sequence[str], summary: str) -> _Json:
    where = f"#/channels/{channel}"
    operation: _Json = {
        "action": action,
        "channel": {"$ref": where},
        "summary": summary,
        "messages": [{"$ref": f"{where}/messages/{name}"} for name in names],
    }
    return operation | ({"bindings": {"http": {"method": "POST"}}} if channel == "webhooks" else {})


def _schemas() -> _Json:
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "serialization") for model in get_args(AnyEvent)]
    models += [(model, "validation") for model in TYPES.values()]
    _, found = models_json_schema(models, ref_template=_SCHEMAS + "{model}")
    attributes = _written(CloudEvent.model_json_schema(mode="serialization"))
    sender = {
        "type": "object",
        "description": "The fields of an entry beside `data`; others are ignored.",
        "required": ["id", "type"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "maxLength": 180},
            "type": {"type": "string", "enum": list(TYPES)},
            "source": {"type": "string"},
        },
    }
    ours = {"Attributes": attributes, "Sender": sender, "DeliveryHeaders": _DELIVERY_HEADERS, "ThinEvent": _THIN}
    return {name: _written(schema) for name, schema in sorted({**found["$defs"], **ours}.items())}


def _written(schema: Any) -> Any:
    """As AsyncAPI has it: `discriminator` is the name of a property, where OpenAPI has an object."""
    if isinstance(schema, Mapping):
        written = {name: _written(value) for name, value in schema.items()}
        if isinstance(found := schema.get("discriminator"), Mapping) and "propertyName" in found:
            written["discriminator"] = found["propertyName"]
        return written
    return [_written(one) for one in schema] if isinstance(schema, list) else schema
