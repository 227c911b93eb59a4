"""Check a task for keys that are valid alone but contradict each other."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from tuneworthy.records import plugins
from tuneworthy.records.model import Limits
from tuneworthy.records.record import Record
from tuneworthy.records.task import OWN_FIELDS, PRICE_KEYS, Task, duration_days, price_fault
from tuneworthy.rows.plain_yaml import PlainDocument
from tuneworthy.rows.task_faults import TaskFault, raise_faults

_OWN_METRIC_PATTERN = re.compile(r"\.{0,2}/?[^:]+\.py:[A-Za-z_][A-Za-z0-9_]*")
_SERVER_KINDS = "|".join(plugins.catalogue("servers"))
_MODEL_PATTERN = re.compile(rf"smollm2-135m|(hf|openai|scripted|decision|{_SERVER_KINDS}):\S+")
_ENDPOINT_PATTERN = re.compile(rf"(openai|decision|{_SERVER_KINDS}):")
_DECISION_PATTERN = re.compile(r"([^\s@]+@)?https?://\S+")
_SECRET_FIELD = re.compile(r"(?i)(^|[_-])(api[_-]?key|authorization|secret|password)$")
_NO_KEY_FIX = "remove it: the key of an endpoint is read from OPENAI_API_KEY, in the environment"
_MODEL_FIX = (
    "write smollm2-135m, hf:ORG/NAME, hf:./folder, vllm:ORG/NAME, openai:NAME,"
    " decision:URL or scripted:NAME"
)


def check_consistency(task: Task, plain: PlainDocument, name: str) -> None:
    """Raise TaskError if keys contradict each other or a name is unknown."""
    parts = (_data_faults, _knowledge_faults, _output_faults, _metric_faults, _arm_faults,
             _finalist_faults, _model_faults, _decision_faults, _price_faults, _present_faults,
             _field_faults, _executor_faults, _repeat_faults)  # fmt: skip
    if faults := [fault for part in parts for fault in part(task)]:
        raise_faults(faults, plain, name)


def _data_faults(task: Task) -> Iterator[TaskFault]:
    data = task.data
    if not data.file and not data.train and not data.test:
        got = "neither `file` nor `train`"
        yield TaskFault(
            ("data",), "no rows are named", got, "write `file: rows.jsonl` under `data:`"
        )
    if data.file and (data.train or data.test):
        key = "train" if data.train else "test"
        fix = "write `file:` alone (cross-fitted), or `train:` and `test:`"
        yield TaskFault(("data", key), f"`file` and `{key}` exclude each other", data.file, fix)
    if data.test and not data.file and not data.train:
        yield TaskFault(("data", "test"), "a test file needs `train:`", data.test, "add `train:`")
    if data.test and data.folds != "auto":
        fix = "remove `folds:` or `test:`"
        yield TaskFault(("data", "folds"), "a test file switches folds off", str(data.folds), fix)


def _knowledge_faults(task: Task) -> Iterator[TaskFault]:
    over = task.knowledge.over if task.knowledge else None
    if over is None:
        return
    try:
        duration_days(over)
    except ValueError as error:
        fix = "write a number and h, d, w, m or y, as 30d"
        yield TaskFault(("knowledge", "over"), str(error), over, fix)


def _output_faults(task: Task) -> Iterator[TaskFault]:
    out = task.output
    if out.labels is not None and not out.labels:
        fix = "list them, or leave the key out: then those of the rows count"
        yield TaskFault(("output", "labels"), "the list of labels is empty", "[]", fix)
    if out.labels and len(set(out.labels)) < len(out.labels):
        twice = next(k for k, n in Counter(out.labels).items() if n > 1)
        yield TaskFault(("output", "labels"), "a label stands twice", twice, "remove one")
    if out.labels and out.type not in (None, "label"):
        fix = "remove `labels:` or write `type: label`"
        yield TaskFault(("output", "labels"), "labels need type label", out.type or "", fix)
    if out.json_schema is not None and out.type not in (None, "json"):
        fix = "remove `schema:` or write `type: json`"
        yield TaskFault(("output", "schema"), "a schema needs type json", out.type or "", fix)


def _metric_faults(task: Task) -> Iterator[TaskFault]:
    metric, judge = task.success.metric, task.success.judge
    path = ("success", "metric")
    if metric == "judge" and judge is None:
        fix = "add `judge: {model: ..., grades: human.jsonl}` under `success:`"
        yield TaskFault(path, "a judge needs a model and human grades", metric, fix)
    if judge is not None and metric != "judge":
        fix = "write `metric: judge`, or remove `judge:`"
        yield TaskFault(("success", "judge"), "nothing asks this judge", str(metric), fix)
    if judge is not None and not _MODEL_PATTERN.fullmatch(judge.model):
        yield TaskFault(
            ("success", "judge", "model"),
            "this names no model",
            judge.model,
            _model_fix(judge.model),
        )
    if task.success.options and task.success.metrics in ((), ("judge",)):
        fix = "name the metric they are for, or remove them"
        yield TaskFault(("success", "options"), "nothing reads these options", str(metric), fix)
    if metric is None or metric == "judge":
        return
    if ":" in metric or metric.endswith(".py"):
        yield from _own_metric_faults(task, metric)
        return
    known = list(plugins.catalogue("metrics"))
    names = task.success.metrics
    for name in names:
        if name not in known:
            hint = plugins.did_you_mean(name, known)
            fix = f"{hint}there are: {', '.join(known)}; or your own ./score.py:function"
            yield TaskFault(path, "no metric has this name", name, fix)
            return
    yield from _joint_metric_faults(names)
    yield from _option_faults(task.success.options, names)


def _joint_metric_faults(names: Sequence[str]) -> Iterator[TaskFault]:
    path = ("success", "metric")
    if len(set(names)) < len(names):
        yield TaskFault(path, "a metric stands twice", "+".join(names), "name each once")
    elif len(names) == 1 and not getattr(plugins.load("metrics", names[0]), "ALONE", True):
        fix = f"join one that reads what is said: {names[0]}+must_say, {names[0]}+token_f1"
        yield TaskFault(path, "this metric says nothing about what is said", names[0], fix)


def _option_faults(options: Mapping[str, Any], names: Sequence[str]) -> Iterator[TaskFault]:
    """Yield a fault for each option that no named metric has, or whose value it refuses."""
    kinds = [kind for name in names if (kind := _options_of(name)) is not None]
    known = [field for kind in kinds for field in kind.model_fields]
    for key, value in options.items():
        path = ("success", "options", key)
        owners = [kind for kind in kinds if key in kind.model_fields]
        if not owners:
            fix = f"known for {'+'.join(names)}: {', '.join(known) or 'none'}"
            yield TaskFault(path, "the metric has no such option", key, fix)
        for kind in owners:
            try:
                kind.model_validate_json(to_json({key: value}), strict=True)
            except ValidationError as error:
                what = error.errors()[0]["msg"].removeprefix("Value error, ")
                fix = "see docs/how-to/score-open-answers.md"
                yield TaskFault(path, f"the option is wrong: {what}", str(value), fix)


def _options_of(metric: str) -> type[Record] | None:
    kind: type[Record] | None = getattr(plugins.load("metrics", metric), "Options", None)
    return kind


def _own_metric_faults(task: Task, metric: str) -> Iterator[TaskFault]:
    path = ("success", "metric")
    if not _OWN_METRIC_PATTERN.fullmatch(metric) or metric.startswith("/"):
        fix = "write ./file.py:function, a path beside the task file"
        yield TaskFault(path, "this names no function in a file of yours", metric, fix)
        return
    file = task.folder / metric.rpartition(":")[0]
    if not file.resolve().is_relative_to(task.folder.resolve()):
        yield TaskFault(path, "the file lies outside the task's folder", metric, "move it there")
    elif not file.is_file():
        yield TaskFault(
            path, "there is no such file", metric, "write the path from the task's folder"
        )


def _arm_faults(task: Task) -> Iterator[TaskFault]:
    if "present" in task.answers:
        fix = "write `present: {answers: FILE}`, or give these answers another name"
        got = task.answers["present"].file
        yield TaskFault(("answers", "present"), "what runs today is a key of its own", got, fix)
    if task.present and task.present.match and not task.present.answers:
        fix = "name them under `answers`, or remove `match`"
        got = task.present.match
        yield TaskFault(("present", "match"), "there are no logged answers to match", got, fix)
    if task.arms == "auto":
        return
    if not task.arms:
        fix = "write `arms: auto`, or list them"
        yield TaskFault(("arms",), "the list of arms is empty", "[]", fix)
        return
    heads = [arm if isinstance(arm, str) else next(iter(arm), "") for arm in task.arms]
    yield from _unknown_arm_faults(task, heads)
    for index, arm in enumerate(task.arms):
        if isinstance(arm, dict) and len(arm) != 1:
            got = ", ".join(arm)
            yield TaskFault(
                ("arms", index), "one item is one arm", got, "write `- name: {option: 1}`"
            )
    whole = [arm if isinstance(arm, str) else repr(sorted(arm.items())) for arm in task.arms]
    if len(set(whole)) < len(whole):
        twice = next(i for i, arm in enumerate(whole) if arm in whole[:i])
        yield TaskFault(
            ("arms", twice), "an arm stands twice", heads[twice], "remove one of the two"
        )
    elif len(task.arms) == 1 and task.present is None and not task.answers and _is_reference(heads):
        fix = "list what is to be measured beside it, or write `arms: auto`"
        yield TaskFault(("arms",), "a reference alone says nothing of the task", heads[0], fix)


def _is_reference(names: Sequence[str]) -> bool:
    """Return whether the first of these arms is a reference, which other arms must beat."""
    known = names[0] in plugins.catalogue("arms")
    return known and plugins.load("arms", names[0]).ROLE == "reference"


def _finalist_faults(task: Task) -> Iterator[TaskFault]:
    """Yield a fault for each arm that can't represent its tool."""
    known = [*task.answers, *plugins.catalogue("arms")]
    for tool, name in task.success.finalists.items():
        path, head = ("success", "finalists", tool), re.split(r"[ (]", name)[0]
        if name not in known and head not in known:
            hint = plugins.did_you_mean(head, known)
            yield TaskFault(
                path, "no arm has this name", name, f"{hint}there are: {', '.join(known)}"
            )
        elif name in task.answers and task.answers[name].tool != tool:
            got = f"{name} has the tool {task.answers[name].tool}"
            yield TaskFault(path, "this arm is of another tool", got, "name it under its own tool")


