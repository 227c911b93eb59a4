"""Export a built prompt, training rows or a verdict in the format of another tool.

Knows no format by name. A file of an earlier export is replaced if nobody changed it since.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tuneworthy.arms._trained import TrainingOptions, recipe_of, training_rows
from tuneworthy.arms.prompt.messages import build_all
from tuneworthy.flows.finished_study import open_finished
from tuneworthy.flows.session import Session, read
from tuneworthy.handover.artefact_folder import find_artefact, read_artefact
from tuneworthy.handover.building import arm_to_build
from tuneworthy.handover.formats._sources import BuiltPrompt, Chat, Made, TrainingChats
from tuneworthy.measure.built_arm import DeployedArm
from tuneworthy.models import is_local
from tuneworthy.models.local.chat_template import one_template, rendered
from tuneworthy.records import __version__
from tuneworthy.records.artefact import Artefact
from tuneworthy.records.case import Case, Message
from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import TaskError, TuneworthyError
from tuneworthy.records.own_files import OwnKind, check_own, write_atomic
from tuneworthy.records.plugins import load
from tuneworthy.records.record import digest, plain_file
from tuneworthy.records.results import Results
from tuneworthy.records.run import RunOptions
from tuneworthy.records.specs import needs_of_arm, reads_unlabelled
from tuneworthy.report.results_folder import open_study
from tuneworthy.rows.taskfile import read_task
from tuneworthy.store.trouble import output_errors

_MANIFEST = "export.json"
_OWN = OwnKind("the list of an export", lambda head: b'"tuneworthy": "' in head[:200])
_PACK = Path("prompt", "pack.json")
_READS_MORE = frozenset({"docs", "teacher"})


@dataclass(frozen=True)
class ExportOptions:
    """Where to write (None: exports/FORMAT beside task.yaml), and what training rows are for.

    `arm` is the arm whose rows they are (None: the verdict's), `model` the model to train (None:
    the task's), `train_price` the USD of a million trained tokens (None: the task's price).
    """

    out: Path | None = None
    arm: str | None = None
    model: str | None = None
    train_price: float | None = None


def export(
    name: str, path: Path, options: ExportOptions = ExportOptions(),
    tell: Callable[[str, Any], None] = lambda event, data: None,
) -> dict[str, Any]:  # fmt: skip
    """Write the export of a task in a format; return its folder, files and summary.

    Raises TaskError for an unknown format, where nothing was built or measured that it needs, and
    where a file of the user's stands in the place of one of its files.
    """
    form = load("formats", name)
    folder = options.out or path.parent / "exports" / name
    with _SOURCES[form.NEEDS](path, options, tell) as source, output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        made: Made = form.write(source, folder)
        _write_files(folder, name, made)
    return {"format": name, "folder": str(folder),
            "files": [str(folder / file) for file in (*made.files, _MANIFEST)],
            "summary": dict(made.summary)}  # fmt: skip


def _write_files(folder: Path, name: str, made: Made) -> None:
    """Write the files and their list; replace only what this very text, or an export, wrote."""
    manifest = folder / _MANIFEST
    check_own(manifest, _OWN)
    try:
        before: Mapping[str, Any] = json.loads(plain_file(manifest)).get("files", {})
    except (OSError, ValueError):  # there is none, or it was cut
        before = {}
    hashes = {file: digest(text) for file, text in made.files.items()}
    for file in hashes:
        there = digest(_text(folder / file)) if (folder / file).exists() else None
        if there not in (None, hashes[file], before.get(file)):
            raise TaskError(
                "another file stands there", where=str(folder / file), kept="it, unchanged",
                got="a file that no export wrote, or that was changed since",
                fix="name another folder (--out), or move this file away",
            )  # fmt: skip
    told = {"tuneworthy": __version__, "format": name, "files": hashes, "summary": made.summary}
    write_atomic(manifest, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    for file, text in made.files.items():
        write_atomic(folder / file, text)


def _text(path: Path) -> str:
    return plain_file(path).decode("utf-8", "replace") if path.is_file() else ""


@contextmanager
def _prompt_source(path: Path, *_: Any) -> Iterator[BuiltPrompt]:
    """Yield the built prompt of a task, and the cases of its last study that may be shown."""
    task = read_task(path)
    folder = find_artefact(task.folder / "build")
    artefact = read_artefact(folder)
    if not (folder / _PACK).is_file():
        raise TaskError("the last build holds no prompt", where=str(folder), got=artefact.arm,
                        fix="tuneworthy build --arm NAME, of an arm that asks a model")  # fmt: skip
    pack = json.loads(plain_file(folder / _PACK))
    if not pack["fixed"]:
        raise TaskError("the built prompt is not one list of messages", where=str(folder / _PACK),
                        got=pack["why"],
                        fix="name an arm with a fixed prompt: build --arm NAME")  # fmt: skip
    results = open_study(task.folder).results
    locked = _locked_inputs(path) if task.data.locked or results.task.data.locked else frozenset()
    cases, notes = _shown_cases(results.cases, artefact, locked)
    if not cases:
        raise TaskError("no case of the last study may be exported", where=str(task.folder),
                        got="; ".join(notes), fix="`tuneworthy run` scores rows that are not"
                        " locked; nothing is measured twice")  # fmt: skip
    recipe = artefact.pack.recipe
    if task.data.test is None and (artefact.pack.trained or (recipe and recipe.learned)):
        notes.append("the build learnt from rows that are cases here: a score on them is too high;"
                     " `measured` is of rows that were not learnt")  # fmt: skip
    arms = [arm for arm in results.verdict.arms if arm.name == artefact.arm and arm.score]
    measured = {"metric": "+".join(results.task.success.metrics), "n": arms[0].n,
                **arms[0].score.plain()} if arms and arms[0].score else None  # fmt: skip
    yield BuiltPrompt(pack, artefact, results.task, cases, measured, tuple(notes))


def _locked_inputs(path: Path) -> frozenset[tuple[Message, ...]]:
    """Return the inputs of the rows that are locked now."""
    loaded, _ = read(path, RunOptions(bad_rows="exclude", max_bad=1.0))
    return frozenset(case.messages for case in loaded.aside)


def _shown_cases(
    cases: Sequence[Case], artefact: Artefact, locked: frozenset[tuple[Message, ...]]
) -> tuple[list[Case], list[str]]:
    """Return the cases that may be exported, and notes on those left out."""
    shown = {case.messages for case in artefact.pack.examples}
    left = {
        "locked": [case for case in cases if case.messages in locked],
        "an example of the prompt": [case for case in cases if case.messages in shown],
        "a conversation of several turns": [
            case for case in cases if sum(m.role != "system" for m in case.messages) > 1
        ],
    }
    out = {case.id for found in left.values() for case in found}
    notes = [f"{count_noun(len(found), 'case')} left out: {why}"
             for why, found in left.items() if found]  # fmt: skip
    return [case for case in cases if case.id not in out], notes


@contextmanager
def _row_source(path: Path, options: ExportOptions, tell: Any) -> Iterator[TrainingChats]:
    """Yield the rows that a build of the arm fits on, as the conversations that it learns."""
    with open_finished(path, tell=tell) as (session, study):
        yield _chats(session, study, options)


def _chats(session: Session, study: Results, options: ExportOptions) -> TrainingChats:
    name = arm_to_build(study, options.arm)
    runner = replace(session.runner(), runs=study.runs)
    unit = DeployedArm(runner, study.runs, name, session.task.seed, {}, everything=True).unit
    if needs_of_arm(unit.spec) & _READS_MORE or reads_unlabelled(unit.spec.arm):
        raise TaskError("this arm learns from more than rows: passages or a teacher's answers",
                        where="--arm", got=name, fix="name another arm, as --arm lora")  # fmt: skip
    how, task, notes = unit.arm.Options.model_validate(unit.spec.options), session.task, list[str]()
    if not isinstance(how, TrainingOptions):
        how = TrainingOptions()
        notes.append(f"`{name}` trains no model: the messages are those of a training, the"
                     " instruction before the input")  # fmt: skip
    train, dev = ([runner.learn_cases[i] for i in ids] for ids in (unit.part.train, unit.part.dev))
    chosen = training_rows(train, how, session.task.seed)

    def chats(cases: Sequence[Case]) -> list[Chat]:
        prompts = build_all(task, [case.query() for case in cases], recipe_of(how), ())
        return [Chat(prompt, c.output) for c, prompt in zip(cases, prompts, strict=True)]

    spec = task.tune or task.model
    model = options.model or (spec.partition(":")[2] if spec.startswith("openai:") else spec)
    price = task.economics.prices.get(model, {})
    usd = price.get("train") if isinstance(price, Mapping) else None
    return TrainingChats(
        arm=name, verdict=study.verdict.__rich__(), train=chats(chosen), dev=chats(dev),
        epochs=how.epochs, model=model, notes=tuple(notes),
        tokens_of=partial(_tokens_of, session, options.model or spec),
        usd=usd if options.train_price is None else options.train_price,
    )  # fmt: skip


def _tokens_of(session: Session, spec: str, chats: Sequence[Chat]) -> list[int] | str:
    """Return each conversation's tokens under a local model's template, or why none are known."""
    if spec not in (session.task.tune, session.task.model) or not is_local(spec):
        return f"{spec} is no local model of this task: its tokenizer is not here"
    try:
        model: Any = session.models["tune" if spec == session.task.tune else "base"]
    except (KeyError, TuneworthyError) as error:
        return f"{spec} can't be opened here: {getattr(error, 'what', 'its package is missing')}"
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        return f"{spec} has no tokenizer"
    template, specials = one_template(tokenizer), tokenizer.special_tokens_map
    turns = [[(m.role, m.content) for m in chat.messages] for chat in chats]
    whole = [[*one, ("assistant", chat.answer)] for one, chat in zip(turns, chats, strict=True)]
    texts = (rendered(template, specials, one, False) for one in whole)
    return [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]


@contextmanager
def _verdict_source(path: Path, *_: Any) -> Iterator[Results]:
    yield open_study(path.parent).results


_SOURCES: dict[str, Callable[[Path, ExportOptions, Any], AbstractContextManager[Any]]] = {
    "prompt": _prompt_source, "rows": _row_source, "verdict": _verdict_source,
}  # fmt: skip
