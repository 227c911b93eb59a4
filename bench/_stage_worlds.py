"""Worlds of `bench/stages.py`: arms of known truth and the scores that simulated studies draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.plugins import load
from tuneworthy.records.run import Spec
from tuneworthy.records.split import Part, Split
from tuneworthy.records.verdict import Wrong

FOLDS, RHO, POINTS = 5, 0.6, 0.9
ARMS = ("tfidf", "zero_shot", "few_shot", "nearest_shots", "constrained", "rag", "lora", "rag_lora")
VARIANT = ("nearest_shots(k=16)", "nearest_shots")
WORLDS: dict[str, tuple[float, ...]] = {
    # tfidf zero few nearest constrained rag lora rag_lora nearest(16)
    "all equal": (0.8,) * 9,
    "a classifier is enough": (0.97, 0.4, 0.5, 0.7, 0.6, 0.5, 0.97, 0.97, 0.72),
    "the classifier is near perfect": (0.99, 0.4, 0.5, 0.7, 0.6, 0.5, 0.98, 0.98, 0.72),
    "a simple arm near a near perfect one": (0.3, 0.94, 0.5, 0.5, 0.5, 0.965, 0.999, 0.999, 0.5),
    "prompts are enough": (0.5, 0.6, 0.78, 0.8, 0.8, 0.62, 0.8, 0.8, 0.8),
    "tuning 5 better": (0.6, 0.55, 0.68, 0.7, 0.7, 0.6, 0.75, 0.75, 0.7),
    "tuning 15 better": (0.5, 0.45, 0.6, 0.65, 0.66, 0.55, 0.8, 0.8, 0.66),
    "reading": (0.1, 0.05, 0.07, 0.08, 0.05, 0.3, 0.1, 0.45, 0.09),
    "closed-book tuning alone": (0.3, 0.2, 0.3, 0.35, 0.3, 0.25, 0.55, 0.4, 0.36),
    "passages are enough": (0.3, 0.2, 0.25, 0.3, 0.25, 0.8, 0.35, 0.82, 0.3),
    "nothing works": (0.1, 0.05, 0.08, 0.1, 0.1, 0.06, 0.12, 0.12, 0.1),
}
RANDOM = "random"
PLAIN, GROUPED, GRADED = "0/1", "groups of 4", "graded"
HARD = ("all equal", "tuning 5 better", "reading", "closed-book tuning alone")
GROUP, ALIKE = 4, 0.4  # rows of a group, and how alike their difficulties are
LEVELS = 4  # steps of a graded score


@dataclass(frozen=True)
class Drawn:
    """One simulated study: truth and scores by arm, the fold of each row, what was diagnosed.

    `rows` names their kind (0/1, grouped, graded).
    """

    names: tuple[str, ...]
    truth: np.ndarray
    scores: np.ndarray
    fold: np.ndarray
    wrong: tuple[Wrong, ...]
    rows: str


def draw(rng: np.random.Generator, world: str, n: int, sd: float, rows: str) -> Drawn:
    """Return one study's scores; `sd`: how much a retraining scatters from fold to fold.

    Rows of a group share a part of their difficulty and a fold. A graded score counts how many of
    four parts are right, each as likely as the arm's truth, so that its mean stays the truth.
    """
    names = (*ARMS, VARIANT[0])
    truth = np.array(WORLDS.get(world) or np.clip(rng.normal(0.78, 0.06, len(names)), 0.05, 0.99))
    group = np.arange(n) // (GROUP if rows == GROUPED else 1)
    fold = group % FOLDS
    shift = np.where([load("arms", kind(a)).TOOL == "tune" for a in names], sd, 0.0)
    by_fold = np.clip(truth + shift * rng.standard_normal((FOLDS, len(names))), 0.001, 0.999)
    parts = LEVELS if rows == GRADED else 1
    scores = np.zeros((n, len(names)))
    for _ in range(parts):
        own = np.sqrt(1 - ALIKE) * rng.standard_normal(n)
        shared = np.sqrt(ALIKE) * rng.standard_normal(n)[group] + own
        latent = np.sqrt(RHO) * shared[:, None]
        latent = latent + np.sqrt(1 - RHO) * rng.standard_normal((n, len(names)))
        scores += (latent < norm.ppf(by_fold)[fold]) / parts
    lora, reads = (truth[names.index(a)] for a in ("lora", "rag_lora"))
    reading = (reads >= lora) == (rng.random() < POINTS)
    cause = "reading" if reading else "learnable"
    found = Wrong(cause=cause, share=0.6, low=0.5, high=0.7, n=100, arm=None, placebo=None)
    return Drawn(names, truth, scores, fold, (found,), rows)


def kind(arm: str) -> str:
    """Return the module of an arm."""
    return arm.split("(")[0]


SPECS = {
    a: Spec(
        name=a,
        arm=kind(a),
        options={"k": 16} if "(" in a else {},
        tool=load("arms", kind(a)).TOOL or None,
        simplicity=load("arms", kind(a)).SIMPLICITY,
    )
    for a in (*ARMS, VARIANT[0])
}
SCORES = {part / LEVELS: Score(value=part / LEVELS) for part in range(LEVELS + 1)}
ANSWERS = [Answer(case=f"c{i:04}", text="", seconds=0.0, finish="stop") for i in range(400)]


def split_of(n: int, size: int = 1) -> Split:
    """Return five folds of n rows in groups of a size."""
    ids = [a.case for a in ANSWERS[:n]]
    parts = []
    for fold in range(FOLDS):
        rest = tuple(i for at, i in enumerate(ids) if at // size % FOLDS != fold)
        test = tuple(i for at, i in enumerate(ids) if at // size % FOLDS == fold)
        parts.append(Part(train=rest[len(rest) // 5 :], dev=rest[: len(rest) // 5], test=test))
    groups = {i: ids[at // size * size] for at, i in enumerate(ids)} if size > 1 else {}
    return Split(k=FOLDS, parts=tuple(parts), groups=groups)


KINDS = ((150, PLAIN), (400, PLAIN), (400, GROUPED), (400, GRADED))
SPLITS = {(n, rows): split_of(n, GROUP if rows == GROUPED else 1) for n, rows in KINDS}