def _unknown_arm_faults(task: Task, heads: Sequence[str]) -> Iterator[TaskFault]:
    known = [*task.answers, *plugins.catalogue("arms")]
    for index, name in enumerate(heads):
        if name and name not in known:
            hint = plugins.did_you_mean(name, known)
            fix = f"{hint}there are: {', '.join(known)}"
            yield TaskFault(("arms", index), "no arm has this name", name, fix)


def _model_faults(task: Task) -> Iterator[TaskFault]:
    for key in ("model", "tune", "bigger", "teacher"):
        spec = getattr(task, key)
        if spec is not None and not _MODEL_PATTERN.fullmatch(spec):
            yield TaskFault((key,), "this names no model", spec, _model_fix(spec))
    if (tune := task.tune) and _ENDPOINT_PATTERN.match(tune):
        fix = (
            "write an open model: smollm2-135m or hf:ORG/NAME. A hosted tune is measured by its"
            " recorded answers (`answers: {hosted: {file: tuned.jsonl, tool: tune}}`), and a hosted"
            " model teaches an open one as `teacher` (distil)"
        )
        yield TaskFault(("tune",), "a remote model can't be trained here", tune, fix)


def _decision_faults(task: Task) -> Iterator[TaskFault]:
    """Yield a fault for each decision model in the place of one that writes text."""
    if task.decision is not None and not _DECISION_PATTERN.fullmatch(task.decision):
        fix = "write its address: https://HOST/v1, or NAME@https://HOST/v1"
        yield TaskFault(("decision",), "this is no address", task.decision, fix)
    if task.decision is not None and task.model.startswith("decision:"):
        fix = "remove one of the two: `model` may be a model that writes text"
        yield TaskFault(("decision",), "`model` is a decision model too", task.decision, fix)
    for key in ("tune", "bigger", "teacher"):
        if (spec := getattr(task, key) or "").startswith("decision:"):
            fix = "name a model that writes text, or write the address under `decision`"
            yield TaskFault((key,), "a decision model writes no text", spec, fix)


