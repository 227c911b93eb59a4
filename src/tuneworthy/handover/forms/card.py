"""Write the decision card: README.md with the hub's metadata, the scores, limits and expiry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuneworthy.handover.forms._parts import Parts
from tuneworthy.metrics import metric_name
from tuneworthy.records.artefact import Artefact
from tuneworthy.records.build_report import FormParity
from tuneworthy.records.counting import count_noun
from tuneworthy.records.evidence import Interval

FORM, NEEDED = "card", False
_CARD_FILE = "README.md"
_LIBRARIES = {True: "peft", False: "transformers"}
_PIPELINES = {"label": "text-classification"}


def applies(artefact: Artefact) -> str:  # noqa: ARG001
    """Return "": every artefact has a card, so nothing speaks against it."""
    return ""


def write(parts: Parts, draft: Path) -> tuple[str, ...]:
    """Write the card; return a note if the licence of the base is not known."""
    text = "\n".join([*_front_matter_lines(parts), *_body_lines(parts)]) + "\n"
    (draft / _CARD_FILE).write_text(text, "utf-8", errors="backslashreplace")
    known = parts.licence or not parts.artefact.pack.role
    return () if known else ("the base's licence is not known here: fill it in before you publish",)


def _front_matter_lines(parts: Parts) -> Iterator[str]:
    """Yield the lines of the YAML front matter, its values in JSON, which YAML includes."""
    pack, kind = parts.artefact.pack, parts.artefact.model.partition(":")
    plain = "transformers" if pack.encoder else "sklearn"
    library = _LIBRARIES[pack.adapter] if pack.role else plain
    kind_of_tuning = ["lora"] if pack.adapter else ["full"] if pack.weights else []
    told: dict[str, Any] = {
        "license": parts.licence or "other",
        "library_name": library,
        "pipeline_tag": _PIPELINES.get(str(parts.task.output.type), "text-generation"),
        "tags": ["tuneworthy", parts.artefact.tool, *kind_of_tuning],
    }
    if kind[0] == "hf" and not kind[2].startswith((".", "/", "~")):
        told["base_model"] = kind[2].partition("@")[0]
    if (score := parts.result.score) is not None:
        told["model-index"] = [_model_index(parts, score)]
    yield "---"
    yield from (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in told.items())
    yield "---"


def _model_index(parts: Parts, score: Interval) -> dict[str, Any]:
    metric = {"type": _metric_label(parts), "value": round(score.mean, 4),
              "name": f"{_metric_label(parts)}, n={parts.result.n}, "
              f"95 % {score.low:.3f} to {score.high:.3f}"}  # fmt: skip
    dataset = {"type": "private", "name": parts.task.name, "revision": parts.data_hash[:16]}
    return {
        "name": parts.artefact.name,
        "results": [{"task": {"type": _PIPELINES.get(str(parts.task.output.type),
                                                     "text-generation")},
                     "dataset": dataset, "metrics": [metric]}],
    }  # fmt: skip


def _body_lines(parts: Parts) -> Iterator[str]:
    artefact, verdict, result = parts.artefact, parts.verdict, parts.result
    yield f"# {artefact.name}-{artefact.id}"
    yield ""
    yield f"{_kind_sentence(parts)} Built by {artefact.made_by} from the task `{parts.task.name}`."
    yield ""
    yield "## Decision"
    yield ""
    yield f"- Verdict: {verdict.__rich__()}. {verdict.because}"
    if artefact.arm != verdict.arm:
        yield f"- This is not the arm that the verdict names: `{artefact.arm}` was asked for."
    if result.score is not None:
        score = result.score
        yield (f"- Score of `{artefact.arm}`: {score.mean:.3f} (95 %: {score.low:.3f} to"
               f" {score.high:.3f}, n = {result.n}, metric `{_metric_label(parts)}`).")  # fmt: skip
    if result.fits:
        yield (
            f"- The score is that of {count_noun(result.fits, 'fit')} on {result.rows_learnt};"
            f" this one learnt from {parts.rows or 'no'} rows, and no rows were left to score it."
        )
    yield f"- Margin {parts.task.success.margin:g}; evidence `{artefact.evidence[:16]}`."
    yield ""
    yield "## Data and licences"
    yield ""
    learnt = parts.rows or "none"
    yield f"- Rows: `{parts.data_hash[:16]}` (SHA-256 of the rows), {learnt} learnt from."
    if shown := len(artefact.pack.examples):
        yield f"- The artefact holds {shown} of these rows as examples, in clear text."
    if artefact.model:
        weights = artefact.fingerprint.get("weights")
        known = f", weights `{weights[:16]}` (SHA-256)" if weights else ""
        yield f"- Base: `{artefact.model}`{known}."
        yield f"- Licence of the base: {parts.licence or 'not known here; see its own card'}."
    yield ""
    yield from _parity_table(parts.parity)
    yield "## Limits"
    yield ""
    for name, state in sorted(result.limits.items()):
        yield f"- {name}: {state}."
    yield f"- Expires: {_expiry_text(parts)}."
    yield "- Measured on the rows named above; for other inputs nothing was measured."


def _expiry_text(parts: Parts) -> str:
    day, expiry = parts.artefact.expires or "no date is known", parts.expiry
    return f"{day} ({expiry.because})" if expiry else day


def _kind_sentence(parts: Parts) -> str:
    pack, name = parts.artefact.pack, parts.artefact.model
    if pack.encoder:
        origin = parts.artefact.fingerprint["tuned_from"]
        return f"The text encoder `{origin}`, tuned, with a linear head."
    if not pack.role:
        return "A scikit-learn classifier."
    if pack.weights:
        return f"All weights of `{name}`, trained."
    part = f" that keeps one of {pack.every} layers" if pack.every > 1 else ""
    return f"A LoRA adapter on `{name}`{part}." if pack.adapter else f"A prompt for `{name}`."


def _parity_table(parity: Any) -> Iterator[str]:
    if not parity:
        return
    yield "## Exported forms, asked again"
    yield ""
    yield "| form | engine | same answers | score difference (95 %) | nats a token apart |"
    yield "|---|---|---|---|---|"
    yield from map(_parity_row, parity)
    yield ""


def _parity_row(one: FormParity) -> str:
    if not one.asked:
        return f"| {one.form} | - | not measured: {one.because} | | |"
    if one.difference is None:
        return f"| {one.form} | {one.engine} | {one.equal} of {one.asked} prompts | | |"
    bound = one.difference
    gap = "not measured" if one.distance is None else f"{one.distance.exported:.2g}"
    return (f"| {one.form} | {one.engine} | {one.equal} of {one.asked} | {bound.mean:+.3f}"
            f" ({bound.low:+.3f} to {bound.high:+.3f}) | {gap} |")  # fmt: skip


def _metric_label(parts: Parts) -> str:
    return metric_name(parts.task)
