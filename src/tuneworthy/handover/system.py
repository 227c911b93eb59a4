"""Open an artefact folder as a System: it answers as the evaluated arm did."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tuneworthy.arms._pack import OpenedPack, open_pack
from tuneworthy.handover.artefact_folder import (
    ADAPTER_FOLDER,
    CLASSIFIER_FILE,
    DOCS_FILE,
    ENCODER_FOLDER,
    WEIGHTS_FOLDER,
    find_artefact,
    read_artefact,
)
from tuneworthy.models import open_model
from tuneworthy.models._roles import placement, request_fields
from tuneworthy.models.encoder import encoder
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.records.answer import Answer, Unscored
from tuneworthy.records.arm import Setup
from tuneworthy.records.artefact import Artefact, System
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import ModelError, NotInstalled, SecurityError
from tuneworthy.records.model import Limits, Model, Prompt
from tuneworthy.records.task import Data, Task, without_left_keys
from tuneworthy.rows.docs import Doc

_SAME_KEYS = (
    "weights", "tokenizer", "template", "thinking", "script", "version", "endpoint", "model",
)  # fmt: skip

"""The entries of a fingerprint that identify the model; the others describe where it ran."""


@dataclass
class _DeployedSystem:
    """An opened artefact; implements records.artefact.System."""

    artefact: Artefact
    model: Model | None
    limits: Limits | None
    pack: OpenedPack

    def answer(self, queries: Sequence[Query]) -> list[Answer]:
        """Return one answer per query, in order."""
        return self.pack.answer(queries) if queries else []

    def prompts(self, queries: Sequence[Query]) -> list[Prompt] | None:
        """Return one prompt per query, in order; None for a system without a model."""
        return self.pack.prompts(queries) if self.pack.prompts else None


def open_artefact(path: Path, home: Path | None = None, base: Model | None = None) -> System:
    """Return the opened system of an artefact folder, or of a build folder's latest one.

    Relative model paths start at `home` (None: the folder two levels up, where task.yaml lies).
    `base` is the model without an adapter, if it is open already: versions share its weights.
    Raises TaskError if there is no artefact, ModelError for a changed or incomplete folder, another
    base, or an adapter of another base, SecurityError for files that would run code.
    """
    folder = find_artefact(path)
    artefact = read_artefact(folder)
    task = task_of(artefact, home or folder.resolve().parent.parent)
    classifier, models = None, dict[str, Model]()
    if artefact.pack.role:
        models[artefact.pack.role] = _open_answering_model(folder, artefact, task, base)
    if artefact.pack.classifies:
        classifier = _open_classifier(folder, artefact)
    setup = Setup(
        task=task,
        train=(),
        dev=(),
        models=models,
        score=lambda case, answer: Unscored(reason="a deployed arm scores nothing"),
        folder=folder,
        docs=read_built_docs(folder / DOCS_FILE) if artefact.pack.passages else (),
    )
    opened = open_pack(setup, artefact.pack, classifier)
    if not artefact.pack.role:
        _check_answers(opened, folder)
    return _DeployedSystem(artefact, opened.model, opened.limits, opened)


def _check_answers(opened: OpenedPack, folder: Path) -> None:
    """Raise ModelError for a classifier that opens and can't answer: each request would fail."""
    asked = Query(id="", messages=(Message(role="user", content="a"),))
    try:
        opened.answer([asked])
    except Exception as error:
        raise ModelError(
            "the classifier's file opens, and can't answer",
            where=str(folder),
            got=f"{type(error).__name__}: {error}",
            fix="build it again: `tuneworthy build`",
        ) from error


def deciding_settings(task: Task, role: str) -> dict[str, Any]:
    """Return the task's settings that decide a deployed arm's answers, as plain data."""
    kept = {"name", "instruction", "output", "thinking", "thinking_tokens", "seed"}
    fields = request_fields(task).get(role)
    return {
        **task.model_dump(mode="json", by_alias=True, include=kept),
        "success": {
            "metric": task.success.metric,
            "options": task.success.options,
            **({"costs": task.success.costs} if task.success.costs else {}),
        },
        **({"options": {"model": dict(fields)}} if fields else {}),
    }


def task_of(artefact: Artefact, home: Path) -> Task:
    """Return the task that an artefact stores, with paths relative to `home`."""
    return Task.model_validate({**without_left_keys(artefact.task), "data": Data().plain()}).at(
        home
    )


def read_built_docs(path: Path) -> tuple[Doc, ...]:
    """Return the documents in an artefact's docs.jsonl. Raises ModelError if it can't be read."""
    try:
        lines = path.read_text("utf-8").split("\n")  # a text may hold U+2028 or another line end
        return tuple(Doc.model_validate(json.loads(line)) for line in lines if line)
    except (OSError, ValueError) as error:
        raise ModelError(
            "the documents of the artefact can't be read",
            where=str(path),
            got=str(error),
            fix="build it again: `tuneworthy build`",
        ) from None


def open_base(artefact: Artefact, task: Task) -> Model:
    """Return the artefact's model without its adapter, in the precision it was evaluated in."""
    return open_model(
        artefact.model,
        folder=task.folder,
        requests=RequestOptions(request_fields(task).get("base", {})),
        place=placement(task).model_copy(
            update={"precision": artefact.fingerprint.get("precision", "auto")}
        ),
    )


