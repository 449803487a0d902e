"""The description as a page: HTML of our own, without scripts, fonts or anything else from elsewhere."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}"
    "summary{cursor:pointer;padding:.35rem 0}code{font:13px ui-monospace,monospace}b{display:inline-block;min-width:4.5rem}"
    "table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;border-top:1px solid #ddd}"
    "@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}td,th{border-color:#444}a{color:#8ab4f8}}"
)
#: For the response: nothing is loaded, and no script runs.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def page_of(description: dict[str, Any]) -> str:
    """The page of an OpenAPI description."""
    info = description["info"]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{_text(info['title'])} HTTP API</title><style>{_STYLE}</style>"
        f"<h1>{_text(info['title'])} HTTP API</h1><p>{_text(info['description'])}</p>"
        '<p>Send a key as <code>Authorization: Bearer dfk_…</code>. The whole description: <a href="/openapi.json">/openapi.json</a>; '
        'of the streams and webhooks: <a href="/asyncapi.json">/asyncapi.json</a>.</p>'
        + "".join(_groups(description))
        + "<h2>Schemas</h2>"
        + "".join(_schema(name, schema) for name, schema in sorted(description["components"]["schemas"].items()))
        + "</html>"
    )


def _groups(description: dict[str, Any]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation.get("tags", ["other"])[0], []).append(_operation(path, method, operation))
    for tag, shown in groups.items():
        yield f"<h2>{_text(tag.capitalize())}</h2>{''.join(shown)}"


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parameters = [
        (f"<code>{_text(one['name'])}</code>", _text(one["in"]), _text(one.get("description", "")) or _kind(one.get("schema", {})))
        for one in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answers = [
        (
            _text(status),
            _text(one.get("description", "")),
            ", ".join(_kind(content.get("schema", {})) for content in one.get("content", {}).values()),
        )
        for status, one in sorted(operation["responses"].items())
    ]
    return (
        f"<details><summary><b>{_text(method.upper())}</b> <code>{_text(path)}</code> {_text(operation.get('summary', ''))}</summary>"
        f"<p>{_text(operation.get('description', ''))}</p>"
        + (f"<p>Body: {_kind(body)}</p>" if body else "")
        + (_table(("parameter", "in", ""), parameters) if parameters else "")
        + _table(("answer", "", "body"), answers)
        + "</details>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    needed = schema.get("required", ())
    rows = [
        (f"<code>{_text(field)}</code>{' (needed)' if field in needed else ''}", _kind(one), _text(one.get("description", "")))
        for field, one in schema.get("properties", {}).items()
    ]
    said = _text(schema.get("description", "")).replace("\n", "<br>")
    values = ", ".join(f"<code>{_text(value)}</code>" for value in schema.get("enum", ()))
    table = _table(("field", "type", ""), rows) if rows else ""
    return f'<details id="{_text(name)}"><summary><code>{_text(name)}</code></summary><p>{said} {values}</p>{table}</details>'


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words, with links to others."""
    if "$ref" in schema:
        name = _text(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if parts := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(dict.fromkeys(map(_kind, parts)))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "enum" in schema:
        return " | ".join(f"<code>{_text(value)}</code>" for value in schema["enum"])
    return _text(schema.get("format") or schema.get("const") or schema.get("type", ""))


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{_text(one)}</th>" for one in headings)
    return f"<table><tr>{head}</tr>{''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows)}</table>"


def _text(text: object) -> str:
    return escape(str(text))