def _model_fix(spec: str) -> str:
    """Return how to write a model's name, with the probable meaning of `spec` first."""
    meant = ""
    if spec.startswith((".", "/", "~")) or re.fullmatch(r"[\w.-]+/[\w.-]+", spec):
        meant = f"hf:{spec}"
    elif difflib.get_close_matches(spec, ["smollm2-135m"], n=1, cutoff=0.7):
        meant = "smollm2-135m"
    elif re.fullmatch(r"[A-Za-z][\w.-]*", spec):  # a bare name is that of a hosted model
        meant = f"openai:{spec}"
    return f"did you mean `{meant}`? else {_MODEL_FIX}" if meant else _MODEL_FIX


def _price_faults(task: Task) -> Iterator[TaskFault]:
    """Yield a fault for each invalid price: unknown keys, text, amounts below zero."""
    example = "{in: 0.4, out: 1.6} in USD per million tokens"
    for name, price in task.economics.prices.items():
        path = ("economics", "prices", name)
        if not isinstance(price, dict):
            yield TaskFault(path, "a price is a section", str(price), f"write {name}: {example}")
            continue
        wrong = [(key, why) for key, value in price.items() if (why := price_fault(key, value))]
        for key, why in wrong:
            near = difflib.get_close_matches(key, PRICE_KEYS, n=1)
            hint = f"did you mean `{near[0]}`? " if near and key not in PRICE_KEYS else ""
            fix = f"{hint}known here: {', '.join(PRICE_KEYS)}, as {example}"
            yield TaskFault((*path, key), why, str(price[key]), fix)
        if not wrong and not {"in", "out"} <= set(price):
            got = ", ".join(price) or "nothing"
            yield TaskFault(path, "a price needs `in` and `out`", got, f"write {example}")


