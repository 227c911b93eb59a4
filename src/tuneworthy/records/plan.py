"""The plan, frozen in the ledger before the first arm runs: arms, folds, seeds and the cost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from tuneworthy.records.arm import Pace
from tuneworthy.records.audit_report import DetectableDifference
from tuneworthy.records.reason import Because
from tuneworthy.records.record import GrownRecord, Record
from tuneworthy.records.run import LookScope, Spec
from tuneworthy.records.task import Budget

# The printed line of a plan without diagnosis.
NO_DIAGNOSIS_CUT = "what was wrong is not read across"
DIAGNOSIS_STEP = "what was wrong"  # the step a cap stops a run in, if not an arm
LEAST_DIAGNOSED_CASES = 20  # failed cases of the smallest diagnosis


class EndpointLoad(Record):
    """The load on endpoints: requests, tokens (prompt and answer), dollars, minutes.

    `most_...` is the worst case: every request that may be made, one token per byte of a prompt (as
    the caps reserve it), every answer at its token limit; without retries. `usd` and `most_usd` are
    None where a model has no price. `minutes` are those of the expected requests. `usd_per_1k` is
    the price of 1,000 requests in use, without what chose the prompt; `price_from` its source. It
    is None without a price, or where a part of an answer comes from this machine.
    """

    what: str
    requests: int
    most_requests: int
    tokens: int
    most_tokens: int
    usd: float | None
    most_usd: float | None
    minutes: float
    usd_per_1k: float | None = None
    price_from: str = ""


def _without_left_fields(data: Any) -> Any:
    """Return an arm of an older plan with the fields of today; all else as it is."""
    if not isinstance(data, dict) or "look_after" not in data:
        return data
    told = {key: value for key, value in data.items() if key not in ("follow_up", "look_after")}
    return {**told, "looked": (data["look_after"],) if data["look_after"] else ()}


class PlannedArm(Record):
    """One arm of the plan. `folds` and `seeds` it runs on; `because` says why it is left out.

    `requests` and `tokens` (prompt + answer) are totals; `minutes` is an estimate from this
    machine's timing, or from an endpoint's seconds per request; `fit_minutes` are those of one
    fold's training among them. `sent` is the load on endpoints, None if the arm uses none;
    `requests`, `tokens` and `usd` are then its worst case. `units` are its steps in order, if the
    schedule decides on each (`measure/step_choice.py`): (fold, how many of its cases are scored
    after it); none: all its folds run at once. `looked`: after how many folds it may end.
    `pace`: how it trains (`Work.pace`).
    """

    spec: Spec
    folds: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    requests: int = 0
    tokens: int = 0
    minutes: float = 0.0
    fit_minutes: float = 0.0
    usd: float | None = None
    sent: EndpointLoad | None = None
    because: Because = None
    units: tuple[tuple[int, int], ...] = ()
    looked: tuple[float, ...] = ()
    pace: Pace = ""

    _older = model_validator(mode="before")(_without_left_fields)

    @property
    def scheduled(self) -> bool:
        """Return whether the schedule decides on each of the arm's steps."""
        return bool(self.units) and not self.because

    @cached_property
    def unit_minutes(self) -> tuple[float, ...]:
        """Return the planned minutes of each step: the first one of a fold trains."""
        size, before = dict(self.units), dict.fromkeys(self.folds, 0)
        fold_minutes, minutes = self.minutes / max(len(self.folds), 1), list[float]()
        for fold, cases in self.units:
            share = (cases - before[fold]) / size[fold] if size[fold] else 1.0
            fit = 0.0 if before[fold] else self.fit_minutes
            minutes.append(fit + share * (fold_minutes - self.fit_minutes))
            before[fold] = cases
        return tuple(minutes)

    def may_end_after(self, steps: int) -> bool:
        """Return whether the arm may end after so many of its steps: a look was planned there."""
        if steps in (0, len(self.units)):
            return True
        (fold, cases), size = self.units[steps - 1], dict(self.units)
        return any(abs(fold + cases / size[fold] - at) < 1e-9 for at in self.looked)

    @property
    def first_minutes(self) -> float:
        """Return the minutes of the arm's first fold, or of all of it if it runs at once."""
        first = [m for m, (fold, _) in zip(self.unit_minutes, self.units, strict=True)
                 if fold == self.units[0][0]]  # fmt: skip
        return sum(first) if first else self.minutes

    def up_to(self, step: int) -> PlannedArm:
        """Return the arm as it is measured in one of its steps: that fold, and cases so far."""
        fold = self.units[step][0]
        units = tuple(unit for unit in self.units[: step + 1] if unit[0] == fold)
        share = units[-1][1] / max(dict(self.units)[fold], 1) / max(len(self.folds), 1)
        change = {"folds": (fold,), "units": units, "requests": round(self.requests * share)}
        return self.model_copy(update=change)


class StageDecision(Record):
    """One decision of the schedule: its action on an arm, the reason, and the minutes so far."""

    arm: str
    do: Literal["run", "leave out", "stop", "all folds", "more folds"]
    why: str
    minutes: float


