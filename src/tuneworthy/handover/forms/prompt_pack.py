"""Export the prompt as JSON, with a Python script and a shell script that send it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneworthy.handover.forms._parts import Parts, differing_system, earlier_turns_note
from tuneworthy.models.remote import request as _request
from tuneworthy.records.artefact import RAW_SUFFIX, Artefact
from tuneworthy.records.errors import TaskError
from tuneworthy.records.model import Limits

FORM, NEEDED = "prompt", False
_KEY = "OPENAI_API_KEY"
_ASK_PY = '''"""Ask the deployed prompt: python ask.py "text" [URL] [MODEL] (pip install openai)."""

import json
import os
import sys
from pathlib import Path

from openai import OpenAI

pack = json.loads((Path(__file__).parent / "pack.json").read_text("utf-8"))
if not pack["fixed"]:
    sys.exit(pack["why"])
text = sys.argv[1]
url = sys.argv[2] if len(sys.argv) > 2 else pack["url"]
model = sys.argv[3] if len(sys.argv) > 3 else pack["model"]
messages = pack["messages"]
messages[-1]["content"] = messages[-1]["content"].replace("{input}", text)
key = pack["key"] if len(sys.argv) < 3 else "OPENAI_API_KEY"
client = OpenAI(base_url=url, api_key=os.environ.get(key, "").strip() or "none")
reply = client.chat.completions.create(model=model, messages=messages, extra_body=pack["request"])
answer = reply.choices[0].message.content
print(json.loads(answer)[pack["answer_key"]] if pack["answer_key"] else answer)
'''
_FILL_SCRIPT = """import json, sys
pack = json.load(open(sys.argv[1], encoding="utf-8"))
message = pack["messages"][-1]
message["content"] = message["content"].replace("{input}", sys.argv[2])
print(json.dumps({"model": pack["model"], "messages": pack["messages"], **pack["request"]}))
"""


def applies(artefact: Artefact) -> str:
    """Return "" if the arm asks a model, else why this form does not apply."""
    return "" if artefact.pack.role else "the arm asks no model"


def write(parts: Parts, draft: Path) -> tuple[str, ...]:
    """Write pack.json, ask.py and ask.sh; return notes.

    A prompt whose system turn, examples or passages depend on the input can't be one list of
    messages: pack.json then shows it for a sample input, and the snippets say to use `serve`.
    """
    out = draft / FORM
    out.mkdir()
    told = _pack_content(parts)
    (out / "pack.json").write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", "utf-8")
    (out / "ask.py").write_text(_ASK_PY, "utf-8")
    (out / "ask.sh").write_text(_shell_script(told), "utf-8")
    shown = parts.artefact.pack.examples
    notes = [] if told["fixed"] else [str(told["why"])]
    notes += list(filter(None, [earlier_turns_note(parts.cases)]))
    return (*notes, *([f"it holds {len(shown)} of your rows as examples"] if shown else []))


def _pack_content(parts: Parts) -> dict[str, Any]:
    pack, why = parts.artefact.pack, ""
    request: Mapping[str, Any] = {}
    try:
        request = _measured_request(parts)
    except TaskError as error:
        why = f"{error.what}: ask `tuneworthy serve`"
    if differing := differing_system(parts.cases):
        why = f"{differing}: ask `tuneworthy serve` with a row's messages"
    if pack.passages:
        why = "passages are looked up for each input: ask `tuneworthy serve`"
    elif pack.recipe and pack.recipe.kind == "nearest" and not pack.recipe.shots:
        why = "the examples nearest to each input are shown: ask `tuneworthy serve`"
    elif pack.votes:
        why = f"{pack.votes} samples are drawn and the commonest counts: ask `tuneworthy serve`"
    elif pack.draft:
        why = "only an invalid free answer is asked for under the schema: ask `tuneworthy serve`"
    model, url, key = _address(parts)
    return {
        "messages": [{"role": m.role, "content": m.content} for m in parts.sample],
        "fixed": not why,
        "why": why,
        "request": {k: v for k, v in request.items() if k not in ("model", "messages")},
        "answer_key": _request.LABEL if pack.grammar and pack.grammar.kind == "labels" else None,
        "url": url,
        "key": key,
        "model": model,
        "task": parts.artefact.task,
        "recipe": pack.recipe.plain() if pack.recipe else None,
    }


def _measured_request(parts: Parts) -> Mapping[str, Any]:
    """Return the body of the request that was measured, or the nearest one for a local model.

    For a model in this process it is the nearest one that a server takes. Raises TaskError if the
    answers were constrained in a way that a request can't state.
    """
    pack = parts.artefact.pack
    limits = pack.limits or Limits(max_tokens=parts.task.output.token_limit)
    limits = limits.model_copy(update={"grammar": pack.grammar})
    if hasattr(parts.model, "request"):
        return dict(parts.model.request(parts.sample, limits))
    if limits.thinking == "on" and not getattr(parts.model, "thinks", False):
        raise TaskError("a request can't switch this engine's thinking on")
    rule = pack.grammar
    bare = rule is not None and rule.kind == "labels" and not hasattr(parts.model, "remote")
    if rule and (rule.scored or rule.spaced or bare):  # a request states labels inside an object
        raise TaskError("this engine's constraint on the answer can't be stated in a request")
    form = _request.response_format(rule)
    thinks = limits.thinking == "on" or getattr(parts.model, "thinks", False)
    thought = limits.thought_tokens if thinks and limits.thinking != "off" else 0
    made = _request.body("", parts.sample, limits, form, {})
    return {**made, "max_tokens": limits.max_tokens + thought}


def _address(parts: Parts) -> tuple[str, str, str]:
    """Return (model name, URL, key variable) of the measured endpoint, or of a local server.

    The variable is "" for an endpoint that got no key: a key belongs to one vendor. At the local
    server the messages go to the bare model, since the artefact would build its prompt around them.
    """
    artefact = parts.artefact
    if artefact.model.startswith("openai:"):
        where = parts.model.where
        return parts.model.name, where.url, _KEY if where.key else ""
    return f"{artefact.name}-{artefact.id}{RAW_SUFFIX}", "http://127.0.0.1:8000/v1", _KEY


def _shell_script(told: dict[str, Any]) -> str:
    """Return a shell script that sends the prompt; Python encodes the input, so quotes are safe.

    The request passes through pipes: a long prompt is longer than an argument may be.
    """
    if not told["fixed"]:
        return f"echo {shlex.quote(told['why'])} >&2\nexit 1\n"
    about = f"{told['key']} is sent if it is set" if told["key"] else "no key is sent"
    bearer = f"${{{told['key']}:-none}}" if told["key"] else "none"
    return (
        "#!/bin/sh\n"
        f'# sh ask.sh "your text"; {about}\n'
        f'python3 -c {shlex.quote(_FILL_SCRIPT)} "$(dirname "$0")/pack.json" "$1" |\n'
        f"curl -sS {shlex.quote(told['url'] + '/chat/completions')} \\\n"
        '  -H "Content-Type: application/json" \\\n'
        f'  -H "Authorization: Bearer {bearer}" \\\n'
        "  --data-binary @-\n"
    )