def _open_answering_model(
    folder: Path, artefact: Artefact, task: Task, base: Model | None
) -> Model:
    model, pack = base or open_base(artefact, task), artefact.pack
    if pack.every > 1 and "layers" not in model.fingerprint:  # build gives the student's own base
        model = student_model(model, pack.every)
    built = dict(artefact.fingerprint)
    if pack.weights:  # the base is the model that these weights were trained from
        built["weights"] = built.get("tuned_from", "")
    differing = [
        f"{name} {str(model.fingerprint.get(name))[:12]}, built: {built[name][:12]}"
        for name in _SAME_KEYS
        if name in built and model.fingerprint.get(name) != built[name]
    ]
    if differing:
        raise ModelError(
            "the base is not the model that was evaluated",
            where=artefact.model,
            got="; ".join(differing),
            fix="install that very model again, or build anew on this one",
        )
    local: Any = model
    if pack.weights:
        return cast("Model", local.with_adapter(folder / WEIGHTS_FOLDER))
    return cast("Model", local.with_adapter(folder / ADAPTER_FOLDER)) if pack.adapter else model


def student_model(model: Model, every: int) -> Model:
    """Return a copy of a local model that keeps one of `every` layers (see models.local)."""
    from tuneworthy.models.local.layer_drop import without_layers

    return cast("Model", without_layers(model, every))


def _open_classifier(folder: Path, artefact: Artefact) -> Any:
    part = artefact.pack.classifies
    vectors = part is not None and part.vectors
    wanted = artefact.fingerprint.get("encoder")
    if vectors and (why := encoder.missing()):
        raise ModelError("the classifier reads sentence vectors, and the encoder is not here",
                         got=f"{wanted}: {why}", fix="tuneworthy models get minilm")  # fmt: skip
    if vectors and wanted != encoder.WEIGHTS:
        raise ModelError("the classifier was trained on the vectors of another encoder",
                         got=f"{wanted}, here {encoder.WEIGHTS}", fix="build it again")  # fmt: skip
    if part is not None and part.encoder:
        from tuneworthy.models.encoder.text_encoder import TunedEncoder

        return TunedEncoder.load(folder / ENCODER_FOLDER)
    return load_classifier(folder / CLASSIFIER_FILE)


_SCHEMA = "schema.json"

_MEMORY_ADDRESS = re.compile(r'("__id__": |"file": "|"_stop_words_id": \{[^{}]*"content": ")(\d+)')

_MOST_PARTS, _MOST_BYTES = 10_000, 2_000_000_000  # unpacked; a feature takes about 430 bytes

_TRUSTED_TYPES = frozenset({"scipy.sparse._csr.csr_matrix"})

"""The types in our pipelines that skops does not trust by itself."""


def save_classifier(classifier: Any, path: Path) -> None:
    """Write a fitted estimator to a skops file. Raises NotInstalled without skops.

    skops names parts by their place in memory; here they are numbered, so that the same estimator
    gives the same bytes.
    """
    whole = io.BytesIO(_import_skops().dumps(classifier))
    numbers: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return found[1] + numbers.setdefault(found[2], str(len(numbers)))

    with zipfile.ZipFile(whole) as made, zipfile.ZipFile(path, "w") as out:
        text = made.read(_SCHEMA).decode("utf-8")
        out.writestr(zipfile.ZipInfo(_SCHEMA), _MEMORY_ADDRESS.sub(numbered, text))
        members = (name for name in made.namelist() if name != _SCHEMA)
        names = {name: numbers[name.split(".")[0]] + Path(name).suffix for name in members}
        for name in sorted(names, key=lambda one: int(numbers[one.split(".")[0]])):
            out.writestr(zipfile.ZipInfo(names[name]), made.read(name))


def load_classifier(path: Path) -> Any:
    """Return the estimator of a skops file, after checking that every type in it is known.

    Raises SecurityError for a type that none of our classifiers has, ModelError for a damaged file,
    one that unpacks to more than a limit, or one that this version of scikit-learn can't read.
    """
    skops = _import_skops()
    try:
        _check_sizes(path)
        unknown = sorted(set(skops.get_untrusted_types(file=path)) - _TRUSTED_TYPES)
        if unknown:
            raise SecurityError(
                "the classifier's file holds types that we do not open",
                where=str(path),
                got=", ".join(unknown),
                fix="build it again from your rows; open no file that others made",
            )
        return skops.load(path, trusted=sorted(_TRUSTED_TYPES))
    except SecurityError:
        raise
    except Exception as error:  # a damaged file may make skops and numpy raise anything
        raise ModelError(
            "the classifier's file can't be opened",
            where=str(path),
            got=f"{type(error).__name__}: {error}",
            fix="build it again: `tuneworthy build`",
        ) from error


def _check_sizes(path: Path) -> None:
    """Raise ValueError for a file whose parts are too many, or too large unpacked."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    whole = sum(part.file_size for part in parts)
    if len(parts) > _MOST_PARTS or whole > _MOST_BYTES:
        raise ValueError(
            f"{len(parts):,} parts, {whole:,} bytes unpacked: more than a classifier's"
        )


def _import_skops() -> Any:
    try:
        import skops.io
    except ImportError as missing:
        raise NotInstalled(
            "a classifier's file needs the extra `build`",
            got=str(missing),
            fix="pip install 'tuneworthy[build]'",
        ) from None
    return skops.io
