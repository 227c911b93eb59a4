"""Point the lab's detectors at a user's training folder. No instrumentation, no model is run.

A detector reads facts alone. What a folder shows is measured; every other fact is None with its
reason, and a detector that needs one of those is reported as not measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tuneworthy.core.errors import ModelError, TaskError
from tuneworthy.core.failure import RunFacts, Runs
from tuneworthy.core.run_report import (
    NEEDS_ANSWERS,
    OF_A_CASE,
    CaseFinding,
    DataInfo,
    FindingState,
    OwnRunReport,
)
from tuneworthy.data.run_folder import KEPT, RunFolder, open_run_folder
from tuneworthy.data.training_rows import TrainingRows, read_training_rows
from tuneworthy.lab.cases import LabCase, all_cases
from tuneworthy.lab.own_adapter import of_adapter
from tuneworthy.lab.own_log import missing_of_log, of_log, outlier_rows, read_logs
from tuneworthy.lab.own_repairs import repair_of
from tuneworthy.lab.own_rows import (
    Measured,
    encode_rows,
    merged,
    of_packing,
    of_texts,
    of_tokens,
    without_data,
    without_free_text,
)
from tuneworthy.lab.own_tokenizer import FolderTokenizer, read_tokenizer
from tuneworthy.lab.own_trainer import OwnTrainer, read_trainer

SHOWN_ROWS = 5
_ANSWER_FACTS = ("answers", "ended", "score", "valid", "length", "copied", "same_as_base", "p_end",
            "same_prompt")  # fmt: skip


@dataclass(frozen=True)
class OwnFiles:
    """What is checked: rows that the run learnt from, rows to test it, the base's weights."""

    data: Path | None = None
    test: Path | None = None
    base: Path | None = None


class _Watched:
    """The facts of a run, and which of them a detector reads."""

    def __init__(self, facts: RunFacts) -> None:
        self._facts = facts
        self._read: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name not in self._read:
            self._read.append(name)
        return getattr(self._facts, name)

    def missing(self, reasons: Mapping[str, str]) -> dict[str, str]:
        """Return the facts that were read and are not there, with the reason."""
        lost = [name for name in self._read if getattr(self._facts, name) in (None, {})]
        return {name: reasons.get(name, OF_A_CASE) for name in lost if name != "refused"}


def check_run(folder: Path, files: OwnFiles = OwnFiles()) -> OwnRunReport:
    """Return what the lab's detectors find in a training folder.

    Raises TaskError if there is no such folder or nothing of a training run is in it, DataError for
    rows or a tokenizer that can't be read.
    """
    run = open_run_folder(folder)
    logs, sources = read_logs(run)
    adapter = of_adapter(run, _base(files.base))
    tokenizer = read_tokenizer(run)
    _refuse_foreign(run, bool(sources), adapter.info is not None, tokenizer)
    trainer = read_trainer(run, logs)
    log = logs[0] if logs else None
    found = of_log(log, trainer.number("max_grad_norm")) if log else {}
    train = _rows(files.data, "--data")
    test = _rows(files.test, "--test")
    about, encoded, not_read = _of_data(train, test, tokenizer, trainer)
    if log is not None and train is not None and (odd := outlier_rows(log)):
        places = [row.where for row in train.rows]
        if len(log.by_row) == len(places):
            about.rows["outliers"] = [places[k] for k in odd]
    missing = {**missing_of_log(log, found), **adapter.missing, **about.missing}
    facts = _facts({**found, **adapter.facts, **about.facts}, missing)
    missing |= dict.fromkeys(_ANSWER_FACTS, NEEDS_ANSWERS)
    return OwnRunReport(
        folder=str(folder),
        trainer=trainer.label,
        logs=tuple(sources),
        adapter=adapter.info,
        data=_info(train, encoded),
        test=_info(test, 0),
        settings=dict(trainer.settings),
        named_by=dict(trainer.named_by),
        facts=facts,
        missing={name: why for name, why in missing.items() if getattr(facts, name, 0) is None},
        assumed=tuple(about.assumed),
        not_read={**trainer.not_read, **not_read, **_links(run)},
        findings=tuple(_finding(case, facts, missing, about.rows) for case in all_cases().values()),
    )


