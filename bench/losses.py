"""Three ways to learn from a local teacher, at equal student tokens: texts, top-20 KL, on policy.

usage: losses.py WORK [--tasks clause_type,support_tickets] [--seeds 0,1,2] [--model smollm2-135m]
                 [--student tune] [--taught 200] [--free 48] [--test 80] [--epochs 2]
                 [--teacher-epochs 3]

Teacher: LoRA of the model on `--taught` rows. It answers `--free` other inputs; answers that do not
end or lack the form of the task are left out for all losses alike. Student: the model itself
(`tune`) or one of two of its layers (`layers`), which learns these inputs and no labelled row. The
losses share inputs, teacher's prompt, adapter, batch, learning-rate rule and schedule; the last
epoch is kept. On policy comes first, with `--epochs`: the answer tokens that the student wrote and
was scored on set the number of epochs of the other two, the nearest whole one. Score: the task's
metric on `--test` rows. Agreement: the share of these rows on which the student says what the
teacher says. A unit is one task, seed and loss, kept in WORK; to go on is to call again. Writes
bench/results/losses.json and prints the tables.

Bounds are two-sided at 95 % and allow for other rows and another training: the scores of a row are
averaged over the seeds, and the interval of their mean is widened by the variance between the
seeds beyond row noise. Those of the three differences of a task hold together.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from _bench import RESULTS, write
from harm import stored

from tuneworthy.arms import distil, lora
from tuneworthy.arms._distilled import CHECKED_ROWS, adapter_student
from tuneworthy.arms._pairs import TeacherInput, WrittenPairs, write_pairs
from tuneworthy.arms._student_rows import StudentRows
from tuneworthy.arms.prompt.lenient import normal_form
from tuneworthy.flows.session import read
from tuneworthy.metrics import score_all, scorer
from tuneworthy.models import open_model
from tuneworthy.models.local.chat_template import text_ids
from tuneworthy.records.arm import Recipe, Setup
from tuneworthy.records.case import Case
from tuneworthy.records.errors import NumericError
from tuneworthy.records.record import digest
from tuneworthy.records.run import RunOptions
from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import RETRAINING_SD
from tuneworthy.suite import write as write_task

LOSSES = ("on_policy", "text", "kl")  # the first sets the tokens of the others
ALPHA = 0.05
PROMPT = Recipe(kind="short")  # the teacher learnt under it, so it teaches under it


@dataclass(frozen=True)
class Scene:
    """A task with its teacher, the teacher's pairs, and its answers to the test rows.

    `checked` are rows for the self-checks of teacher and student; no student learns them.
    """

    task: Any
    checked: Sequence[Case]
    test: Sequence[Case]
    free: Sequence[Case]
    base: Any
    teacher: Any
    written: WrittenPairs
    answers: Sequence[Any]
    folder: Path

    @property
    def rows(self) -> StudentRows:
        """Return the student's rows: the kept pairs alone, the same for every loss."""
        return StudentRows((), self.written.pairs, ())

    def setup(self, folder: Path) -> Setup:
        """Return the setup of a student, which learns no labelled row and has no dev row."""
        folder.mkdir(parents=True, exist_ok=True)
        return Setup(task=self.task, train=self.checked, dev=[], score=scorer(self.task),
                     models={"tune": self.base, "teacher": self.teacher}, recipe=PROMPT,
                     folder=folder, common=self.folder)  # fmt: skip


def options_of(asked: Any, loss: str, epochs: int) -> distil.Options:
    """Return a student's options; the teacher answers once, greedily, under its own prompt."""
    return distil.Options(student=asked.student, samples=1, gold="only_teacher", loss=loss,
                          teacher_prompt="best", epochs=epochs)  # fmt: skip


