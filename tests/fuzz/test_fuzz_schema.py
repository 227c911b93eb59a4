"""JSON schemas: in the task file and in a file of their own, sound, broken and hostile."""

import json

import pytest
from fuzz_kit import drawn, holds, indices, patient, real, scalars, texts
from hypothesis import strategies as st

pytestmark = pytest.mark.full
COUNT = 90
PATTERNS = [
    "^(a+)+$",
    "(a|aa)+$",
    "(",
    "[",
    "^.*$",
    "\\p{L}",
    "(?<=a)b",
    "a{99999}",
    "(?P<x>a)(?P=x)",
    "(.*)*x",
    "(?i)a",
    "\\",
    "\x00",
    "(((a{1,99}){1,99}){1,99}){1,99}",
]
REFS = [
    "#",
    "#/$defs/a",
    "#/$defs/none",
    "#/properties/a",
    "#a",
    "http://127.0.0.1:9/s.json",
    "file:///etc/passwd",
    "other.json",
    "#/$defs/a/items",
    "#/~2",
    "#/%",
    "",
    "urn:x",
]
TYPES = ["object", "array", "string", "number", "integer", "boolean", "null", "objekt", 5, None,
         ["string", "null"], [], ["string", "string"]]  # fmt: skip


def keywords(inner):
    """Return a keyword of a schema with a value of its kind, or of another."""
    parts = st.lists(inner, max_size=3)
    named = st.dictionaries(st.sampled_from(["a", "b", "$ref", "\x1b", "é"]), inner, max_size=3)
    number = st.sampled_from([0, 1, -1, 3, 2**70, 1e308, 1e-320, 0.1, "1", None])
    return st.one_of(
        st.tuples(st.just("type"), st.sampled_from(TYPES)),
        st.tuples(st.sampled_from(["$ref", "$dynamicRef", "$recursiveRef"]), st.sampled_from(REFS)),
        st.tuples(st.just("pattern"), st.sampled_from(PATTERNS)),
        st.tuples(st.sampled_from(["minimum", "maximum", "multipleOf", "minLength", "maxItems",
                                   "minProperties", "exclusiveMinimum"]), number),
        st.tuples(st.sampled_from(["properties", "$defs", "patternProperties"]), named),
        st.tuples(st.sampled_from(["items", "additionalProperties", "not", "if", "contains",
                                   "propertyNames", "unevaluatedProperties"]), inner),
        st.tuples(st.sampled_from(["allOf", "anyOf", "oneOf", "prefixItems"]), parts),
        st.tuples(st.sampled_from(["enum", "const", "default", "examples", "required", "format",
                                   "$id", "$anchor", "$schema", "title", "uniqueItems"]),
                  st.one_of(scalars(), st.lists(scalars(), max_size=3),
                            st.sampled_from(["http://json-schema.org/draft-04/schema#", True]))),
    )  # fmt: skip


def schemas():
    """Return schemas of every keyword, and a few that only a machine would write."""
    made = st.recursive(
        st.one_of(st.booleans(), scalars(), st.just({}), st.just({"type": "string"})),
        lambda inner: st.lists(keywords(inner), max_size=4).map(dict),
        max_leaves=8,
    )
    return st.one_of(made, made, st.lists(keywords(made), min_size=1, max_size=4).map(dict))


@st.composite
def inputs(draw):
    """Return a schema, where it stands, whether its text is cut, and the right answers."""
    schema = draw(schemas())
    text = json.dumps(schema)
    if draw(st.integers(0, 9)) == 0:
        text = text[: draw(st.integers(0, len(text)))]
    golds = st.one_of(st.dictionaries(st.sampled_from("ab"), scalars(), max_size=2),
                      st.just({"a": "a" * 40 + "!"}), st.lists(texts(), max_size=2))  # fmt: skip
    return schema, draw(st.booleans()), text, draw(st.lists(golds, min_size=1, max_size=5))


@indices(COUNT)
def test_schema(index, home, monkeypatch):
    patient(monkeypatch)
    schema, inside, text, golds = drawn("schema", inputs(), COUNT, index)
    rows = [{"input": f"question {n}", "output": json.dumps(golds[n % len(golds)])}
            for n in range(24)]  # fmt: skip
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "schema.json").write_text(text)
    keys = {"name": "fuzzed", "data": {"file": "rows.jsonl"}, "model": "scripted:echo", "seeds": 1,
            "output": {"type": "json", "schema": schema if inside else "schema.json"},
            "arms": ["majority", "zero_shot"]}  # fmt: skip
    (home / "task.yaml").write_text(json.dumps(keys))
    words = ["run", "--no-progress", "--brief"] if index % 2 else ["check"]
    holds(home, [words[0], str(home / "task.yaml"), *words[1:]], real=real(index))
