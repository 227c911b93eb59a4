"""Draft a task.yaml for rows: only the keys that matter for them, each with a plain comment."""

from __future__ import annotations

import json
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from tuneworthy.matrix.detectable import smallest_effect
from tuneworthy.records.counting import count_noun, with_verb
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.task import Data, Task
from tuneworthy.rows.answer_form import (
    AnswerForm,
    choose_answer_form,
    form_of_checks,
    pass_at_comment,
    propose_metric,
    with_form,
)
from tuneworthy.rows.answers import align_answers
from tuneworthy.rows.folds import ONE_SPLIT_FROM
from tuneworthy.rows.infer import is_binary, near_labels
from tuneworthy.rows.load import Loaded, load
from tuneworthy.rows.rows import read_rows

_HEAD_ROWS = 10_000  # rows of a long file that a task is drafted from
_LOOKED_ROWS = 1_000  # rows whose recorded answers are read to guess the form of answers
INSTRUCTIONS = {
    "label": "Read the input and answer with exactly one label of the list.",
    "json": "Read the input and answer with a JSON object that follows the schema.",
    "text": "Read the input and write the answer.",
    "number": "Read the input and answer with one number.",
}
"""The instruction that a new task gets, by type of answer."""
HEADER = "# yaml-language-server: $schema=task.schema.json"
_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


@dataclass(frozen=True)
class DraftedTask:
    """A task file as text, and sentences on what was seen in the rows."""

    text: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class DraftFacts:
    """What `init` already knows about the rows that a task is drafted for.

    `name` is the task's name (None: that of the rows), `made_of` names the files that the rows come
    from. `first_answers` has systems' answers to some rows, by id, which spares reading their files
    again. `count` counts the rows if they were checked already: then only the first are read of a
    long file. `metric` is that of the files' own checks, None without any. `parts` maps `train`,
    `test` and `dev` to their files if the rows are apart; `scored` counts the rows of `test`.
    `dependence` are sentences on columns that may say how rows depend on each other, `docs` the
    documents that answers are looked up in.
    """

    name: str | None = None
    made_of: str = ""
    count: int = 0
    metric: str | None = None
    first_answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    parts: Mapping[str, Path] = field(default_factory=dict)
    scored: int = 0
    dependence: tuple[str, ...] = ()
    docs: Path | None = None


def draft(
    rows: Path,
    answers: Mapping[str, str] | None = None,
    folder: Path | None = None,
    about: DraftFacts = DraftFacts(),
) -> DraftedTask:
    """Return a drafted task file for `folder` (default: the folder of the rows).

    `answers` maps a name to a file of recorded answers; the name `present` is the production
    system. Raises DataError if the rows can't be read.
    """
    folder = rows.parent if folder is None else folder
    if not rows.exists():
        raise DataError(
            "there is no such file", where=str(rows), got=f"looked in {rows.absolute().parent}",
            fix="correct the path of the rows; it starts at the folder you are in",
        )  # fmt: skip
    next(read_rows(rows, rows.name), None)  # report an unreadable file before anything else
    file = _path_from(folder, rows)
    docs = {"docs": _path_from(folder, about.docs)} if about.docs else {}
    if about.count > _HEAD_ROWS:
        loaded = _load_head(rows)
    else:
        parts = {part: _path_from(folder, path) for part, path in about.parts.items()}
        data = Data.model_validate((parts or {"file": file}) | docs)
        loaded = load(Task(data=data).at(folder), "draft")
    count = max(about.count, len(loaded.cases))
    systems = _system_lines(answers or {}, folder)
    said = about.first_answers or _recorded_texts(answers or {}, loaded)
    form = form_of_checks(about.metric) or choose_answer_form(
        loaded.cases, said, loaded.task.output.type or "text"
    )
    if form is not None:
        loaded = replace(loaded, task=with_form(loaded.task, form))
    blocks = [
        _head_lines(about.name or rows.stem, loaded),
        [
            *(_part_lines(folder, about) or _data_lines(file, loaded, about, count)),
            *(f"  docs: {_yaml_scalar(place)}" for place in docs.values()),
            *_wrapped_comments(about.dependence),
        ],
        _output_lines(loaded),
        _success_lines(loaded, form, count, about.scored),
        systems,
        _rest_lines(),
    ]
    text = "\n\n".join("\n".join(lines) for lines in blocks) + "\n"
    return DraftedTask(text, (*_data_sentences(loaded, count), *([form.sentence] if form else [])))


def _load_head(rows: Path) -> Loaded:
    """Return the loaded first rows of a long file, which show the form of the others."""
    with tempfile.TemporaryDirectory() as place:
        head = Path(place) / rows.name
        with rows.open("rb") as file, head.open("wb") as out:
            out.writelines(islice(file, _HEAD_ROWS))
        return load(Task(data=Data(file=head.name)).at(Path(place)), "draft")


