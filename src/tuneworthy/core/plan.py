"""What will be run, frozen in the ledger before the first arm: arms, folds, seeds, and the cost."""

from __future__ import annotations

from tuneworthy.core.audit import Visible
from tuneworthy.core.beside import Extra
from tuneworthy.core.looks import Scope
from tuneworthy.core.record import Record
from tuneworthy.core.run import Spec

NO_ROOM = "the minutes have no room for it (budget.minutes)"


class PlannedArm(Record):
    """One arm of the plan. `folds` and `seeds` it runs on; `because` says why it is left out.

    `requests` and `tokens` (prompt + answer, worst case) are totals; `minutes` an estimate from
    this machine's timing; `usd` the worst-case price, None where the model has none.
    """

    spec: Spec
    folds: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    requests: int = 0
    tokens: int = 0
    minutes: float = 0.0
    usd: float | None = None
    because: str = ""


class Plan(Record):
    """The experiment, before it is run. `cuts` are what the minutes left no room for, in order.

    `across` may be asked to see what was wrong: placebos, pilots, and arms too dear for every case
    (role candidate), each as if it had to be asked: an upper end, half of which counts towards the
    budget, and not in `minutes`. They are asked of at most `read` failed and `read` passed cases
    (None: every failed and 60 passed ones). `beside` is measured once the arms were (harm, what the
    model knows, learning curves, temperatures): what the minutes have no room for is cut first.
    `whole` are the minutes in which nothing of `cuts` would be left out (None: nothing is).
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
    beside: tuple[Extra, ...] = ()
    cuts: tuple[str, ...] = ()
    minutes: float = 0.0
    whole: float | None = None
    tokens_per_second: float | None = None
    looks: int = 1
    looks_scope: Scope = "folder"
    visible: Visible
    limited: bool = False
