"""Report what fine-tuning changed in one arm's model: weights, divergence, example answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneworthy.matrix.ladder import best_artefact_run
from tuneworthy.measure.answering import Runner
from tuneworthy.measure.further.tuned_model import TunedPair, divergence, open_tuned, score_value
from tuneworthy.records.answer import Answer
from tuneworthy.records.errors import NumericError
from tuneworthy.records.further import BeforeAfter, LayerChange, ModelChanges, RobustnessResult
from tuneworthy.records.run import Run

SHOWN_CHANGES, SHOWN_LENGTH = 3, 400


def training_changes(
    runner: Runner, runs: Sequence[Run], arm: str, shakes: Sequence[RobustnessResult] = ()
) -> ModelChanges | None:
    """Return what training changed in this arm's model; None if it saved no weights.

    `shakes` are the robustness results of all arms; this arm's at other temperatures are kept.
    """
    run = best_artefact_run(runs, arm)
    if run is None:
        return None
    temperatures = tuple(s for s in shakes if s.arm == arm and s.how == "temperature")
    fields: dict[str, Any] = {
        "arm": arm,
        "seed": run.seed,
        "fold": run.fold,
        "temperatures": temperatures,
    }
    opened = open_tuned(runner, run)
    if isinstance(opened, str):
        missing = dict.fromkeys(("ratio", "kl_on", "kl_off", "examples"), opened)
        return ModelChanges(**fields, missing=missing)
    weights, missing = opened.weights(), dict[str, str]()
    fields |= {
        "ratio": round(weights["layers"]["all"]["ratio"], 6),
        "layers": _layer_changes(weights),
    }
    fields |= _divergence_fields(opened, missing) | _example_fields(opened)
    if not temperatures:
        missing["temperatures"] = "it was not asked at other temperatures"
    return ModelChanges(**fields, missing=missing)


def _divergence_fields(tuned: TunedPair, missing: dict[str, str]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, compute in (("on", tuned.on_task), ("off", tuned.general)):
        try:
            rows = compute()
        except NumericError as error:
            missing[f"kl_{name}"] = str(error)
            continue
        if rows:
            figures |= {f"kl_{name}": divergence(rows), f"n_{name}": len(rows)}
        else:
            missing[f"kl_{name}"] = "no text could be read"
    return figures


def _layer_changes(weights: Mapping[str, Any]) -> tuple[LayerChange, ...]:
    by_layer = {name: figures for name, figures in weights["layers"].items() if name != "all"}
    order = sorted(
        by_layer, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0)
    )
    return tuple(
        LayerChange(
            layer=name,
            ratio=round(by_layer[name]["ratio"], 6),
            rank=by_layer[name]["rank"],
            effective_rank=_rounded(by_layer[name]["effective_rank"]),
            shift_on=_shift_of_layer(weights["on"], name),
            shift_off=_shift_of_layer(weights["off"], name),
        )
        for name in order
    )


def _shift_of_layer(shifts: Sequence[float], name: str) -> float | None:
    return _rounded(shifts[int(name)]) if name.isdigit() and int(name) < len(shifts) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _example_fields(tuned: TunedPair) -> dict[str, Any]:
    """Return {"examples": up to 3 answers before and after, "asked": count, "differ": count}.

    Examples are the first answers that differ, in seeded order. `differ` counts those of all
    `asked`.
    """
    rows, gold = tuned.asked_again(), tuned.runner.sealed.open("changes")
    differ = [r for r in rows if r["before"].strip() != tuned.answers[r["case"]].text.strip()]
    shown = [*differ, *(row for row in rows if row not in differ)][:SHOWN_CHANGES]
    return {
        "examples": tuple(_before_and_after(tuned, gold, row) for row in shown),
        "asked": len(rows),
        "differ": len(differ),
    }


def _before_and_after(
    tuned: TunedPair, gold: Mapping[str, Any], row: Mapping[str, Any]
) -> BeforeAfter:
    after = tuned.answers[row["case"]]
    before = Answer(case=row["case"], text=row["before"], finish=row["finish"])
    return BeforeAfter(
        case=after.case,
        before=_shortened(before.text),
        after=_shortened(after.text),
        score_before=score_value(tuned.runner, gold, before),
        score_after=score_value(tuned.runner, gold, after),
    )


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"
