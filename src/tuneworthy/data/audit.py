"""The audit: what the rows are, what is odd about them, and what they can show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tuneworthy.core.audit import Audit, Observation, Visible
from tuneworthy.core.case import Case
from tuneworthy.data.copies import asked, loose_key, near_pairs, plain_key
from tuneworthy.data.folds import Split
from tuneworthy.data.load import Loaded
from tuneworthy.stats.bounds import width_factor
from tuneworthy.stats.power import mde

D = 0.2  # the share of rows on which two arms differ, until it is measured
SHOWN = 20


def audit(
    loaded: Loaded,
    split: Split,
    count_tokens: Callable[[str], int] | None = None,
    context: int | None = None,
) -> Audit:
    """Return the audit of loaded rows. `count_tokens` counts a text's tokens, else characters."""
    everyone = [*loaded.cases, *(loaded.test or ()), *(loaded.dev or ())]
    scored = {i for part in split.parts for i in part.test}
    conflicts = _conflicts(everyone)
    seen = [*loaded.observations, *_observations(loaded, everyone, conflicts, scored)]
    length = count_tokens or len
    asked_, answered = ([length(f(c)) for c in everyone] for f in (asked, lambda c: c.output))
    if context:
        seen += _too_long(everyone, asked_, answered, context)
    touched = sum(i in scored for group in conflicts for i in group)
    closed = loaded.task.output.type == "label"
    return Audit(
        rows=loaded.rows,
        used=len(everyone),
        excluded=loaded.excluded,
        scored=len(scored),
        folds=split.k,
        conflict_share=round(touched / len(scored), 6) if scored else 0.0,
        observations=tuple(seen),
        classes=dict(Counter(c.output for c in everyone).most_common()) if closed else None,
        lengths={"prompt": _quantiles(asked_), "answer": _quantiles(answered)},
        unit="tokens" if count_tokens else "characters",
        visible=_visible(split, len(scored)),
    )


def _visible(split: Split, n: int) -> Visible:
    factor = 1.0
    if len(split.parts) > 1:
        test = float(np.mean([len(part.test) for part in split.parts]))
        train = float(np.mean([len(part.train) + len(part.dev) for part in split.parts]))
        factor = width_factor(len(split.parts), test, train)
    prompts, fitted = (float(mde(n, D, f)) if n else None for f in (1.0, factor))
    return Visible(n=n, d=D, factor=round(factor, 4), prompts=_points(prompts),
                   fitted=_points(fitted))  # fmt: skip


def _points(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(min(value, 1.0), 6)


def _quantiles(values: Sequence[int]) -> tuple[int, int, int, int]:
    if not values:
        return 0, 0, 0, 0
    low, half, high, top = np.quantile(values, [0, 0.5, 0.95, 1], method="higher").tolist()
    return int(low), int(half), int(high), int(top)


def _conflicts(cases: Sequence[Case]) -> list[list[str]]:
    """Return the ids of each input that has different answers (none of them accepted)."""
    rows: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        rows[loose_key(asked(case))].append(case)
    found = []
    for same in rows.values():
        answers = {plain_key(case.output) for case in same}
        common = set.intersection(*({plain_key(x) for x in (c.output, *c.accepted)} for c in same))
        if len(answers) > 1 and not common:
            found.append([case.id for case in same])
    return found


def _observations(
    loaded: Loaded, cases: Sequence[Case], conflicts: list[list[str]], scored: set[str]
) -> Iterator[Observation]:
    if conflicts:
        ids = [i for group in conflicts for i in group]
        yield _seen("conflict", "warning", "rows whose input has contradictory answers", ids,
                    "correct them, or list the other right answers under `accepted`")  # fmt: skip
    yield from _copies(cases, {i for group in conflicts for i in group})
    yield from _labels(loaded, cases, scored)
    gold = {case.output for case in cases}
    if len(cases) > 1 and len(gold) == 1:
        yield Observation(
            kind="one answer",
            level="blocked",
            text="every row has the same answer",
            count=len(cases),
        )


def _copies(cases: Sequence[Case], conflicting: set[str]) -> Iterator[Observation]:
    keys = [loose_key(asked(case)) for case in cases]
    counts = Counter(keys)
    same = [c.id for c, key in zip(cases, keys, strict=True)
            if counts[key] > 1 and c.id not in conflicting]  # fmt: skip
    if same:
        yield _seen("copies", "warning", "rows whose input occurs more than once", same,
                    "copies share a fold, so none leaks; each still counts")  # fmt: skip
    pairs = near_pairs(keys, [plain_key(case.output) for case in cases])
    near = sorted({cases[i].id for a, b, _ in pairs if keys[a] != keys[b] for i in (a, b)})
    if near:
        yield _seen("near copies", "note", "rows that are near-copies of another (same answer)",
                    near, "they share a fold")  # fmt: skip


def _labels(loaded: Loaded, cases: Sequence[Case], scored: set[str]) -> Iterator[Observation]:
    if loaded.task.output.type != "label":
        return
    counts = Counter(case.output for case in cases)
    rare = [case.id for case in cases if counts[case.output] == 1]
    if rare:
        yield _seen("single label", "warning", "labels with one row: no arm can learn them and be "
                    "scored on them", rare, "collect more of them")  # fmt: skip
    if loaded.test is not None:
        train = {case.output for case in (*loaded.cases, *(loaded.dev or ()))}
        test = {case.output for case in loaded.test}
        lost = [case.id for case in loaded.test if case.output not in train]
        if lost:
            yield _seen("test-only label", "warning", "test rows whose label no training row has",
                        lost, "wrong for every arm that must learn its labels")  # fmt: skip
        if unseen := sorted(train - test):
            yield _seen("train-only label", "warning", "labels that no test row has", unseen, "")
    del scored


def _too_long(
    cases: Sequence[Case], asked_: Sequence[int], answered: Sequence[int], context: int
) -> list[Observation]:
    over = [c.id for c, p, a in zip(cases, asked_, answered, strict=True) if p + a > context]
    if not over:
        return []
    return [_seen("too long", "warning", f"rows longer than the model's {context:,} tokens", over,
                  "shorten them, or take a model with a longer context")]  # fmt: skip


def _seen(kind: str, level: str, text: str, ids: Sequence[str], fix: str) -> Observation:
    return Observation.model_validate({
        "kind": kind, "level": level, "text": text, "count": len(ids),
        "ids": tuple(ids[:SHOWN]), "fix": fix,
    })  # fmt: skip
