"""The audit: what the rows are, what is odd about them, and what they can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from tuneworthy.core.audit_report import Audit, Observation, Visible
from tuneworthy.core.case import Case
from tuneworthy.data.conflicts import conflicts
from tuneworthy.data.copies import whole
from tuneworthy.data.folds import Split
from tuneworthy.data.load import Loaded
from tuneworthy.data.observations import observed, seen
from tuneworthy.stats.bounds import level
from tuneworthy.stats.clusters import cluster_numbers, effective
from tuneworthy.stats.power import mde, rows_needed
from tuneworthy.stats.unseen import worst_unit

D = 0.2  # the share of rows on which two arms differ, until it is measured
COPY = "copy of a training row"
Count = Callable[[str], int]

STABLE = 1.3  # how much the scatter of folds widens a stable arm's bound beyond f (simulated)


def audit(
    loaded: Loaded, split: Split, count_tokens: Count | None = None, context: int | None = None
) -> Audit:
    """Return the audit of loaded rows; nothing is sent and no model is asked.

    `count_tokens` counts the tokens of a text (without it lengths are characters); `context` is
    the most tokens that prompt and answer may have together.
    """
    everyone = loaded.everyone
    ids = set(split.scored)
    scored = [case for case in everyone if case.id in ids]
    used = ids.union(*((*part.train, *part.dev) for part in split.parts))
    lengths = _Lengths(everyone, count_tokens or len, loaded.task.output.max_tokens, context)
    visible = _visible(split, sum(one.id not in split.early for one in scored))
    found = [*observed(loaded, scored), *_few(loaded, visible), *_clustered(loaded, split)]
    if count_tokens:
        found += lengths.observed()
    touched = sum(one in ids for group in conflicts(loaded) for one in group)
    closed = loaded.task.output.type == "label"
    left = {COPY: len(everyone) - len(used)} if len(used) < len(everyone) else {}
    if loaded.aside:
        left[loaded.why_aside] = len(loaded.aside)
    return Audit(
        rows=loaded.rows - len(loaded.unlabelled),
        used=len(used),
        excluded={**loaded.excluded, **left},
        scored=len(scored),
        folds=split.k,
        conflict_share=round(touched / len(scored), 6) if scored else 0.0,
        observations=tuple(found),
        classes=dict(Counter(c.output for c in everyone).most_common()) if closed else None,
        lengths={"prompt": _quantiles(lengths.asked), "answer": _quantiles(lengths.answered)},
        unit="tokens" if count_tokens else "characters",
        visible=visible,
    )


def with_more(found: Audit, more: Iterable[Observation]) -> Audit:
    """Return the audit with further observations."""
    return found.model_copy(update={"observations": (*found.observations, *more)})


def _visible(split: Split, n: int) -> Visible:
    """Return what the rows show that every arm is scored on (recorded ones may have more)."""
    factor = split.width_factor() * (STABLE if len(split.learning) > 1 else 1.0)
    prompts, fitted = (_points(mde(n, D, f)) if n else None for f in (1.0, factor))
    return Visible(n=n, d=D, factor=round(factor, 4), prompts=prompts, fitted=fitted)


def _clustered(loaded: Loaded, split: Split) -> Iterator[Observation]:
    """Yield how many independent groups the scored rows are worth, and what those can show."""
    if not split.clustered:
        return
    numbers = cluster_numbers(
        [split.groups.get(one, one) for one in split.scored], len(split.scored)
    )
    groups, worth = int(numbers.max()) + 1, effective(numbers)
    sizes = np.bincount(numbers).astype(float)
    largest = float(loaded.task.data.largest_group or 0)
    least = worst_unit(np.zeros(groups), sizes, level(0.05), largest)
    text = (
        f"{len(split.scored):,} scored rows come in {groups:,} groups, worth {worth:,.0f} of one"
        f" size: where two arms differ in none of them, one may still be {100 * least:.0f} points"
        " better on other groups"
    )
    few = least > loaded.task.success.margin
    fix = (
        "rows of more groups (conversations, customers, copies) show more; more rows of these don't"
    )
    yield Observation(kind="groups", level="warning" if few else "note", text=text, count=groups,
                      fix=fix if few else "")  # fmt: skip


def _points(value: float) -> float:
    return round(min(float(value), 1.0), 6)


def _few(loaded: Loaded, visible: Visible) -> Iterator[Observation]:
    margin = loaded.task.success.margin
    if visible.prompts is None or visible.prompts <= 2 * margin:
        return
    need = rows_needed(D, margin)
    text = (
        f"{visible.n:,} scored rows show differences between prompts from about "
        f"{100 * visible.prompts:.0f} points on; the margin is {100 * margin:g}"
    )
    fix = f"about {need:,} rows show the margin; `settle` needs fewer labels than that"
    yield Observation(kind="few_rows", level="warning", text=text, count=visible.n, fix=fix)


def _quantiles(values: Sequence[int]) -> tuple[int, int, int, int]:
    if not values:
        return 0, 0, 0, 0
    low, half, high, top = np.quantile(values, [0, 0.5, 0.95, 1], method="higher").tolist()
    return int(low), int(half), int(high), int(top)


class _Lengths:
    """Prompt and answer lengths of all rows, against the answer limit and the context."""

    def __init__(
        self, cases: Sequence[Case], count: Count, limit: int | None, context: int | None
    ) -> None:
        self.cases, self.limit, self.context = cases, limit, context
        self.asked = [count(whole(case)) for case in cases]
        self.answered = [count(case.output) for case in cases]

    def observed(self) -> Iterator[Observation]:
        rows = list(zip(self.cases, self.asked, self.answered, strict=True))
        if self.limit is not None:
            over = [case.id for case, _, answer in rows if answer > self.limit]
            if over:
                text = f"{len(over):,} right answers are longer than {self.limit} tokens"
                yield seen("long_answer", "warning", text, over, "raise output.max_tokens")
        if self.context is not None:
            over = [case.id for case, ask, answer in rows if ask + answer > self.context]
            if over:
                text = f"{len(over):,} rows are longer than the model's {self.context:,} tokens"
                fix = "shorten them, leave them out, or take a model with a longer context"
                yield seen("over_context", "warning", text, over, fix)
