"""Run one case with one configuration: train, look, answer, measure, and send its events.

The training loop is that of the arms. Eight looks measure the run on the way, 40 new rows at its
end. Knows no page and no process.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from tuneworthy.arms.prompt.grammar import grammar
from tuneworthy.lab import facts
from tuneworthy.lab.cases import (
    ANSWER_TOKENS,
    ASKED_ROWS,
    HELD_ROWS,
    SHOWN_LOSS_ROWS,
    LabCase,
    scored_case,
)
from tuneworthy.lab.encode import EncodedRow, encode_rows, serving_template
from tuneworthy.lab.events import Emit, RunStopped, StepBatches
from tuneworthy.metrics import scorer
from tuneworthy.models.local.chat_template import prompt_ids
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.failure import DEFAULTS, Config, LabRow, RunFacts, Runs
from tuneworthy.records.model import Limits

_LOOK_COUNT = 8


def _look_steps(total: int) -> list[int]:
    """Return the steps after which a run is measured: 0, denser early, and the last."""
    shares = [0.0, 0.06, 0.125, 0.25, 0.4, 0.6, 0.8, 1.0][:_LOOK_COUNT]
    return sorted({round(share * total) for share in shares})


class Experiment:
    """One run: its rows as token ids, its settings, and its measurements so far."""

    def __init__(self, case: LabCase, config: Config, seed: int, model: Any) -> None:
        """Draw and encode the rows. Raises DataError if a row cannot be trained on."""
        self.case, self.config, self.seed = case, dict(config), seed
        self.model = model = _with_layers(model, config.get("layers"))
        self.task, self.rows = case.task(), case.rows(config, seed)
        own = getattr(case.module, "render", None)
        self.encoded = encode_rows(model.tokenizer, self.rows.train, config, own)
        clean = {**config, "pad_token": None, "max_length": None, "packing": False,
                 "loss": "answer"}  # fmt: skip
        self.held_examples = [
            row.example for row in encode_rows(model.tokenizer, self.rows.new, clean)
        ]
        self.scorer, self.grammar = scorer(self.task), self._grammar()
        self.limits = Limits(
            max_tokens=ANSWER_TOKENS,
            temperature=float(config["serve.temperature"] or 0),
            seed=seed,
            grammar=self.grammar if config["serve.schema"] else None,
        )  # fmt: skip
        probes = getattr(case.module, "probes", None)
        self.probes: dict[str, Sequence[LabRow]] = dict(self.rows.probes)
        self.probes |= probes(config, seed) if probes else {}
        self.probe_facts: dict[str, float | None] = {}
        self.looks: list[dict[str, Any]] = []
        self.steps: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = facts.row_facts(self.rows, self.encoded, model.tokenizer)
        self.facts["conflicts"] = facts.conflict_share(self.task, self.rows.train)

    def run(
        self,
        emit: Emit,
        folder: Path,
        role: str,
        twin: RunFacts | None = None,
        control: Callable[[], None] = lambda: None,
    ) -> RunFacts:
        """Train and measure; send begin, steps, looks and end; return the facts.

        The run writes to `folder`, which is removed at the end. `control` is called after each
        step: it may wait, and stops the run by raising RunStopped. A training that breaks off is
        a result, no error; other errors of a callback or the model are raised as they are.
        """
        from tuneworthy.models.train.watched import train_watched

        begun = time.perf_counter()
        total = int(self.config["epochs"] or 1) * math.ceil(
            len(self.encoded) / int(self.config["batch"] or 1)
        )
        batches = StepBatches(emit, total)
        self.emit, self.folder, self.batches, self.total = emit, folder, batches, total
        self.role, self.control = role, control
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        last: list[float] = []
        try:
            done = train_watched(
                self.model, [row.example for row in self.encoded], self.settings(),
                (self.seed, folder), _look_steps(total), (self._measure, self._add_step),
            )  # fmt: skip
            last = done.by_row[-1] if done.by_row else []
            state, because = "failed" if done.refused else "done", done.refused
        except RunStopped:
            state, because = "stopped", f"stopped at step {len(self.steps)}"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        batches.flush()
        result = self._run_facts(because if state == "failed" else None, self.steps, last)
        seconds = time.perf_counter() - begun
        emit(self.case.end_event(role, Runs(result, twin), state, because, seconds))
        return result

    def _add_step(self, step: dict[str, Any]) -> None:
        self.steps.append(step)
        self.batches.add(step)
        self.control()

    def settings(self) -> Any:
        """Return the training settings of the configuration."""
        from tuneworthy.models.train.full import FullSettings
        from tuneworthy.models.train.loop import TrainingSchedule
        from tuneworthy.models.train.lora import LoraSettings

        config: dict[str, Any] = self.config
        pace = TrainingSchedule(epochs=config["epochs"], batch=config["batch"], rate=config["rate"])
        weight = 1.0 if config["loss"] == "all" else 0.0
        if config["method"] == "full":
            return FullSettings(pace=pace, prompt_loss=weight)
        targets = config["targets"]
        return LoraSettings(
            pace=pace, prompt_loss=weight, rank=config["rank"], alpha=2 * config["rank"],
            targets=targets if targets == "all-linear" else tuple(targets.split()),
        )  # fmt: skip

    def _grammar(self) -> Any:
        return grammar(self.task, [row.output for row in self.rows.train])

    def _measure(self, look: Any) -> None:
        self.batches.flush()
        new_loss, p_end = look.mean_loss(self.held_examples[:HELD_ROWS])
        losses = look.token_losses([_ids_to_show(row) for row in self.encoded[:SHOWN_LOSS_ROWS]])
        final = look.step == self.total
        asked = self.rows.new if final else self.rows.new[:ASKED_ROWS]
        tuned = look.tuned(self.folder / f"look {look.step}")
        answers = self._ask(tuned, asked)
        about = self._answer_means(answers)
        if look.step == 0 or final:
            self._measure_probes(look, tuned, "" if final else "_before")
        if look.step == 0:
            self._send_begin(losses)
            self.facts["parameters"] = look.parameters
            self.batches.begun = time.perf_counter()  # the time left is estimated from steps
        if final:
            self.facts["change"] = look.change
            self._store_answer_facts(answers)
        shown = {"p_end": p_end, **about}
        self.looks.append({"step": look.step, "new_loss": new_loss, **shown})
        self.emit(
            {
                "kind": "look",
                "at": look.step,
                "held": _rounded(new_loss),
                "losses": [[_rounded(value) for value in row] for row in losses],
                "answers": [
                    {
                        "row": k,
                        "text": answer.text,
                        "ended": answer.finish == "stop",
                        "score": _rounded(value),
                    }
                    for k, (answer, value) in enumerate(answers[:ASKED_ROWS])
                ],
                "facts": {key: _rounded(value) for key, value in shown.items()},
            }
        )

    def _send_begin(self, losses: Sequence[Sequence[float]]) -> None:
        token = self.model.tokenizer.convert_ids_to_tokens
        rows = []
        for row, before in zip(self.encoded[:SHOWN_LOSS_ROWS], losses, strict=True):
            texts = [self.model.tokenizer.decode([token]) for token in _ids_to_show(row)]
            states = _token_states(row)
            values = [None, *before]
            rows.append(
                {"id": row.row.id,
                 "tokens": [[text, state, _rounded(value)] for text, state, value
                            in zip(texts, states, values, strict=True)]}
            )  # fmt: skip
        questions = [{"input": row.input, "gold": row.output} for row in self.rows.new[:ASKED_ROWS]]
        self.emit(
            self.case.begin_event(
                self.config, self.seed, self.role, steps=self.total,
                end=token(self.encoded[0].clean_row.ids[-1]), rows=rows, questions=questions,
            )
        )  # fmt: skip

    def _ask(self, tuned: Any, rows: Sequence[LabRow]) -> list[tuple[Answer, float]]:
        """Return the answers of the served model (adapter or base) to rows, with their scores."""
        served = tuned if self.config["serve.adapter"] else self.model
        with serving_template(served.tokenizer, str(self.config["serve.template"])):
            replies = served.reply([row.messages for row in rows], self.limits)
        answers = [
            Answer(case=row.id, text=reply.text, tokens_out=reply.tokens_out, finish=reply.finish)
            for row, reply in zip(rows, replies, strict=True)
        ]
        cases = [scored_case(row) for row in rows]
        scores = self.scorer.all(cases, answers)
        values = [score.value if isinstance(score, Score) else 0.0 for score in scores]
        self.validities = [score.valid if isinstance(score, Score) else False for score in scores]
        return list(zip(answers, values, strict=True))

    def _answer_means(self, answers: Sequence[tuple[Answer, float]]) -> dict[str, float | None]:
        known = [bool(valid) for valid in self.validities if valid is not None]
        return {
            "ended": fmean(answer.finish == "stop" for answer, _ in answers),
            "length": fmean(answer.tokens_out or 0 for answer, _ in answers),
            "score": fmean(value for _, value in answers),
            "valid": fmean(known) if known else None,  # metrics of free text know no validity
        }

    def _store_answer_facts(self, answers: Sequence[tuple[Answer, float]]) -> None:
        """Store the facts of the 40 final answers."""
        texts = [answer.text for answer, _ in answers]
        base = None
        if self.case.module.CHARTS and "same_as_base" in self.case.module.MEASURES:
            base = [answer.text for answer, _ in self._answers_of_base()]
        self.facts |= facts.answer_facts(self.rows, texts, base)
        self.facts |= {
            "answers": len(answers),
            "ended": sum(answer.finish == "stop" for answer, _ in answers),
            "same_prompt": fmean(self._has_same_prompt(row) for row in self.rows.new),
        }
        own = getattr(self.case.module, "facts", None)
        more = own(self.rows, texts, self.config) if own else {}
        self.facts["other"] = {**self.probe_facts, **more}

    def _measure_probes(self, look: Any, tuned: Any, when: str) -> None:
        """Add score and loss on the case's probes to `probe_facts`, under names with `when`."""
        own = getattr(self.case.module, "of_probe", None)
        for name, rows in self.probes.items():
            examples = [each.example for each in encode_rows(self.model.tokenizer, rows, DEFAULTS)]
            self.probe_facts[f"{name}_loss{when}"] = loss = look.mean_loss(examples)[0]
            before = self.probe_facts.get(f"{name}_loss_before")
            self.probe_facts[f"{name}_loss_rise"] = None if before is None else loss - before
            answers = self._ask(tuned, rows)
            self.probe_facts[f"{name}_score{when}"] = fmean(value for _, value in answers)
            more = own(name, rows, [answer.text for answer, _ in answers]) if own else {}
            self.probe_facts |= {f"{key}{when}": value for key, value in more.items()}

    def _answers_of_base(self) -> list[tuple[Answer, float]]:
        valid = self.validities
        answers = self._ask(self.model, self.rows.new)
        self.validities = valid
        return answers

    def _has_same_prompt(self, row: LabRow) -> bool:
        tokenizer = self.model.tokenizer
        trained = prompt_ids(tokenizer, row.messages)
        with serving_template(tokenizer, str(self.config["serve.template"])):
            return prompt_ids(tokenizer, row.messages) == trained

    def _run_facts(
        self, refused: str | None, steps: Sequence[dict[str, Any]], last: Sequence[float]
    ) -> RunFacts:
        curve, final = [look["new_loss"] for look in self.looks], self.looks[-1:]
        measured: dict[str, Any] = {"refused": refused, **facts.step_facts(steps, last)}
        if curve:
            measured |= {"new_loss_first": curve[0], "new_loss_last": curve[-1],
                         "new_loss_least": min(curve)}  # fmt: skip
        if final and final[0]["step"] == self.total:
            keys = ("p_end", "score", "valid", "length")
            measured |= {key: final[0][key] for key in keys}
        finite = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in {**self.facts, **measured}.items()
        }
        return RunFacts(**finite)


def _with_layers(model: Any, layers: Any) -> Any:
    """Return the model with about so many of its layers, evenly spaced; None: with all of them."""
    from tuneworthy.models.local.layer_drop import without_layers

    count = model.module.config.num_hidden_layers if layers else 0
    every = round(count / layers) if layers else 1
    return without_layers(model, every) if every > 1 else model


def _ids_to_show(row: EncodedRow) -> tuple[int, ...]:
    """Return the ids to show: those of this run and the dropped ones."""
    return (*row.used_row.ids, *row.used_row.dropped)


def _token_states(row: EncodedRow) -> str:
    """Return a letter for each id to show: trained (t), ignored (i) or cut off (c)."""
    used, left = row.used_row, "c" if row.cut else "i"
    return "i" * used.first + "t" * (len(used.ids) - used.first) + left * len(used.dropped)


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(value, 3)