class OptionalMeasurement(GrownRecord):
    """One optional measurement after the arms, named by `what`; `because` is why it is left out.

    `needed`: a hard limit of the task is tested by it, so it is never cut.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"needed"})

    what: str
    requests: int = 0
    minutes: float = 0.0
    because: str = ""
    needed: bool = False


class Plan(Record):
    """The experiment, before it runs. `cuts` are what `budget.minutes` had no room for, in order.

    `across` are the arms that the diagnosis may run: placebos, pilots, and arms too expensive for
    every case (role candidate). Each is costed as if it had to run: an upper bound, half of which
    counts towards the budget, and not in `minutes`. They run on at most `read` failed cases
    (None: every failed one), a pilot also on as many passed ones, at most 60. `others` is the
    endpoint load apart from the arms (a judge, changed facts); `assumed` names the assumptions
    behind minutes of requests, `paces` those behind minutes of training, `prices` are sentences on
    prices; `cap_usd`, `cap_tokens` and `requests_per_month` are those of the task when it is shown,
    and `free` says that no request costs money. `beside` are the optional measurements after the
    arms (harm, knowledge probe, learning curves, temperatures): they are cut first if the minutes
    run out.
    `whole` are the minutes that would avoid all `cuts` (None: there are none). `staged`: the
    schedule decides which arms run, and how far; the bounds pay for every arm that it may run
    (`possible_arms`). `minutes` are those of all arms, and `cap_minutes` the most that the study
    may take; None in plans of older versions. `again` says which arms are asked several times
    a row, where the task wants that.
    """

    task: str
    rows: str
    k: int
    scored: int
    train: int
    dev: int
    arms: tuple[PlannedArm, ...]
    across: tuple[PlannedArm, ...] = ()
    read: int | None = None
    others: tuple[EndpointLoad, ...] = ()
    assumed: str = ""
    prices: tuple[str, ...] = ()
    paces: tuple[str, ...] = ()
    cap_usd: float | None = None
    cap_tokens: int | None = None
    cap_minutes: float | None = None
    requests_per_month: float | None = None
    free: bool = False
    beside: tuple[OptionalMeasurement, ...] = ()
    cuts: tuple[str, ...] = ()
    minutes: float = 0.0
    whole: float | None = None
    tokens_per_second: float | None = None
    looks: int = 1
    looks_scope: LookScope = "folder"
    visible: DetectableDifference
    limited: bool = False
    staged: bool = False
    again: str = Field(default="", exclude_if=lambda value: not value)

    def with_caps(
        self,
        budget: Budget,
        free: bool = False,
        volume: float | None = None,
        minutes: float | None = None,
    ) -> Plan:
        """Return the plan with a task's caps and volume, which may change after it was frozen."""
        now: dict[str, Any] = {"cap_usd": budget.usd, "cap_tokens": budget.tokens, "free": free}
        now |= {"cap_minutes": minutes}
        return self.model_copy(update={**now, "requests_per_month": volume})

    @property
    def identity(self) -> str:
        """Return a short name of the task and rows that the plan is of; 16 hex digits."""
        return self.task[:8] + self.rows[:8]

    @property
    def stops_at(self) -> str:
        """Return the arm, or DIAGNOSIS_STEP, in which a cap should end the run; "" if none does."""
        spent_usd = spent_tokens = 0.0
        for what, load, share in self._loads_in_order():
            spent_usd += share * (load.usd or 0.0)
            spent_tokens += share * load.tokens
            over = self.cap_tokens is not None and spent_tokens > self.cap_tokens
            if over or (self.cap_usd is not None and spent_usd > self.cap_usd):
                return what
        return ""

    def _loads_in_order(self) -> Iterator[tuple[str, EndpointLoad, float]]:
        """Yield (step, its endpoint load, expected share of the load) in the order of the run."""
        kept = [(arm, arm.sent) for arm in self.arms if arm.sent and not arm.because]
        yield from ((arm.spec.name, sent, 1.0) for arm, sent in kept)
        yield from ((DIAGNOSIS_STEP, arm.sent, 0.5) for arm in self.across if arm.sent)
        yield from ((load.what, load, 1.0) for load in self.others)

    @property
    def possible_arms(self) -> int:
        """Return how many arms may be compared: all candidates that are not left out."""
        return sum(not arm.because and arm.spec.role == "candidate" for arm in self.arms)

    @property
    def looks_at(self) -> dict[str, tuple[float, ...]]:
        """Return {arm name: numbers of folds after which the schedule checks its score}."""
        return {arm.spec.name: arm.looked for arm in self.arms if arm.looked}

    @property
    def folds_by_arm(self) -> dict[str, int]:
        """Return {arm name: number of folds it is planned to run on}, without arms left out."""
        return {arm.spec.name: len(arm.folds) for arm in self.arms if not arm.because}

    @property
    def sent(self) -> EndpointLoad | None:
        """Return the plan's total load on endpoints, expected and at most; None without one.

        Half of the diagnosis is expected to run, and all steps of all arms.
        """
        arms = [arm.sent for arm in self.arms if arm.sent and not arm.because]
        across = [arm.sent for arm in self.across if arm.sent]
        every = [*arms, *across, *self.others]
        if not every:
            return None
        share = [1.0] * len(arms) + [0.5] * len(across) + [1.0] * len(self.others)

        def total(key: str, shares: bool = False) -> float | None:
            values: list[float | None] = [getattr(load, key) for load in every]
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                return None
            return sum(v * (s if shares else 1.0) for v, s in zip(known, share, strict=True))

        return EndpointLoad(
            what="in all",
            requests=round(total("requests", True) or 0),
            most_requests=round(total("most_requests") or 0),
            tokens=round(total("tokens", True) or 0),
            most_tokens=round(total("most_tokens") or 0),
            usd=total("usd", True),
            most_usd=total("most_usd"),
            minutes=round(total("minutes", True) or 0.0, 2),
        )
