"""Requests drawn from an OpenAPI document: as it asks for, and with a place of them wrong."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from fuzz_kit import scalars, texts, values
from hypothesis import strategies as st

WRONG_BODIES = (b"", b"[" * 5000, b"{", b"\xff\xfe", b'{"a": 1, "a": 2}', b"NaN", b"null", b"[]")
KINDS = ("application/json", "application/json", "text/plain", "application/x-www-form-urlencoded",
         "multipart/form-data; boundary=x", "application/json; charset=utf-7")  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A request: what is sent, without token and host."""

    method: str
    path: str
    body: bytes | None
    headers: dict[str, str]


def of_schema(schema: dict[str, Any], parts: dict[str, Any], deep: int = 3) -> st.SearchStrategy:
    """Return values that a schema of the document allows; any value where it says nothing.

    `parts` are the document's schemas by name; its "known" values of fields come up more often.
    """
    if "$ref" in schema:
        return of_schema(parts[schema["$ref"].rpartition("/")[2]], parts, deep)
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return st.one_of([of_schema(one, parts, deep) for one in choices])
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {})
        made = {name: of_schema(one, parts, deep - 1) for name, one in fields.items()}
        made |= {name: st.one_of(st.sampled_from(parts["known"][name]), made[name])
                 for name in made.keys() & parts["known"].keys()}  # fmt: skip
        needed = set(schema.get("required", ()))
        known = st.fixed_dictionaries(
            {name: one for name, one in made.items() if name in needed},
            optional={name: one for name, one in made.items() if name not in needed},
        )
        more = schema.get("additionalProperties")
        if not isinstance(more, dict) or deep <= 0:
            return known
        keys = st.one_of(texts(12), st.sampled_from(parts["known"].get("key of an object", ["a"])))
        others = st.dictionaries(keys, of_schema(more, parts, deep - 1), max_size=3)
        return st.builds(lambda a, b: {**b, **a}, known, others)
    if kind == "array":
        inner = of_schema(schema.get("items", {}), parts, deep - 1)
        return st.lists(inner, min_size=schema.get("minItems", 0), max_size=3)
    low, high = schema.get("minimum"), schema.get("maximum")
    by_kind: dict[Any, Any] = {
        "integer": lambda: st.integers(low, high),
        "number": lambda: st.floats(low, high, allow_nan=False, allow_infinity=False),
        "boolean": st.booleans,
        "null": st.none,
        "string": lambda: texts(min(schema.get("maxLength", 60), 200)),
    }
    return by_kind.get(kind, values)()


@st.composite
def spoiled(draw: Any, value: Any) -> Any:
    """Return a value with one of its places wrong: another type, missing, or one too many."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 2)) == 0:
        return draw(st.one_of(scalars(), values()))
    made = dict(enumerate(value)) if isinstance(value, list) else dict(value)
    at = draw(st.sampled_from(sorted(made, key=str)))
    how = draw(st.sampled_from(["inner", "inner", "missing", "more"]))
    if how == "missing":
        del made[at]
    elif how == "more":
        made[draw(texts(12))] = draw(values())
    else:
        made[at] = draw(spoiled(made[at]))
    return list(made.values()) if isinstance(value, list) else made


@st.composite
def requests_of(draw: Any, document: dict[str, Any], known: dict[str, list[str]]) -> Drawn:
    """Return a request to a path of the document; `known` has values of fields, by their names."""
    parts = {**document.get("components", {}).get("schemas", {}), "known": known}
    asked = sorted((method, path) for path, one in document["paths"].items() for method in one)
    wide = [
        (m, p) for m, p in asked if {"requestBody", "parameters"} & document["paths"][p][m].keys()
    ]
    method, path = draw(st.sampled_from(asked + 4 * wide))  # a path without a field is soon known
    operation = document["paths"][path][method]
    query, headers = {}, {}
    for parameter in operation.get("parameters", ()):
        name, place = parameter["name"], parameter["in"]
        usual = st.sampled_from(known[name]) if name in known else texts(20)
        value = draw(st.one_of(usual, usual, of_schema(parameter.get("schema", {}), parts)))
        text = str(value).encode("utf-8", "replace").decode()
        if place == "path":
            path = path.replace(f"{{{name}}}", quote(text, safe="")).replace(
                f"{{{name}:path}}", quote(text))  # fmt: skip
        elif place == "query":
            query[name] = text
        elif text.isascii() and text.isprintable():
            headers[name] = text
    path += f"?{urlencode(query)}" * bool(query and draw(st.booleans()))
    body = None
    if content := operation.get("requestBody", {}).get("content"):
        schema = next(iter(content.values()))["schema"]
        value = draw(of_schema(schema, parts))
        if draw(st.booleans()):
            value = draw(spoiled(value))
        body = json.dumps(value).encode()
        if draw(st.integers(0, 9)) == 0:
            body = draw(st.sampled_from(WRONG_BODIES))
    kind = KINDS[0] if draw(st.integers(0, 5)) else draw(st.sampled_from(KINDS))
    other = draw(st.integers(0, 19)) == 0
    verb = draw(st.sampled_from(["PUT", "DELETE", "PATCH", "HEAD"])) if other else method.upper()
    return Drawn(verb, path, body, headers | {"content-type": kind})
