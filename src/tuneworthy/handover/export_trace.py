"""Trace an export back to the tuned model, step by step: which step changed the answers.

For `tuneworthy compare --export adapter=FOLDER gguf=FILE`. Files are read first; rows are asked
last, of the tuned model in its own engine and of the export in the one that will serve it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.flows.comparing import CompareOptions, loaded_gold
from tuneworthy.handover.compared_systems import base_of_adapter
from tuneworthy.handover.named_systems import SystemName
from tuneworthy.handover.parity import Engine, ReferenceAnswers, compare_form
from tuneworthy.metrics import scorer
from tuneworthy.models import open_model, weights_folder
from tuneworthy.models.local.chat_template import TEMPLATE_FILE, Refused, one_template, rendered
from tuneworthy.models.local.exported_weights import ExportedModel, read_exported
from tuneworthy.models.local.weight_steps import change_of, weight_steps
from tuneworthy.models.train.merge import adapter_matrices
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.build_report import ExportStep, ExportTrace, FormParity
from tuneworthy.records.case import Case
from tuneworthy.records.errors import ModelError, TaskError
from tuneworthy.records.model import Limits, limits_for
from tuneworthy.records.tokens import TokenLogProbs

_step = ExportStep.of
_TURNS = (("user", "Is the parcel 4711 on its way?"), ("assistant", "Yes, it is."))
_CONVERSATIONS = (
    _TURNS[:1], (("system", "Answer in one word."), *_TURNS[:1]), (*_TURNS, ("user", "And now?")),
)  # fmt: skip


def trace_files(
    source: SystemName, export: SystemName, gold: Path | None, options: CompareOptions,
    model: str | None,
) -> ExportTrace:  # fmt: skip
    """Return the steps from an adapter's folder to an export, on the rows of `gold` if given.

    The base is `model`, else the one that the adapter names. Raises TaskError for another kind of
    source or export.
    """
    for system, kinds in ((source, ("adapter",)), (export, ("model", "gguf"))):
        if system.kind not in kinds or not system.path.exists():
            wanted = "an adapter's folder" if kinds == ("adapter",) else "a model folder or .gguf"
            raise TaskError(
                f"--export takes {wanted} here", where="command line", got=system.ref,
                fix="tuneworthy compare --export ADAPTER EXPORT", kept="everything",
            )  # fmt: skip
    base = base_of_adapter(source, model)
    if gold is None:
        return trace_export(source.path, export.path, base, (), _no_score, Limits(max_tokens=1), 0)
    loaded = loaded_gold(gold, options)
    limits = limits_for(loaded.task, loaded.task.output.token_limit)
    margin = loaded.task.success.margin
    score = scorer(loaded.task)
    return trace_export(source.path, export.path, base, loaded.cases, score, limits, margin)


def _no_score(case: Case, answer: Answer) -> Unscored:  # noqa: ARG001
    return Unscored(reason="no rows were asked")


def trace_export(
    source: Path,
    export: Path,
    base: str,
    cases: Sequence[Case],
    score: Callable[[Case, Answer], Score | Unscored],
    limits: Limits,
    margin: float,
) -> ExportTrace:
    """Return the steps from the adapter in `source`, on the model `base`, to the folder or file.

    `cases` are asked of both at the end; none are asked if there are none. Raises ModelError for a
    base or an export that can't be read.
    """
    model: Any = open_model(base, folder=Path())
    told = str(source), str(export)
    try:
        tuned = model.with_adapter(source)
    except ModelError as error:
        step = ExportStep(
            name="adapter", sound=False, text=f"{error.what}: {error.got}".rstrip(": ")
        )
        return ExportTrace(source=told[0], export=told[1], steps=(step,))
    made, folder = read_exported(export), weights_folder(base, Path())
    assert folder is not None  # a model that takes an adapter here is local
    matrices = adapter_matrices(source, tuned.adapter.changes)
    delta = change_of(matrices, tuned.adapter.gains)
    steps = [
        *weight_steps(read_exported(folder), delta, matrices.keys(), made),
        _template_step(tuned, source, made),
        _stop_step(tuned, made),
    ]
    if not cases:
        text = "no rows were asked: name them with --gold"
        steps.append(_step("answers", None, text))
        return ExportTrace(source=told[0], export=told[1], steps=tuple(steps))
    engine = _engine_of(made, tuned, cases, limits)
    if isinstance(engine, str):
        steps.append(_step("answers", None, engine))
        return ExportTrace(source=told[0], export=told[1], steps=tuple(steps))
    parity = _asked(tuned, model, engine, made, cases, score, limits)
    steps.append(_answer_step(parity, margin))
    return ExportTrace(source=told[0], export=told[1], steps=tuple(steps), asked=parity.asked,
                       equal=parity.equal)  # fmt: skip


def _template_step(tuned: Any, source: Path, made: ExportedModel) -> ExportStep:
    own = source / TEMPLATE_FILE
    wanted = own.read_text("utf-8") if own.is_file() else one_template(tuned.tokenizer)
    if not made.template:
        return _step("template", False, "the export has no chat template: an engine puts its own")
    if made.template == wanted:
        return _step("template", True, "the chat template is the same text")
    specials = tuned.tokenizer.special_tokens_map
    for turns in _CONVERSATIONS:
        one, other = (_text(template, specials, turns) for template in (wanted, made.template))
        if one != other:
            roles = ", ".join(role for role, _ in turns)
            text = f"the chat template writes a conversation ({roles}) in another way"
            return _step("template", False, text)
    return _step("template", True, "the chat template writes conversations the same way")


def _text(template: str, specials: Any, turns: Sequence[tuple[str, str]]) -> str | None:
    try:
        return rendered(template, specials, turns, True)
    except Refused:
        return None


def _stop_step(tuned: Any, made: ExportedModel) -> ExportStep:
    wanted = tuned.ends[0]
    name = tuned.tokenizer.decode([wanted])
    if wanted in made.ends:
        return _step("stop token", True, f"answers end with {name}, in both")
    ends = ", ".join(tuned.tokenizer.decode([end]) for end in made.ends) or "none"
    return _step("stop token", False, f"answers end with {name}, and the export stops at: {ends}")


def _engine_of(
    made: ExportedModel, tuned: Any, cases: Sequence[Case], limits: Limits
) -> Engine | str:
    """Return the engine that serves the export, or a text: why there is none."""
    if made.reader is None:
        from tuneworthy.models.local.exported import PlainEngine

        return PlainEngine(made.path)
    from tuneworthy.models.local.llama_cpp import LlamaCpp, missing

    if why := missing():
        return why
    room = max(tuned.count_tokens(case.messages) for case in cases) + limits.max_tokens
    return LlamaCpp(made.path, room)


def _asked(
    tuned: Any, model: Any, engine: Engine, made: ExportedModel, cases: Sequence[Case],
    score: Callable[[Case, Answer], Score | Unscored], limits: Limits,
) -> FormParity:  # fmt: skip
    """Return how the export answers the cases beside the tuned model; no drop in score fails it."""
    prompts = [case.messages for case in cases]
    replies = tuned.reply(prompts, limits)
    answers = [
        Answer(case=case.id, text=reply.text, prompt=tuple(prompt), error=reply.error,
               finish="error" if reply.error else reply.finish)
        for case, prompt, reply in zip(cases, prompts, replies, strict=True)
    ]  # fmt: skip

    def logs(of: Any) -> Callable[..., TokenLogProbs]:
        from tuneworthy.models.local.score import token_logprobs

        return lambda prompts, texts: token_logprobs(of, prompts, texts)

    reference = ReferenceAnswers(
        cases, answers, score, math.inf, limits.max_tokens,
        [tuned.count_tokens(prompt) for prompt in prompts], logs(tuned), logs(model),
    )  # fmt: skip
    return compare_form(made.path.name, engine, reference, exact=False)


def _answer_step(parity: FormParity, margin: float) -> ExportStep:
    """Return the last step: faulty where the score drops beyond the margin, and not by chance.

    A drop that a few rows could have by chance (the bound holds 0) accuses no export.
    """
    text = f"{parity.equal:,} of {parity.asked:,} answers are the same text in {parity.engine}"
    assert parity.difference is not None  # cases were asked
    low, high = parity.difference.low, parity.difference.high
    text += f"; the score differs by {100 * low:+.1f} to {100 * high:+.1f} points"
    if (distance := parity.distance) is not None:
        text += (f"; log-probabilities differ by {distance.exported:.2g} nats a token, and by"
                 f" {distance.floor:.2g} when the tuned model is asked twice")  # fmt: skip
    if parity.failed:
        return _step("answers", False, f"{text}: {parity.failed[0]}")
    if parity.difference.mean < -margin and high < 0:
        return _step("answers", False, f"{text}: it drops by more than {100 * margin:g}")
    if low < -margin:
        text += f": more rows are needed to exclude a drop by {100 * margin:g} points"
        return _step("answers", None, text)
    return _step("answers", True, text)
