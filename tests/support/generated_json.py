"""JSON by a schema: mostly what fits it, sometimes with fields that don't."""

from typing import Any

from hypothesis import strategies as st

#: What fits nothing in particular.
ODD: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-5, 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
    | st.just([])
    | st.just({})
)
NUMBERS = st.sampled_from(["+12135550100", "+12135550101", "+493055500100"])
TEXTS = (
    st.text(max_size=12)
    | NUMBERS
    | st.sampled_from(["US", "LOS ANGELES, CA", "7d", "90s", "2099-01-01", "2099-01-01T00:00:00Z", "sip@example.net"])
)
#: How deep schemas are followed.
DEEPEST = 6


def of_schema(schema: dict[str, Any], whole: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a schema of this OpenAPI document."""
    if depth > DEEPEST:
        return st.none()
    if "$ref" in schema:
        return of_schema(whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]], whole, depth)
    if parts := schema.get("anyOf") or schema.get("oneOf"):
        return st.one_of([of_schema(part, whole, depth + 1) for part in parts])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object":
            return _object(schema, whole, depth)
        case "array":
            return st.lists(of_schema(schema.get("items", {}), whole, depth + 1), max_size=3)
        case "integer":
            return st.integers(schema.get("minimum", -2), min(schema.get("maximum", 1000), 2**53))
        case "number":
            return st.integers(0, 100) | st.floats(-1, 1000)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "string":
            return TEXTS
    return ODD


def _object(schema: dict[str, Any], whole: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    fields = schema.get("properties", {})
    needed = {name: of_schema(fields[name], whole, depth + 1) for name in schema.get("required", ()) if name in fields}
    others = {name: of_schema(one, whole, depth + 1) for name, one in fields.items() if name not in needed}
    right = st.fixed_dictionaries(needed, optional=others)
    wrong = st.builds(lambda value, name, odd: {**value, name: odd}, right, st.sampled_from([*fields, "unknown"]), ODD)
    return st.one_of(right, right, wrong)