def _recorded_texts(answers: Mapping[str, str], loaded: Loaded) -> dict[str, list[str]]:
    """Return {case id: recorded answers}; a file that can't be matched is left to `check`."""
    said: dict[str, list[str]] = {}
    sample = loaded.cases[:_LOOKED_ROWS]
    for file in answers.values():
        try:
            found = align_answers(Path(file), sample, loaded.cases)
        except DataError:
            continue
        for one in found.answers:
            if one.error is None:
                said.setdefault(one.case, []).append(one.text)
    return said


def _path_from(folder: Path, file: Path) -> str:
    try:
        return file.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return file.resolve().as_posix()


def _head_lines(stem: str, loaded: Loaded) -> list[str]:
    name = "".join(c if c in _NAME_CHARACTERS else "-" for c in stem).strip("._-")[:64] or "task"
    system = Counter(
        m.content for case in loaded.cases for m in case.messages if m.role == "system"
    )
    lines = [HEADER, f"name: {_yaml_scalar(name)}"]
    if system.total() == len(loaded.cases) and len(system) == 1:
        return [*lines, "# Every row brings the same system prompt; it is the instruction.",
                'instruction: ""']  # fmt: skip
    asked = INSTRUCTIONS[loaded.task.output.type or "text"]
    return [*lines, "# What the model is asked to do. Write it as you would tell a new colleague.",
            f"instruction: {_yaml_scalar(asked)}"]  # fmt: skip


def _data_lines(file: str, loaded: Loaded, about: DraftFacts, count: int) -> list[str]:
    lines = ["data:", f"  file: {_yaml_scalar(file)}"]
    if about.made_of:
        made_of = _printable(about.made_of)[:60]
        lines.append(f"  # Made by `tuneworthy init` from {made_of}; ids are its own, or its rows.")
    if all(case.time for case in loaded.cases):
        lines += ["  # The rows have a time: the earliest only teach and are not scored; the later",
                  "  # ones are scored by arms fitted on earlier ones."]  # fmt: skip
    elif count < ONE_SPLIT_FROM:
        lines.append("  # Under 1,000 rows each is scored once, by an arm that never saw it.")
    else:
        lines.append("  # From 1,000 rows on, 30 % are held out and scored.")
    lines.append("  # A test file of your own instead: write train: and test: in place of file:")
    unread = any("doc_id" in case.meta and case.context is None for case in loaded.cases)
    if unread and not about.docs:
        lines.append("  # The rows name documents. Say where they are, to test retrieval:")
        lines.append("  # docs: docs.jsonl")
    lines.append("  # unlabelled: inputs.jsonl   # inputs without answers, for `settle`")
    lines.append("  # locked: 0.2   # rows that nobody is shown before `run --unlock`")
    return lines


def _part_lines(folder: Path, about: DraftFacts) -> list[str]:
    """Return the `data:` lines for rows in several files, [] if they are in one file."""
    if not about.parts:
        return []
    made_of = _printable(about.made_of)[:60]
    return [
        "data:",
        *(
            f"  {part}: {_yaml_scalar(_path_from(folder, path))}"
            for part, path in about.parts.items()
        ),
        f"  # Made by `tuneworthy init` from {made_of}, by its own split.",
        "  # The rows of `train` teach; those of `test` alone are scored.",
    ]


def _wrapped_comments(sentences: Sequence[str]) -> list[str]:
    """Return sentences as comment lines of `data:`; they name columns of the user's file."""
    return [line for text in sentences for line in textwrap.wrap(
        _printable(f"`tuneworthy init`: {text}"), 98, initial_indent="  # ",
        subsequent_indent="  # ", break_on_hyphens=False)]  # fmt: skip


def _output_lines(loaded: Loaded) -> list[str]:
    out = loaded.task.output
    lines = [
        "output:",
        f"  type: {out.type}          # seen in the rows: json, label, text, number",
    ]
    if out.type == "json":
        schema = out.json_schema if isinstance(out.json_schema, dict) else {}
        keys = ", ".join(list(schema.get("properties", {}))[:8])
        lines.append(f"  # The schema is inferred from the rows (keys: {_printable(keys)}).")
        lines.append("  # schema: schema.json      # better: your own")
    if out.type == "label":
        lines.append(f"  # {with_verb(len(out.labels or ()), 'label', 'are')} in the rows.")
    return lines


