"""Measure the harm of training: general text, tail cases, calibration, refusals, lost facts.

The comparison is with the base model, never with an earlier tune. Only general text has a hard
limit (`general_drop`); the rest is reported. Compare two arms at equal task score, since more
training raises both score and harm. Knows no arm by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuneworthy.explain.arm_slices import rare_word_cases
from tuneworthy.matrix.columns import columns_of, shared_cases
from tuneworthy.matrix.design import Design
from tuneworthy.matrix.ladder import best_artefact_run
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.measure.answering import Runner
from tuneworthy.measure.further.known_facts import ProbeSetup, lost_facts, probe_facts
from tuneworthy.measure.further.refusals import refusal_change
from tuneworthy.measure.further.tuned_model import (
    RESAMPLES,
    TunedPair,
    divergence,
    open_tuned,
    relative_rise,
    score_value,
)  # fmt: skip
from tuneworthy.metrics._scorer import ece
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case
from tuneworthy.records.errors import NumericError
from tuneworthy.records.further import KnowledgeProbe, SideEffects
from tuneworthy.records.interval import Interval
from tuneworthy.records.model import final_replies
from tuneworthy.records.run import Run

LEAST_CASES, LEAST_FACTS = 20, 10  # the fewest cases, and the fewest highly known facts
_FigureOrReason = Interval | str
"""A figure with its interval, or the reason why there is none."""


def measure_harm(
    runner: Runner, runs: Sequence[Run], arm: str, known: KnowledgeProbe | None = None
) -> SideEffects | None:
    """Return the harm of training this arm (calibration, refusals, facts); None without weights.

    Measured on the best run on dev. `known`: the facts that its base model knew; without it lost
    facts are not measured. Every figure is stored as a unit.
    """
    run = best_artefact_run(runs, arm)
    if run is None:
        return None
    opened = open_tuned(runner, run)
    extra: dict[str, Any] = {}
    figures: dict[str, _FigureOrReason] = {
        "tail": _tail_change(runner, runs, arm),
        **_refusal_changes(runner, runs, arm),
    }
    if isinstance(opened, str):
        figures |= dict.fromkeys(("general", "ece", "known", "kl_on", "kl_off"), opened)
    else:
        figures |= {"ece": _calibration_change(opened), "known": _lost_fact_share(opened, known)}
        extra |= _text_figures(opened, figures)
    values = {name: value for name, value in figures.items() if not isinstance(value, str)}
    missing = {name: why for name, why in figures.items() if isinstance(why, str)}
    return SideEffects(arm=arm, missing=missing, **values, **extra)


def _text_figures(tuned: TunedPair, figures: dict[str, _FigureOrReason]) -> dict[str, Any]:
    """Return fields on loss and divergence on texts; why one is missing goes into `figures`."""
    result: dict[str, Any] = {}
    try:
        general, own = tuned.general(), tuned.on_task()
    except NumericError as error:
        figures |= dict.fromkeys(("general", "kl_on", "kl_off"), str(error))
        return result
    if general:
        result |= {"general": relative_rise(general), "general_n": len(general)}
        result |= {"kl_off": divergence(general).mean}
    else:
        figures |= dict.fromkeys(("general", "kl_off"), "the base wrote nothing that could be read")
    if own:
        result |= {"kl_on": divergence(own).mean}
    else:
        figures["kl_on"] = "no answer with its prompt could be read again"
    return result


def _name_of_base_prompt(runs: Sequence[Run]) -> str | None:
    """Return the name of the simplest measured prompt arm (the untrained model), or None."""
    prompts = [r.spec for r in runs if r.spec.tool == "prompt" and r.state == "measured"]
    candidates = [spec for spec in prompts if spec.role == "candidate"]
    best = min(candidates, key=lambda spec: (spec.simplicity, spec.name), default=None)
    return best.name if best else None


def _tail_change(runner: Runner, runs: Sequence[Run], arm: str) -> _FigureOrReason:
    """Return the paired change in score on the quarter with the rarest words, or why not."""
    base = _name_of_base_prompt(runs)
    if base is None:
        return "no prompt of the base model was measured to compare with"
    matrix = Matrix.explaining(runner.task, runner.split, runs)
    gold = runner.sealed.open("harm")
    both = shared_cases([matrix.columns[name] for name in (arm, base)])
    shared = [gold[i] for i in both if i in gold]
    ids = rare_word_cases(shared, list(runner.learn_cases.values()))
    if len(ids) < LEAST_CASES:
        return f"{len(ids)} cases with rare words; {LEAST_CASES} are needed"
    return matrix.part(ids).difference(arm, base).interval


def _refusal_changes(runner: Runner, runs: Sequence[Run], arm: str) -> dict[str, _FigureOrReason]:
    base, names = _name_of_base_prompt(runs), ("refusals", "refusals_wanted")
    if runner.task.output.type != "text":
        why = "answers have a fixed form: a refusal is an invalid answer and counts there"
        return dict.fromkeys(names, why)
    if base is None:
        why = "no prompt of the base model was measured to compare with"
        return dict.fromkeys(names, why)
    cases = list(runner.sealed.open("harm").values())
    columns = columns_of(runs)
    before, after = (
        {i: answer for i, (answer, _) in columns[name].cells.items()} for name in (base, arm)
    )
    design = Design.of(runner.task, runner.split)
    return {
        name: refusal_change(cases, before, after, design, wanted=wanted)
        for name, wanted in zip(names, (False, True), strict=True)
    }


def _calibration_change(tuned: TunedPair) -> _FigureOrReason:
    """Return the change in expected calibration error from base to tuned model, or why not.

    Both score every label after the tuned arm's prompt; paired bootstrap interval over cases.
    """
    rows = tuned.confidences()
    if not rows:
        return "the answers are no labels whose probabilities can be scored"
    if len(rows) < LEAST_CASES:
        return f"{len(rows)} cases; {LEAST_CASES} are needed"
    gold = tuned.runner.sealed.open("harm")
    sides = []
    for side in ("before", "after"):
        sure = np.array([row[side][1] for row in rows])
        right = np.array(
            [_label_is_right(tuned.runner, gold, row["case"], row[side][0]) for row in rows]
        )
        sides.append((sure, right))
    return _ece_change(*sides)


def _label_is_right(runner: Runner, gold: Mapping[str, Case], case: str, label: str) -> float:
    value = score_value(runner, gold, Answer(case=case, text=label, finish="stop"))
    return float(value is not None and value >= runner.task.success.passes_from)


def _ece_change(before: tuple[Any, Any], after: tuple[Any, Any]) -> Interval:
    n = len(before[0])
    picked = np.random.default_rng(20_251).integers(0, n, (RESAMPLES // 4, n))

    def change(at: Any) -> float:
        sides = [ece(sure[at], right[at]) or 0.0 for sure, right in (before, after)]
        return sides[1] - sides[0]

    low, high = np.quantile([change(row) for row in picked], [0.025, 0.975])
    mean = change(np.arange(n))
    return _rounded_interval(mean, min(low, mean), max(high, mean))


def _lost_fact_share(tuned: TunedPair, known: KnowledgeProbe | None) -> _FigureOrReason:
    """Return the share of highly known facts that training lost, or why there is none.

    Training rows are left out. The prompts' examples are as before, so only the weights differ.
    """
    if known is None or not known.of:
        return (known.because if known else "") or "what the base knows was not asked"
    runner = tuned.runner
    training_rows = set(runner.split.parts[tuned.run.fold or 0].train)
    facts = [i for i, kind in known.of.items() if kind == "highly_known" and i not in training_rows]
    if len(facts) < LEAST_FACTS:
        few = f"{len(facts)} well known facts were not among its training rows"
        return f"{few}; {LEAST_FACTS} are needed"
    probed = {*known.of, *known.lost}
    gold = {**runner.learn_cases, **runner.sealed.open("harm")}
    setup = ProbeSetup(
        task=runner.task,
        model=tuned.model,
        metric=runner.metric,
        pass_at=runner.task.success.passes_from,
        train=[case for i, case in runner.learn_cases.items() if i not in probed],
        store=lambda key, make: runner.ledger.unit(key, "known", make, runner.study, final_replies),
        salt=runner.salt,
    )
    asked = [gold[i] for i in facts if i in gold]
    lost = lost_facts(known, probe_facts(setup, asked), Design.of_cases(asked))
    if lost.share is None:
        return lost.because
    return _rounded_interval(lost.share.share, lost.share.low, lost.share.high)


def _rounded_interval(mean: float, low: float, high: float) -> Interval:
    return Interval(mean=round(mean, 6), low=round(float(low), 6), high=round(float(high), 6))