def _present_faults(task: Task) -> Iterator[TaskFault]:
    """Yield a fault for each `present` option that no model takes or that has an invalid value."""
    known = list(Limits.model_fields)
    for key, value in (task.present.options if task.present else {}).items():
        path = ("present", "options", key)
        if key not in known:
            hint = plugins.did_you_mean(key, known)
            fix = (
                _NO_KEY_FIX
                if _SECRET_FIELD.search(key)
                else f"{hint}known here: {', '.join(known)}"
            )
            yield TaskFault(path, "what runs today has no such option", key, fix)
            continue
        try:
            Limits.model_validate_json(to_json({"max_tokens": 1, key: value}), strict=True)
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            got = value if isinstance(value, str | int | float) else type(value).__name__
            fix = "write a value that is allowed, or remove the option"
            yield TaskFault(path, f"the option is wrong: {what}", str(got), fix)


def _field_faults(task: Task) -> Iterator[TaskFault]:
    """Yield a fault for each request field that tuneworthy sets itself, or that nothing sends."""
    judge = task.success.judge.model if task.success.judge else None
    specs = {"model": task.model, "tune": task.tune, "bigger": task.bigger,
             "decision": task.decider, "teacher": task.teacher, "judge": judge}  # fmt: skip
    for role, fields in task.options.items():
        if fields and not _ENDPOINT_PATTERN.match(specs[role] or ""):
            got = f"{role} is {specs[role] or 'not set'}"
            fix = f"name an endpoint (openai:NAME@URL) as `{role}`, or remove these options"
            yield TaskFault(("options", role), "no endpoint takes these options", got, fix)
        for key in fields:
            if key in OWN_FIELDS:
                fix = "remove it; output.max_tokens and thinking_tokens set the token limit"
                what = "tuneworthy sets this request field itself"
                yield TaskFault(("options", role, key), what, key, fix)
            elif _SECRET_FIELD.search(key):  # requests are stored and shown, so a key would leak
                yield TaskFault(
                    ("options", role, key), "no key is sent in a request", key, _NO_KEY_FIX
                )


def _executor_faults(task: Task) -> Iterator[TaskFault]:
    if task.executor == "slurm":  # part of the contract, not implemented
        fix = "start Ray inside a Slurm job and write `ray` (docs/how-to/from-laptop-to-cluster.md)"
        yield TaskFault(("executor",), "arms run here or on Ray, not on Slurm", "slurm", fix)


def _repeat_faults(task: Task) -> Iterator[TaskFault]:
    if task.repeats > 1 and task.success.judge:
        fix = "use a metric without a judge, or leave `repeats` out: people graded one answer a row"
        yield TaskFault(("repeats",), "a judge scores one answer a row", str(task.repeats), fix)
    if task.repeats > 1 and task.executor != "local":
        fix = "leave `repeats` out, or write `executor: local`"
        yield TaskFault(("repeats",), "rows are asked again on this machine alone",
                        str(task.repeats), fix)  # fmt: skip
