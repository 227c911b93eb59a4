"""Five kinds of fine-tuning on the same rows: what each changes in weights, outputs and answers.

The untrained model stands first. All kinds train the embedded model on the same 64 tickets, with
the loop of the arms. One record holds every figure; the page only writes it down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from tuneworthy.lab.cases import case_of
from tuneworthy.lab.encode import encode_rows
from tuneworthy.lab.events import SCHEMA, Event, write_record
from tuneworthy.lab.experiment import Experiment
from tuneworthy.lab.pages import Site, render
from tuneworthy.lab.recordings import PACKAGE_RECORDS, shipped_record
from tuneworthy.records.failure import Config

RECORD_FILE = PACKAGE_RECORDS / "kinds.json.gz"
_CASE = "worse-at-the-rest"  # it measures general questions before and after
_SEED = 0
_SHOWN = 3  # answers to tickets, and to general questions, that the page shows
_LEAST_SHARE = 0.02  # part of the tallest bar that is drawn for any change


@dataclass(frozen=True)
class _Kind:
    """A kind of tuning: its name on the page, what it turns, and whether it shuffles labels."""

    name: str
    about: str
    turns: Config
    shuffled: bool = False


KINDS = (
    _Kind("LoRA", "an adapter of rank 16 on every matrix, 3 epochs", {}),
    _Kind("Full", "all weights, 3 epochs, a tenth of the rate", {"method": "full", "rate": 1e-4}),
    _Kind("Low rank", "an adapter of rank 1, 3 epochs", {"rank": 1}),
    _Kind("Many epochs", "an adapter of rank 16, 12 epochs", {"epochs": 12}),
    _Kind("Shuffled labels", "an adapter of rank 16, each ticket with another's answer", {}, True),
)


_UNTRAINED = _Kind("Untrained", "the model before any training", {})


class _Tuning(Experiment):
    """A run of a kind, which also measures its weights and outputs after the last step."""

    def __init__(self, kind: _Kind, model: Any) -> None:
        """Draw the rows of the kind."""
        case = case_of(_CASE)
        config = {**case.config("twin"), "replay": 0.0, **kind.turns}
        super().__init__(case, config, _SEED, model)
        self.found: dict[str, Any] = {}
        if kind.shuffled:
            outputs = [row.output for row in self.rows.train]
            Random(f"labels {_SEED}").shuffle(outputs)
            rows = [replace(row, output=output)
                    for row, output in zip(self.rows.train, outputs, strict=True)]  # fmt: skip
            self.rows = replace(self.rows, train=tuple(rows))
            self.encoded = encode_rows(model.tokenizer, rows, config)

    def _measure(self, look: Any) -> None:
        super()._measure(look)
        if look.step != self.total:
            return
        from tuneworthy.models.train.changes import (
            answered_row,
            representation_shifts,
            weight_changes,
        )

        tuned, general = look.tuned(self.folder / "last"), self.probes["general"]
        about = {
            name: representation_shifts(
                self.model, tuned,
                [answered_row(self.model, row.messages, row.output, True) for row in rows],
            )
            for name, rows in (("tickets", self.rows.new[:16]), ("general", general))
        }  # fmt: skip
        weights = weight_changes(self.model, tuned)
        layers = [weights.get(str(n), {}).get("ratio") for n in range(len(about["tickets"]))]
        self.found = {"weights": layers, "outputs": about, "answers": self._said(tuned)}

    def untrained(self) -> dict[str, Any]:
        """Return the same figures of the model before training, without training it."""
        from tuneworthy.models.train.changes import answered_row, representation_shifts

        answers = self._ask(self.model, self.rows.new)
        replies = [answer.text for answer, _ in self._ask(self.model, self.probes["general"])]
        row = answered_row(self.model, self.rows.new[0].messages, self.rows.new[0].output, True)
        none = representation_shifts(self.model, self.model, [row])  # no layer moved
        return {
            "score": fmean(value for _, value in answers), "answers": self._said(self.model),
            "parameters": 0, "steps": 0, "general_loss_rise": 0.0,
            "general_json": fmean(text.lstrip().startswith("{") for text in replies),
            "seconds": 0.0, "weights": none, "outputs": {"tickets": none, "general": none},
        }  # fmt: skip

    def _said(self, tuned: Any) -> list[dict[str, Any]]:
        asked = (*self.rows.new[:_SHOWN], *self.probes["general"][:_SHOWN])
        said = [*self._ask(tuned, asked[:_SHOWN]), *self._ask(tuned, asked[_SHOWN:])]
        return [
            {"input": row.input, "gold": row.output, "text": answer.text,
             "ended": answer.finish == "stop"}
            for row, (answer, _) in zip(asked, said, strict=True)
        ]  # fmt: skip


def record_kinds(
    model: Any, folder: Path, path: Path = RECORD_FILE, say: Callable[[str], None] = print
) -> Path:
    """Train all kinds and write the shipped record; return its path.

    `folder` holds each run's files while it trains.
    """
    found: list[Event] = [{"kind": "begin", "schema": SCHEMA, "model": model.spec, "seed": _SEED}]
    before = _Tuning(_UNTRAINED, model).untrained()
    found.append({"kind": "tuning", "name": _UNTRAINED.name, "about": _UNTRAINED.about, **before})
    for kind in KINDS:
        run, ends = _Tuning(kind, model), list[Event]()
        facts = run.run(ends.append, folder / "kind", "own")
        told = {
            "score": facts.score, "answers": facts.answers, "parameters": facts.parameters,
            "steps": facts.steps, "general_loss_rise": facts.other.get("general_loss_rise"),
            "general_json": facts.other.get("general_json"), "seconds": ends[-1]["seconds"],
        }  # fmt: skip
        found.append({"kind": "tuning", "name": kind.name, "about": kind.about, **told,
                      **run.found})  # fmt: skip
        say(f"{kind.name}: {told}")
    return write_record([_rounded(event) for event in found], path)


def _rounded(value: Any) -> Any:
    """Return a record with every number to four digits, so that the file stays small."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


