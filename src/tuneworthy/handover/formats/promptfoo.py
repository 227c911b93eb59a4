"""A promptfoo configuration: the prompt, its provider and the scored cases with assertions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.arms.prompt.messages import INPUT_PLACEHOLDER
from tuneworthy.handover.formats._sources import BuiltPrompt, Made
from tuneworthy.records.case import Case

NEEDS = "prompt"
_TEMPLATE_MARKS = re.compile(r"[{}%#]*(?:\{[{%#]|[}%#]\})[{}%#]*")
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_LOADED = ("file://", "package:")  # promptfoo opens what such a text names
_NUMBER = (
    "Number((output.split('####').pop().replace(/(\\d)[, ](?=\\d{3})/g, '$1')"
    ".match(/-?\\d*\\.?\\d+/g) || ['NaN']).pop())"
)
_FOLD = "String(output).trim().toLowerCase()"
Rule = Callable[[Case, str], list[dict[str, Any]]]


def _is(kind: str, change: Callable[[str], Any] = str, **more: Any) -> Rule:
    return lambda case, right: [{"type": kind, "value": _literal(change(right)), **more}]


def _demands(case: Case, right: str) -> list[dict[str, Any]]:
    said = [{"type": "icontains", "value": _literal(text)} for text in case.must_say]
    return said + [{"type": "not-icontains", "value": _literal(t)} for t in case.must_not_say]


def _number(case: Case, right: str) -> list[dict[str, Any]]:
    last = right.split("####")[-1].replace(",", "").strip()
    return [{"type": "javascript", "value": _literal(f"{_NUMBER} === Number({json.dumps(last)})")}]


def _folded(text: str) -> str:
    return text.strip().lower()


_RULES: dict[str, tuple[Rule, str]] = {
    "accuracy": (_is("equals", _folded, transform=_FOLD), ""),
    "exact": (_is("equals", str.strip, transform="String(output).trim()"), ""),
    "exact_words": (_is("equals", _folded, transform=_FOLD), "articles and punctuation count here"),
    "contains": (_is("icontains"), "part of a word counts here"),
    "number": (_number, "a percent sign is not read here"),
    "must_say": (_demands, "part of a word counts here"),
    "fields_f1": (_is("equals", json.loads), "all fields must be right here; ours is their F1"),
    "token_f1": (_is("rouge-n"), "the share of the right answer's words; passes from .75"),
    "rouge_l": (_is("rouge-n"), "single words, not the longest sequence; passes from .75"),
}
_OTHER = (_is("rouge-n"), "no assertion is like it: words in common, passes from .75")


def write(source: BuiltPrompt, folder: Path) -> Made:
    """Return promptfooconfig.yaml and prompt.json."""
    cases = [case for case in source.cases if not _is_loaded(case)]
    left = len(source.cases) - len(cases)
    pack, key = source.pack, source.pack["answer_key"]
    notes = [f"{name}: {_rule(source, name)[1]}" for name in source.metrics
             if _rule(source, name)[1]]  # fmt: skip
    told = [f"metric {note}" for note in notes]
    if left:
        told.append(f"{left} cases left out: promptfoo would open a file that they name")
    config = {"apiBaseUrl": pack["url"], "apiKeyEnvar": pack["key"] or "NO_KEY",
              "apiKeyRequired": bool(pack["key"]), "passthrough": pack["request"]}  # fmt: skip
    options = {"transform": f"(typeof output === 'string' ? JSON.parse(output) : output).{key}"}
    top = {"description": f"{source.task.name}: {source.artefact.arm}, by tuneworthy",
           "prompts": ["file://prompt.json"],
           "providers": [{"id": f"openai:chat:{pack['model']}", "config": config}],
           **({"defaultTest": {"options": options}} if key else {})}  # fmt: skip
    lines = [f"# {note}" for note in (*source.notes, *told)]
    lines += [f"{name}: {_yaml(value)}" for name, value in top.items()]
    lines += ["tests:", *(f"  - {_yaml(_test(source, case))}" for case in cases)]
    messages = [{**one, "content": _literal(one["content"])} for one in pack["messages"][:-1]]
    last = pack["messages"][-1]
    parts = map(_literal, last["content"].split(INPUT_PLACEHOLDER))
    messages.append({**last, "content": "{{input}}".join(parts)})
    files = {"promptfooconfig.yaml": "\n".join(lines) + "\n",
             "prompt.json": json.dumps(messages, ensure_ascii=False, indent=2) + "\n"}  # fmt: skip
    return Made(files, source.summary(cases=len(cases), notes=told))


def _is_loaded(case: Case) -> bool:
    """Return whether promptfoo would open, or run, a file that a text of the case names."""
    texts = (case.input, case.output, *case.accepted, *case.must_say, *case.must_not_say)
    return any(text.strip().lower().startswith(_LOADED) for text in texts)


def _rule(source: BuiltPrompt, name: str) -> tuple[Rule, str]:
    if name == "exact" and source.task.output.type == "json":
        return _is("equals", json.loads), ""
    return _RULES.get(name, _OTHER)


def _test(source: BuiltPrompt, case: Case) -> dict[str, Any]:
    checks = [_any_right(_rule(source, name)[0], case) for name in source.metrics]
    return {"description": case.id, "vars": {"input": case.input},
            "assert": [check for some in checks for check in some]}  # fmt: skip


def _any_right(rule: Rule, case: Case) -> Sequence[dict[str, Any]]:
    """Return the assertions of a case; one of several right answers is enough."""
    found = [rule(case, right) for right in (case.output, *case.accepted)]
    if len(found) == 1 or all(each == found[0] for each in found):
        return found[0]
    every = [check for some in found for check in some]
    return [{"type": "assert-set", "threshold": 1 / len(every), "assert": every}]


def _literal(value: Any) -> Any:
    """Return a text whose template marks promptfoo writes as they are; it reads texts only.

    A block of `raw` could be ended by the text itself.
    """
    if isinstance(value, str):
        return _TEMPLATE_MARKS.sub(lambda mark: f'{{{{ "{mark[0]}" }}}}', value)
    return value


def _yaml(value: Any) -> str:
    """Return JSON that is YAML too."""
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
