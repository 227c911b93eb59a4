"""Audit the rows: statistics, anomalies, and the smallest difference they can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from tuneworthy.matrix.design import Design
from tuneworthy.matrix.detectable import error_level, rows_for, visible_differences
from tuneworthy.records.audit_report import (
    TIME_SPLIT_KIND,
    Audit,
    DetectableDifference,
    Observation,
)
from tuneworthy.records.case import Case
from tuneworthy.rows.copies import contradictory_cases, full_text
from tuneworthy.rows.folds import Split
from tuneworthy.rows.load import Loaded
from tuneworthy.rows.observations import observation, row_observations
from tuneworthy.rows.rows import CONTENT_ID

_COPY_OF_TRAINING = "copy of a training row"
_TokenCounter = Callable[[str], int]


def audit(
    loaded: Loaded,
    split: Split,
    count_tokens: _TokenCounter | None = None,
    context: int | None = None,
    arms: int = 2,
    look: int = 1,
) -> Audit:
    """Return the audit of loaded rows; it sends nothing and calls no model.

    `arms` may be compared, at look `look`. `count_tokens` counts the tokens of a text (without it
    lengths are characters); `context` is the maximum of prompt plus answer tokens.
    """
    everyone = loaded.everyone
    ids = set(split.scored)
    scored = [case for case in everyone if case.id in ids]
    used = ids.union(*((*part.train, *part.dev) for part in split.parts))
    lengths = _Lengths(everyone, count_tokens or len, loaded.task.output.max_tokens, context)
    n = sum(case.id not in split.early for case in scored)
    visible = visible_differences(split, n, max(2, arms), look)
    observations = [
        *row_observations(loaded, scored),
        *_few_rows(loaded, split, visible),
        *_grouped_rows(loaded, split),
        *_unscored_early_rows(split, len(used)),
    ]
    if count_tokens:
        observations += lengths.observations()
    places = {case.id: case.where for case in everyone if CONTENT_ID.fullmatch(case.id)}
    observations = [_with_places(one, places) for one in observations]
    conflicts = contradictory_cases(everyone, loaded.task.output.type == "text")
    touched = sum(case.id in ids for group in conflicts for case in group)
    closed = loaded.task.output.type == "label"
    left = {_COPY_OF_TRAINING: len(everyone) - len(used)} if len(used) < len(everyone) else {}
    if loaded.aside:
        left[loaded.why_aside] = len(loaded.aside)
    return Audit(
        rows=loaded.rows - len(loaded.unlabelled),
        used=len(used),
        excluded={**loaded.excluded, **left},
        scored=len(scored),
        folds=split.k,
        conflict_share=round(touched / len(scored), 6) if scored else 0.0,
        observations=tuple(observations),
        classes=dict(Counter(c.output for c in everyone).most_common()) if closed else None,
        lengths={"prompt": _quantiles(lengths.asked), "answer": _quantiles(lengths.answered)},
        unit="tokens" if count_tokens else "characters",
        visible=visible,
    )


def _with_places(seen: Observation, places: Mapping[str, str]) -> Observation:
    """Return the observation with each content id replaced by the row's place (file:line)."""
    named = tuple(places.get(name) or name for name in seen.ids)
    return seen if named == seen.ids else seen.model_copy(update={"ids": named})


def _unscored_early_rows(split: Split, used: int) -> Iterator[Observation]:
    """Yield the note that the earliest rows are trained on and not scored, if so."""
    taught = used - len(set(split.scored) - set(split.early))
    if split.by_time and taught:
        text = (
            f"every row has a `time`: the earliest {taught:,} only teach, and the {used - taught:,}"
            " later ones are scored by arms fitted on earlier rows"
        )
        if split.early:
            text += "; recorded answers are scored on all"
        fix = "as it is in use, where yesterday's rows teach and today's are asked; without"
        yield Observation(kind=TIME_SPLIT_KIND, level="note", text=text, count=taught,
                          fix=f"{fix} `time` every row is scored")  # fmt: skip


def with_observations(found: Audit, more: Iterable[Observation]) -> Audit:
    """Return the audit with more observations."""
    return found.model_copy(update={"observations": (*found.observations, *more)})


def _grouped_rows(loaded: Loaded, split: Split) -> Iterator[Observation]:
    """Yield the observation on the effective number of groups and what they show, if any."""
    if not split.clustered:
        return
    design = Design.of(loaded.task, split)
    groups, worth = int(design.numbers(split.scored).max()) + 1, design.worth(split.scored)
    least = design.difference(dict.fromkeys(split.scored, 0.0), error_level()).high
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


def _few_rows(loaded: Loaded, split: Split, visible: DetectableDifference) -> Iterator[Observation]:
    margin = loaded.task.success.margin
    if visible.prompts is None or visible.prompts <= 2 * margin:
        return
    need = rows_for(margin)
    text = (
        f"{visible.n:,} scored rows show differences between prompts from about "
        f"{100 * visible.prompts:.0f} points on; the margin is {100 * margin:g}"
    )
    rows = "independent rows" if split.clustered else "rows"
    fix = f"about {need:,} {rows} show the margin; `settle` needs fewer labels than that"
    yield Observation(kind="few_rows", level="warning", text=text, count=visible.n, fix=fix)


def _quantiles(values: Sequence[int]) -> tuple[int, int, int, int]:
    if not values:
        return 0, 0, 0, 0
    low, half, high, top = np.quantile(values, [0, 0.5, 0.95, 1], method="higher").tolist()
    return int(low), int(half), int(high), int(top)


class _Lengths:
    """Prompt and answer lengths of all rows, against the answer limit and the context."""

    def __init__(
        self, cases: Sequence[Case], count: _TokenCounter, limit: int | None, context: int | None
    ) -> None:
        self.cases, self.limit, self.context = cases, limit, context
        self.asked = [count(full_text(case)) for case in cases]
        self.answered = [count(case.output) for case in cases]

    def observations(self) -> Iterator[Observation]:
        rows = list(zip(self.cases, self.asked, self.answered, strict=True))
        if self.limit is not None:
            over = [case.id for case, _, answer in rows if answer > self.limit]
            if over:
                text = f"{len(over):,} right answers are longer than {self.limit} tokens"
                yield observation("long_answer", "warning", text, over, "raise output.max_tokens")
        if self.context is not None:
            over = [case.id for case, ask, answer in rows if ask + answer > self.context]
            if over:
                text = f"{len(over):,} rows are longer than the model's {self.context:,} tokens"
                fix = "shorten them, leave them out, or take a model with a longer context"
                yield observation("over_context", "warning", text, over, fix)
