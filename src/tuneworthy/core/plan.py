"""What will be run, frozen in the ledger before the first arm: arms, folds, seeds, and the cost."""

from __future__ import annotations

from typing import Literal

from tuneworthy.core.audit_report import Visible
from tuneworthy.core.extra import Extra
from tuneworthy.core.look_text import Scope
from tuneworthy.core.record import Record
from tuneworthy.core.run import Spec

NO_ROOM = "the minutes have no room for it (budget.minutes)"


class Sent(Record):
    """What endpoints are sent: requests, tokens (prompt and answer), dollars, minutes.

    `most_...` is the worst case: every request that may be made, a token for each byte of a prompt
    (as the caps reserve it), every answer at its longest; retries aside. `usd` and `most_usd` are
    None where a model has no price. `minutes` are those of the expected requests.
    """

    what: str
    requests: int
    most_requests: int
    tokens: int
    most_tokens: int
    usd: float | None
    most_usd: float | None
    minutes: float


class PlannedArm(Record):
    """One arm of the plan. `folds` and `seeds` it runs on; `because` says why it is left out.

    `requests` and `tokens` (prompt + answer) are totals; `minutes` an estimate from this machine's
    timing, or from seconds a request of an endpoint. `sent` is what endpoints are sent, None where
    none is asked; `requests`, `tokens` and `usd` are then its worst case.
    `follow_up`: it runs only where the stage rule asks for it (`measure/stage_rule.py`), after the
    arms that always run. `look_after`: the folds after which the rule looks at its score and may
    stop it; 0: it runs on all its folds.
    """

    spec: Spec
    folds: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    requests: int = 0
    tokens: int = 0
    minutes: float = 0.0
    usd: float | None = None
    sent: Sent | None = None
    because: str = ""
    follow_up: bool = False
    look_after: int = 0

    @property
    def first_minutes(self) -> float:
        """Return the minutes until the rule looks at its score: those of all folds without one."""
        return self.minutes * (self.look_after / len(self.folds) if self.look_after else 1.0)


class Step(Record):
    """One decision of the stage rule: what it did with an arm, why, after how many minutes."""

    arm: str
    do: Literal["run", "leave out", "stop", "all folds"]
    why: str
    minutes: float


class Plan(Record):
    """The experiment, before it is run. `cuts` are what the minutes left no room for, in order.

    `across` may be asked to see what was wrong: placebos, pilots, and arms too dear for every case
    (role candidate), each as if it had to be asked: an upper end, half of which counts towards the
    budget, and not in `minutes`. They are asked of at most `read` failed and `read` passed cases
    (None: every failed and 60 passed ones). `others` is what endpoints are sent beside the arms (a
    judge, changed facts); `assumed` says what minutes of requests stand on. `beside` is measured
    once the arms were (harm, what the model knows, learning curves, temperatures): what the minutes
    have no room for is cut first.
    `whole` are the minutes in which nothing of `cuts` would be left out (None: nothing is).
    `staged`: the stage rule decides which follow-up arms run; the bounds pay for every arm that it
    may run (`possible`). `minutes` are then those of the arms that always run and of the dearest
    training arm up to its first look.
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
    others: tuple[Sent, ...] = ()
    assumed: str = ""
    beside: tuple[Extra, ...] = ()
    cuts: tuple[str, ...] = ()
    minutes: float = 0.0
    whole: float | None = None
    tokens_per_second: float | None = None
    looks: int = 1
    looks_scope: Scope = "folder"
    visible: Visible
    limited: bool = False
    staged: bool = False

    @property
    def possible(self) -> int:
        """Return how many arms may be compared: all that can be named and are not left out."""
        return sum(not arm.because and arm.spec.role == "candidate" for arm in self.arms)

    @property
    def looks_at(self) -> dict[str, int]:
        """Return the folds after which the rule looks at an arm's score, by its name."""
        return {arm.spec.name: arm.look_after for arm in self.arms if arm.look_after}

    @property
    def sent(self) -> Sent | None:
        """Return all that endpoints are sent.

        Half of reading across is expected to be asked, and half of what waits for the stage rule.
        """
        kept = [arm for arm in self.arms if arm.sent and not arm.because]
        arms = [arm.sent for arm in kept if arm.sent]
        across = [arm.sent for arm in self.across if arm.sent]
        every = [*arms, *across, *self.others]
        if not every:
            return None
        share = (
            [0.5 if arm.follow_up else 1.0 for arm in kept]
            + [0.5] * len(across)
            + [1.0] * len(self.others)
        )

        def total(key: str, shares: bool = False) -> float | None:
            values: list[float | None] = [getattr(one, key) for one in every]
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                return None
            return sum(v * (s if shares else 1.0) for v, s in zip(known, share, strict=True))

        return Sent(
            what="in all",
            requests=round(total("requests", True) or 0),
            most_requests=round(total("most_requests") or 0),
            tokens=round(total("tokens", True) or 0),
            most_tokens=round(total("most_tokens") or 0),
            usd=total("usd", True),
            most_usd=total("most_usd"),
            minutes=round(total("minutes", True) or 0.0, 2),
        )