def _success_lines(loaded: Loaded, form: AnswerForm | None, n: int, own: int) -> list[str]:
    """Return the `success:` lines for n rows; `own` counts the rows of the user's test file."""
    success = loaded.task.success
    scored = own or (n if n < ONE_SPLIT_FROM else round(0.3 * n))
    points = 100 * smallest_effect(scored)
    better = propose_metric(loaded.cases) if loaded.task.output.type == "text" else None
    if form is not None:
        better = form.metric, form.why
    metric, why = better or (success.metric or "exact", "how one answer is scored, from 0 to 1")
    lines = [
        "success:",
        f"  metric: {metric}   # {why}",
        "  # Your own instead: metric: ./score.py:score, a function (case, answer) -> 0..1",
        "  # How many more right answers in 100 would make you maintain a tuned model?",
        f"  # 5 in 100 is written 0.05. {with_verb(own or n, 'row', 'show')} differences from about"
        f" {points:.0f} in 100 on.",
        "  margin: 0.05",
        "  # target: 0.9             # what must be reached; leave it out where there is none",
    ]
    if loaded.task.output.type == "text":
        lines.append(
            "  # Short answers: contains, exact_words; any `accepted` answer of a row is right"
        )
        lines.append("  # Open answers: must_say, style_match, outline, code, judge; + joins them")
    if not all(map(is_binary, metric.split("+"))):
        lines.append(f"  pass_at: 0.5             {pass_at_comment(metric)}")
    lines += ["  # motive: cost            # not better, but not worse and cheaper",
              "  # limits: {valid: 0.95, p95_ms: 3000}"]  # fmt: skip
    return lines


def _system_lines(answers: Mapping[str, str], folder: Path) -> list[str]:
    paths = {name: _path_from(folder, Path(file)) for name, file in answers.items()}
    for name, file in answers.items():
        if not Path(file).is_file():
            raise TaskError("there is no such file of answers", where=f"--answers {name}",
                            got=file, fix="write NAME=FILE, the path from here")  # fmt: skip
    lines = ["# What runs today is measured first. Its logged answers are enough:"]
    if present := paths.pop("present", None):
        lines += ["present:", f"  answers: {_yaml_scalar(present)}",
                  "  # tool: tune              # if it is itself a tuned model",
                  "# Right answers written by correcting those of today hide its errors; if they"
                  " were: data.corrected: true"]  # fmt: skip
    else:
        lines += ["# present: {answers: logged.jsonl}",
                  "# present: {model: openai:NAME, prompt: prompt.md}"]  # fmt: skip
    if paths:
        lines += ["answers:"]
        for name, file in paths.items():
            lines += [f"  {_yaml_scalar(name)}:", f"    file: {_yaml_scalar(file)}",
                      "    # tool: tune            # if this is a tuned model"]  # fmt: skip
    return lines


def _rest_lines() -> list[str]:
    return [
        "# model: smollm2-135m       # what prompts run on; or hf:ORG/NAME, openai:NAME",
        "# With these the verdict says from which volume on a tuned model would pay:",
        "# economics: {requests_per_month: 40000, value_of_correct: 0.05, engineer_hour: 90}",
        "# How fast that changes which answers rest on (no row tells it; 0: not at all):",
        "# knowledge: {changed_share: 0.03, over: 30d}",
        "# Unless capped, a run goes on until the verdict is firm, for 60 minutes at most:",
        "# budget: {minutes: 20, usd: 5}   # caps that are kept; so is tokens:",
    ]


def _data_sentences(loaded: Loaded, count: int) -> Iterator[str]:
    out, part = loaded.task.output, ""
    if count > len(loaded.cases):
        part = f"in the first {len(loaded.cases):,} "
    guess = " (a guess)" if out.type == "label" else ""
    yield f"{count_noun(count, 'row')}; {part}answers look like {out.type}{guess}"
    if out.type == "label":
        counts = Counter(case.output for case in loaded.cases)
        label, most = counts.most_common(1)[0]
        yield (
            f"{count_noun(len(counts), 'label')}; `{_printable(label)[:40]}` is the most frequent, "
            f"{100 * most / len(loaded.cases):.0f} in 100"
        )
        if label[-1:].isalpha() and loaded.task.success.metric != "exact_words":
            yield f"only the label itself is right: `{_printable(label)[:40]}.` counts as wrong"
        for odd, usual in list(near_labels(counts).items())[:3]:
            rare = f"`{_printable(odd)[:40]}` ({count_noun(counts[odd], 'row')})"
            often = f"`{_printable(usual)[:40]}` ({counts[usual]:,})"
            yield f"{rare} is spelt almost like {often}: correct it, if it is a slip"
    if (turns := sum(len(case.messages) > 1 for case in loaded.cases)) > 0:
        yield f"{with_verb(turns, 'row', 'have')} a system prompt or several turns; both are kept"
    for seen in loaded.observations[:5]:
        yield seen.text
    kept = {
        "group": "rows of one group stay together",
        "time": "the earliest only teach; later ones are scored by arms fitted on them",
    }
    for key, text in kept.items():
        if all(getattr(case, key) for case in loaded.cases):
            yield f"every row has a {key}: {text}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _yaml_scalar(text: str) -> str:
    """Return text as a YAML scalar: plain if that is safe, else as a JSON string."""
    simple = text and all(c in _NAME_CHARACTERS + "/" for c in text) and text[0].isalpha()
    words = {"true", "false", "null", "yes", "no"}
    return text if simple and text.lower() not in words else json.dumps(text, ensure_ascii=True)