def _facts(found: Mapping[str, Any], missing: dict[str, str]) -> RunFacts:
    """Return the facts; one that is too large for a number is left out, with the reason."""
    whole = {}
    for name, value in found.items():
        if isinstance(value, float) and not math.isfinite(value):
            missing[name] = "the values of the log are too large to be averaged"
        elif name in RunFacts.model_fields:
            whole[name] = value
    return RunFacts(**whole)


def _finding(
    case: LabCase, facts: RunFacts, missing: Mapping[str, str], rows: Mapping[str, list[str]]
) -> CaseFinding:
    """Return what one case's detector says of the facts."""
    watched = _Watched(facts)
    says = case.module.detect(Runs(cast(RunFacts, watched), None))
    state: FindingState = "not measured"
    if says.found is not None:
        state = "found" if says.found else "clean"
    concerned = next((rows[name] for name in watched._read if rows.get(name)), None)
    shown = concerned if state == "found" else None
    return CaseFinding(
        cause=case.name,
        case=case.slug,
        title=case.module.TITLE,
        state=state,
        value=says.value,
        because=says.because,
        missing=watched.missing(missing),
        rows=tuple((shown or [])[:SHOWN_ROWS]),
        row_count=len(shown) if shown is not None else None,
        fix=repair_of(case, facts) if state == "found" else "",
        harmless=case.module.HARMLESS if state == "found" else "",
    )


def _of_data(
    train: TrainingRows | None,
    test: TrainingRows | None,
    tokenizer: FolderTokenizer | str,
    trainer: OwnTrainer,
) -> tuple[Measured, int, dict[str, str]]:
    """Return the facts of the rows, how many were encoded, and the rows that could not be."""
    packed = of_packing(trainer)
    if train is None:
        why = "no training rows are given (--data FILE)"
        return merged(without_data(why), packed), 0, {}
    texts = merged(of_texts(train, test), packed)
    if isinstance(tokenizer, str):
        return merged(without_data(tokenizer), texts), 0, {}
    try:
        encoded, why = encode_rows(train, tokenizer)
    except ModelError as error:
        encoded, why = [], error.what
    if not encoded:
        return merged(without_data(f"no row can be turned into tokens: {why}"), texts), 0, {}
    tokens = of_tokens(encoded, len(train.rows), tokenizer, trainer)
    return without_free_text(merged(texts, tokens)), len(encoded), {train.file: why} if why else {}


def _rows(path: Path | None, option: str) -> TrainingRows | None:
    if path is None:
        return None
    if not path.exists():
        raise TaskError("there is no such file of rows", where=option, got=str(path),
                        fix="name the file that the run learnt from", kept=KEPT)  # fmt: skip
    return read_training_rows(path, option)


def _base(path: Path | None) -> Path | None:
    if path is not None and not any(path.glob("*.safetensors")):
        raise TaskError("the base's folder holds no safetensors", where="--base", got=str(path),
                        fix="name the folder with the base's weights", kept=KEPT)  # fmt: skip
    return path


def _refuse_foreign(
    run: RunFolder, logged: bool, adapted: bool, tokenizer: FolderTokenizer | str
) -> None:
    """Raise TaskError for a folder in which nothing of a training run can be read."""
    if logged or adapted or not isinstance(tokenizer, str):
        return
    pickles = run.named("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
    got = ", ".join(run.files[:SHOWN_ROWS]) + (", …" if len(run.files) > SHOWN_ROWS else "")
    fix = "name the output_dir of the trainer: it holds trainer_state.json, often in checkpoint-N"
    if pickles:
        fix += ". Pickles (.bin, .pt, .pth, .ckpt) are never opened: they can run code"
    raise TaskError("nothing in this folder is a training run's", where="--run", got=got, fix=fix,
                    kept=KEPT)  # fmt: skip


def _info(rows: TrainingRows | None, encoded: int) -> DataInfo | None:
    if rows is None:
        return None
    bad = tuple(f"{fault.place()}: {fault.why}" for fault in rows.faults)
    return DataInfo(file=rows.file, form=rows.form, rows=len(rows.rows), bad_rows=rows.bad,
                    bad=bad, encoded=encoded)  # fmt: skip


def _links(run: RunFolder) -> dict[str, str]:
    links = dict.fromkeys(run.links[:SHOWN_ROWS], "a link, which is not followed")
    return links | ({"…": "more files than are looked at"} if run.more else {})