_ROWS = (
    ("weights", "Weights", "how far a layer's weights moved, as a share of their size"),
    ("tickets", "Outputs on tickets", "how far a layer's output moved on 16 new tickets"),
    ("general", "Outputs on other text", "the same on 16 everyday questions"),
)


def kinds_page(site: Site = Site()) -> str:
    """Return the page that shows what each kind of tuning changed; all bars of a row share a scale.

    Without a record the page says how to make one.
    """
    record = shipped_record("kinds", "kinds")
    return render("kinds.html.j2", site, here="What training changes", scripts=(), data=(), keys=(),
                  shown=_page_data(record) if record else None)  # fmt: skip


def _page_data(record: Mapping[str, Any]) -> dict[str, Any]:
    kinds: list[dict[str, Any]] = record["kinds"]
    figures = {key: [_layer_values(kind, key) for kind in kinds] for key, _, _ in _ROWS}
    charts = []
    for key, title, about in _ROWS:
        top = max(max(values, default=0.0) for values in figures[key]) or 1.0
        bars = [[max(_LEAST_SHARE, value / top) if value else 0.0 for value in values]
                for values in figures[key]]  # fmt: skip
        means = [fmean(values) if values else None for values in figures[key]]
        charts.append({"title": title, "about": about, "top": top, "bars": bars, "means": means})
    asked = [
        {"input": one["input"], "gold": one["gold"],
         "said": [kind["answers"][at] for kind in kinds]}
        for at, one in enumerate(kinds[0]["answers"])
    ]  # fmt: skip
    moved: Any = charts[0]["means"]
    named = {kind["name"]: {"score": kind["score"], "moved": moved[at]}
             for at, kind in enumerate(kinds)}  # fmt: skip
    return {"model": record["model"], "kinds": kinds, "charts": charts, "asked": asked,
            "named": named}  # fmt: skip


def _layer_values(kind: Mapping[str, Any], key: str) -> list[float]:
    values = kind["weights"] if key == "weights" else kind["outputs"][key]
    return [value or 0.0 for value in values]
