"""Keys in any order, where a schema leaves all of them optional.

The grammar engine writes properties in the order of the schema. A model that wants to say a later
one first can then never say the earlier one: values that it knows get lost. Knows no grammar.
"""

from __future__ import annotations

import json
import re
from typing import Any

_NAMED = {"properties", "patternProperties", "$defs", "definitions"}
_DATA = {"enum", "const", "default", "examples"}
_COUNTED = {"required", "patternProperties", "minProperties", "maxProperties", "propertyNames"}


def any_order(node: Any) -> Any:
    """Return a schema that accepts the same objects, keys of all-optional ones in any order.

    Such an object's properties become patterns, one for all names whose values have one schema.
    """
    if isinstance(node, list):
        return [any_order(part) for part in node]
    if not isinstance(node, dict):
        return node
    out = {key: _inner(key, value) for key, value in node.items()}
    names = out.get("properties")
    if not isinstance(names, dict) or len(names) < 2 or _COUNTED & out.keys():
        return out
    if out.get("additionalProperties") is False:
        del out["properties"]
        out["patternProperties"] = _patterns(names)
    return out


def _inner(key: str, value: Any) -> Any:
    if key in _DATA:
        return value  # values, not schemas
    if key in _NAMED and isinstance(value, dict):
        return {name: any_order(part) for name, part in value.items()}
    return any_order(value)


def _patterns(names: dict[str, Any]) -> dict[str, Any]:
    alike: dict[str, list[str]] = {}
    for name, part in names.items():
        alike.setdefault(json.dumps(part, sort_keys=True), []).append(re.escape(name))
    return {f"^({'|'.join(same)})$": json.loads(part) for part, same in alike.items()}