def scene(asked: Any, name: str) -> Scene:
    """Write the task, train its teacher (once) and ask it the free inputs and the test rows."""
    chosen = {k: v for k, v in vars(asked).items() if k not in ("work", "tasks", "seeds")}
    folder = asked.work / f"{name}-{digest(chosen, 8)}"  # other options are other units
    path = write_task(name, folder, n=3 * (asked.taught + asked.free + asked.test) // 2)
    loaded, _ = read(path, RunOptions(), lambda event, data: None)
    rows, test = list(loaded.cases), list(loaded.test or ())[: asked.test]
    taught, free = rows[: asked.taught], rows[asked.taught :][: asked.free]
    if {case.messages for case in test} & {case.messages for case in [*taught, *free]}:
        raise SystemExit(f"{name}: a test row is among those that are learnt")
    base = open_model(asked.model, folder=asked.work)
    home = folder / "teacher"
    home.mkdir(exist_ok=True)
    setup = Setup(task=loaded.task, train=taught, dev=[], models={"tune": base},
                  score=scorer(loaded.task), folder=home, common=folder)  # fmt: skip
    teacher = lora.fit(setup, lora.Options(epochs=asked.teacher_epochs), 0)
    sources = [TeacherInput(case.query()) for case in free]
    under = replace(setup, recipe=PROMPT)
    written = write_pairs(under, teacher.model, sources, options_of(asked, "text", 1))
    if not written.pairs:
        raise SystemExit(f"{name}: no answer of the teacher is kept: {written.summary()}")
    answers = teacher.answer([case.query() for case in test])
    checked = taught[:CHECKED_ROWS]
    return Scene(loaded.task, checked, test, free, base, teacher.model, written, answers, folder)


def judged(where: Scene, answers: Sequence[Any]) -> dict[str, Any]:
    """Return each test row's score and whether it agrees with the teacher."""
    scored = score_all(scorer(where.task), where.test, answers)
    kind = where.task.output.type
    same = [float(normal_form(answer.text, kind) == normal_form(own.text, kind))
            for answer, own in zip(answers, where.answers, strict=True)]  # fmt: skip
    return {"score": [getattr(one, "value", 0.0) for one in scored], "agreement": same}


def unit(where: Scene, asked: Any, loss: str, seed: int, epochs: int) -> dict[str, Any]:
    """Train one student and return its figures; a student that a self-check refuses has none."""
    options, setup = options_of(asked, loss, epochs), where.setup(where.folder / f"{loss}-{seed}")
    about = {"task": where.task.name, "loss": loss, "seed": seed, "epochs": epochs}
    student = distil.student_of(setup, options)
    try:
        train = adapter_student(setup, student, where.teacher, options, seed)
        fitted = train(where.rows, setup)
    except NumericError as refused:
        path = setup.folder / "adapter" / "trace.json"
        trace = json.loads(path.read_text("utf-8")) if path.exists() else None
        return {**about, **spent(trace), "refused": str(refused), "score": None, "agreement": None}
    answers = fitted.answer([case.query() for case in where.test])
    return {**about, **spent(fitted.trace), "refused": None, **judged(where, answers)}


def spent(trace: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return rows, steps, seconds and trained answer tokens of a student; None if not known."""
    if trace is None:
        return {"rows": None, "steps": None, "tokens": None, "seconds": None, "rate": None}
    steps = trace["steps"]
    return {"rows": trace["rows"]["used"], "steps": len(steps),
            "tokens": sum(step["tokens"] for step in steps), "rate": max(s["rate"] for s in steps),
            "seconds": round(trace["seconds"], 1)}  # fmt: skip


def epoch_tokens(where: Scene) -> int:
    """Return the answer tokens of one epoch of the teacher's texts, end of turn included."""
    tokenizer = where.base.tokenizer
    return sum(len(text_ids(tokenizer, pair.texts[0])) + 1 for pair in where.rows.pairs)


def units_of(where: Scene, asked: Any) -> list[dict[str, Any]]:
    """Return the units of a task; those that are not in WORK are measured."""
    found = []
    for seed in map(int, asked.seeds.split(",")):
        epochs = asked.epochs
        for loss in LOSSES:
            file, how = where.folder / f"{loss}-{seed}.json", (where, asked, loss, seed, epochs)
            found.append(stored(file, lambda how=how: unit(*how)))
            means = {what: mean_of(found[-1][what]) for what in ("score", "agreement")}
            print(json.dumps({**found[-1], **means}), flush=True)
            if loss == LOSSES[0] and found[-1]["tokens"]:
                epochs = max(1, round(found[-1]["tokens"] / epoch_tokens(where)))
    return found


def mean_of(values: Sequence[float] | None) -> float | None:
    """Return the rounded mean, None without values."""
    return None if values is None else round(float(np.mean(values)), 4)


def widened(by_seed: Any, trainings: int) -> tuple[Any, float]:
    """Return the mean of each row over the seeds, and the factor of its interval for the seeds.

    As in stats/clusters.py: another training counts (1 + 1/K) times the variance between the K
    seeds beyond row noise, at least that of RETRAINING_SD for each of the `trainings` compared.
    """
    count, rows, means = len(by_seed), by_seed.mean(0), by_seed.mean(1)
    between = 0.0
    if count > 1:
        left = by_seed - rows - means[:, None] + means.mean()  # of neither the row nor the seed
        row_noise = (left**2).sum() / ((count - 1) * (rows.size - 1)) / rows.size
        between = float(means.var(ddof=1) - row_noise)
    variance = max(between, trainings * RETRAINING_SD**2)
    noise = float(rows.var(ddof=1)) / rows.size
    return rows, sqrt(1 + variance * (1 + 1 / count) / noise) if noise else 1.0


def interval(by_seed: Any) -> list[float]:
    """Return mean, low and high of scores [seed, row]."""
    rows, factor = widened(by_seed, 1)
    return [round(x, 4) for x in bounds.mean_interval(rows, ALPHA, factor=factor)]


def difference(one: Any, other: Any, pairs: int) -> list[float]:
    """Return mean, low and high of one - other [seed, row]; `pairs` differences hold together."""
    rows, factor = widened(one - other, 2)
    found = bounds.paired(rows, ALPHA / 2 / pairs, factor=factor)
    return [round(x, 4) for x in (found.mean, found.low, found.high)]


def compared(units: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the score and agreement of each loss of a task, and their paired differences.

    A seed in which one of the losses was refused is in no difference of that loss.
    """
    pairs = list(combinations(LOSSES, 2))
    out: dict[str, Any] = {"losses": {}, "differences": {}}
    for what in ("score", "agreement"):
        told = {loss: {u["seed"]: u[what] for u in units if u["loss"] == loss and u[what]}
                for loss in LOSSES}  # fmt: skip
        for loss, by_seed in told.items():
            figure = interval(np.array(list(by_seed.values()))) if by_seed else None
            out["losses"].setdefault(loss, {})[what] = figure
        for one, other in pairs:
            seeds = sorted(set(told[one]) & set(told[other]))
            arrays = [np.array([told[loss][seed] for seed in seeds]) for loss in (one, other)]
            figure = difference(*arrays, len(pairs)) if seeds else None
            out["differences"].setdefault(f"{one} - {other}", {})[what] = figure
    return out


def told_of_teacher(where: Scene) -> dict[str, Any]:
    """Return the teacher's score, the pairs it wrote by reason, and how many of them are right."""
    gold = {case.id: case for case in where.free}
    own = judged(where, where.answers)["score"]
    kept = where.written.pairs
    kind = where.task.output.type
    right = sum(normal_form(pair.texts[0], kind) == normal_form(gold[pair.query.id].output, kind)
                for pair in kept)  # fmt: skip
    return {"score": [round(x, 4) for x in bounds.mean_interval(np.array(own), ALPHA)],
            "n": len(own), "pairs": where.written.summary(), "equal_to_gold": right,
            "epoch_tokens": epoch_tokens(where)}  # fmt: skip


def untouched(where: Scene, asked: Any) -> list[float]:
    """Return the score of the student before it learns."""
    options = options_of(asked, "text", 1).model_copy(update={"learns": "nothing"})
    fitted = distil.fit(where.setup(where.folder / "untouched"), options, 0)
    answers = fitted.answer([case.query() for case in where.test])
    scores = np.array(judged(where, answers)["score"])
    return [round(x, 4) for x in bounds.mean_interval(scores, ALPHA)]


def table(tasks: Mapping[str, Mapping[str, Any]]) -> str:
    """Return two tables as Markdown: the losses of each task, and their paired differences."""

    def shown(figure: Sequence[float] | None, form: str = ".2f") -> str:
        parts = () if figure is None else (format(x, form) for x in figure)
        return "refused" if figure is None else "{} ({} to {})".format(*parts)

    lines = ["| task | loss | tokens by seed | score by seed | score | agreement |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for name, told in tasks.items():
        for loss, both in told["losses"].items():
            own = [u for u in told["units"] if u["loss"] == loss]
            tokens = ", ".join("—" if u["tokens"] is None else f"{u['tokens']:,}" for u in own)
            scores = ", ".join("refused" if u["score"] is None else f"{mean_of(u['score']):.2f}"
                               for u in own)  # fmt: skip
            parts = " | ".join(shown(both[what]) for what in ("score", "agreement"))
            lines.append(f"| {name} | {loss} | {tokens} | {scores} | {parts} |")
    lines += ["", "| task | difference | score | agreement |", "|---|---|---|---|"]
    for name, told in tasks.items():
        for which, both in told["differences"].items():
            parts = " | ".join(shown(both[what], "+.2f") for what in ("score", "agreement"))
            lines.append(f"| {name} | {which} | {parts} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is not measured yet; write the figures and print the tables."""
    given = argparse.ArgumentParser()
    given.add_argument("work", type=Path)
    given.add_argument("--tasks", default="clause_type,support_tickets")
    given.add_argument("--seeds", default="0,1,2")
    given.add_argument("--model", default="smollm2-135m")
    given.add_argument("--student", choices=("tune", "layers"), default="tune")
    for name, usual in (("taught", 200), ("free", 48), ("test", 80), ("epochs", 2),
                        ("teacher-epochs", 3)):  # fmt: skip
        given.add_argument(f"--{name}", type=int, default=usual)
    asked = given.parse_args()
    asked.work = asked.work.resolve()
    asked.work.mkdir(parents=True, exist_ok=True)
    tasks: dict[str, Any] = {}
    for name in asked.tasks.split(","):
        where = scene(asked, name)
        teacher = told_of_teacher(where)
        print(json.dumps(teacher), flush=True)
        before = stored(where.folder / "untouched.json", lambda w=where: untouched(w, asked))
        units = units_of(where, asked)
        tasks[name] = {"teacher": teacher, "untouched": before, "units": units, **compared(units)}
        summary = {f"{task}, {loss}: score": both["score"] and both["score"][0]
                   for task, told in tasks.items()
                   for loss, both in told["losses"].items()}  # fmt: skip
        options = {key: value for key, value in vars(asked).items() if key != "work"}
        write("losses", {"asked": options, "tasks": tasks, "summary": summary})
    print(table(tasks), RESULTS / "losses.json", sep="\n")


if __name__ == "__main__":
    main()
