"""An Inspect task: the scored cases as its data set, the messages, and a scorer like the metric."""

from __future__ import annotations

import json
from pathlib import Path

from tuneworthy.handover.formats._sources import BuiltPrompt, Made, json_lines

NEEDS = "prompt"
_TASK = '''"""The prompt that tuneworthy built: inspect eval task.py --model openai-api/NAME/MODEL.

{about}
"""

import json
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
)
from inspect_ai.scorer import {imports}
from inspect_ai.solver import generate, solver

MESSAGES = json.loads(Path(__file__).with_name("messages.json").read_text("utf-8"))
KINDS = {{
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}}


@solver
def prompt():
    """Put the input into the messages that were built."""

    async def solve(state, generate):
        *first, last = MESSAGES
        last = {{**last, "content": last["content"].replace("{{input}}", state.input_text)}}
        state.messages = [KINDS[one["role"]](content=one["content"]) for one in [*first, last]]
        return state

    return solve

{parts}
@task
def {name}():
    return Task(
        dataset=json_dataset(str(Path(__file__).with_name("cases.jsonl"))),
        solver={solver},
        scorer={scorer},
        config=GenerateConfig({config}),
    )
'''
_BARE_ANSWER = '''
@solver
def bare_answer():
    """Take the answer out of the object that the request asked for."""

    async def solve(state, generate):
        try:
            state.output.completion = str(json.loads(state.output.completion)["KEY"])
        except (ValueError, KeyError, TypeError):
            pass
        return state

    return solve

'''
_SAME_JSON = '''
@scorer(metrics=[accuracy(), stderr()])
def same_json():
    """Score whether the answer is the same JSON value as a right one."""

    async def score(state, target):
        try:
            right = json.loads(state.output.completion) in [json.loads(one) for one in target]
        except ValueError:
            right = False
        return Score(value=CORRECT if right else INCORRECT, answer=state.output.completion)

    return score

'''
_OF_JSON = "CORRECT, INCORRECT, Score, accuracy, scorer, stderr"
_AROUND = "punctuation around the answer does not count here"
_SCORERS = {  # metric: scorer, what it imports, how it differs from the metric
    "accuracy": ('match(location="exact")', "match", _AROUND),
    "exact": ('match(location="exact", ignore_case=False)', "match", _AROUND),
    "exact_words": ("exact()", "exact", "signs of a number may be lost"),
    "contains": ("includes()", "includes", "part of a word counts here"),
    "number": (
        'match(location="end", numeric=True)',
        "match",
        "the number must end the answer here",
    ),
    "must_say": ("includes()", "includes", "one phrase is enough here; must_not_say is not read"),
    "fields_f1": ("same_json()", _OF_JSON, "all fields must be right here; ours is their F1"),
    "token_f1": ("f1()", "f1", ""),
}
_OTHER = ("f1()", "f1", "no scorer is like it: F1 of the words")
_CONFIG = {"max_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p",
           "seed": "seed", "stop": "stop_seqs"}  # fmt: skip


def write(source: BuiltPrompt, folder: Path) -> Made:
    """Return task.py, cases.jsonl and messages.json."""
    pack, name = source.pack, source.metrics[0]
    scorer, imports, note = _SCORERS.get(name, _OTHER)
    if name == "exact" and source.task.output.type == "json":
        scorer, imports, note = "same_json()", _OF_JSON, ""
    notes = [f"metric {name}: {note}"] if note else []
    if more := source.metrics[1:]:
        notes.append(f"of the joined metrics, {', '.join(more)} is not scored here")
    body = pack["request"]
    config = {_CONFIG[key]: value for key, value in body.items() if key in _CONFIG}
    if extra := {key: value for key, value in body.items() if key not in _CONFIG}:
        config["extra_body"] = extra
    about = [f"Measured: {pack['model']} at {pack['url']}.", *source.notes, *notes]
    key = pack["answer_key"]
    parts = _BARE_ANSWER.replace("KEY", key) if key else ""
    parts += _SAME_JSON if imports == _OF_JSON else ""
    program = _TASK.format(
        about="\n".join(json.dumps(line, ensure_ascii=True)[1:-1] for line in about),
        imports=imports, parts=parts,
        name="".join(c if c.isascii() and c.isalnum() else "_" for c in f"task_{source.task.name}"),
        solver=f"[prompt(), generate(){', bare_answer()' if key else ''}]", scorer=scorer,
        config=", ".join(f"{key}={value!r}" for key, value in config.items()),
    )  # fmt: skip
    cases = [{"id": case.id, "input": case.input,
              "target": list(case.must_say if name == "must_say" else source.right[case.id])}
             for case in source.cases]  # fmt: skip
    files = {"task.py": program, "cases.jsonl": json_lines(cases),
             "messages.json": json.dumps(pack["messages"], indent=2) + "\n"}  # fmt: skip
    return Made(files, source.summary(notes=notes))
