"""Hard caps on money and tokens: a request is sent only after its worst case is reserved.

Independent of providers. An attempt is a row on the disk before the request is sent; its outcome is
a row after. An attempt without outcome (killed in flight, timed out) may have been billed: it is
listed, and its worst case stays counted. Sums are Decimal, never float.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tuneworthy.records.errors import BudgetError, TaskError
from tuneworthy.records.record import digest
from tuneworthy.records.task import PRICE_EXAMPLE
from tuneworthy.store import signals

if TYPE_CHECKING:
    from tuneworthy.store.journal import Journal


Money = Decimal | float | int | str
# Decimal rounds sums to 28 digits by default: a price of 1e-30 beside 0.3 would vanish.
_EXACT = Context(prec=400)

_MOST_LISTED = 20  # the most attempts of unknown outcome that are listed one by one

UNKNOWN_OUTCOMES_NOTE = "unknown outcomes"


@dataclass(frozen=True)
class _Reservation:
    """The reservation of one attempt to send a request; `retry_key` is the same for each retry.

    Send `retry_key` as the Idempotency-Key header: a server that supports it bills a request once.
    """

    number: int
    key: str
    usd: Decimal
    tokens: int
    thread: int

    @property
    def retry_key(self) -> str:
        """Return a hash that names the request: equal for each attempt to send it."""
        return digest({"request": self.key or self.number}, 32)


@dataclass(frozen=True)
class _UnknownOutcome:
    """An attempt with unknown outcome: it may have been billed up to `usd`."""

    number: int
    key: str
    usd: Decimal
    tokens: int
    at: str


@dataclass(frozen=True)
class _Spending:
    """The cost of a study. `usd` and `tokens` include reserved requests and unknown outcomes."""

    usd: Decimal
    tokens: int
    attempts: int
    unknown: tuple[_UnknownOutcome, ...]


@dataclass
class StudyAccount:
    """The committed cost of one study: settled plus reserved plus unknown. Shared by its purses.

    `writing` counts, by thread, reservations that are being written; `settling` are tickets whose
    outcome is.
    """

    usd: Decimal = Decimal(0)
    tokens: int = 0
    attempts: int = 0
    live: dict[int, _Reservation] = field(default_factory=dict)
    settled: threading.Condition = field(default_factory=threading.Condition)
    writing: Counter[int] = field(default_factory=Counter)
    settling: set[int] = field(default_factory=set)

    def book(self, usd: Decimal, tokens: int, attempts: int) -> None:
        """Add to the committed cost; the caller must hold `settled`."""
        self.usd = _EXACT.add(self.usd, usd)
        self.tokens += tokens
        self.attempts += attempts


class SpendingCap:
    """Hard caps on the money and tokens of one study, over all its threads, runs and retries.

    `usd` and `tokens` None: no cap. What `others` have committed, earlier studies, counts as well.
    Local work needs no purse. `salt` distinguishes studies started anew: it is part of a request's
    key, so that `--fresh` sends it again. Raises BudgetError (exit 6).
    """

    def __init__(
        self,
        ledger: PaidRequests,
        usd: Money | None = None,
        tokens: int | None = None,
        study: str = "",
        salt: str = "",
        others: Iterable[str] = (),
    ) -> None:
        self.ledger, self.study, self.salt = ledger, study, salt
        self.cap_usd = None if usd is None else _to_decimal(usd)
        self.cap_tokens = tokens
        with ledger.journal.lock:
            self._account = ledger.accounts.setdefault(study, _account_of(ledger, [study]))
            self._others = _account_of(ledger, others)

    def recorded(self, key: str) -> dict[str, Any] | None:
        """Return the stored reply to a request, or None; a stored request is never sent again."""
        return self.ledger.get(key)

    def recall(self, what: str) -> dict[str, Any] | None:
        """Return the fact about an endpoint that this study has stored as `what`, or None."""
        return self.ledger.frozen(self.study, what)

    def learn(self, what: str, value: dict[str, Any]) -> dict[str, Any]:
        """Store a fact about an endpoint as `what`; return the stored one: the first write wins."""
        return self.ledger.freeze(self.study, what, value)

    def reserve(self, usd: Money | None, tokens: int, key: str = "") -> _Reservation:
        """Reserve the worst case of one attempt, durably, and return the ticket to send it with.

        `usd` None means that the model has no price: refused under a money cap (TaskError). If only
        requests in flight on other threads exceed the cap, it waits for them to settle.
        """
        if usd is None and self.cap_usd is not None:
            raise TaskError(
                "a money cap needs a price, and this model has none",
                where="task.yaml: budget.usd",
                fix=f"write economics.prices: {{NAME: {PRICE_EXAMPLE}}} (USD per million tokens),"
                " or cap budget.tokens instead",
            )
        worst, account, me = _to_decimal(usd or 0), self._account, threading.get_ident()
        if worst < 0 or tokens < 0:
            raise ValueError("a worst case below zero")
        with account.settled:
            while not self._within_caps(worst, tokens):
                if not self._others_in_flight():
                    raise self._cap_error(worst, tokens)
                signals.check()
                account.settled.wait(0.2)
            signals.check()
            # Counted before it is written, so that no other thread spends it meanwhile.
            account.book(worst, tokens, 1)
            account.writing[me] += 1
        number = None
        try:  # without the lock: threads that write at once share a transaction
            number = self.ledger.attempt(key, {"usd": str(worst), "tokens": tokens}, self.study)
        finally:
            with account.settled:
                account.writing[me] -= 1
                if number is None:
                    account.book(worst.copy_negate(), -tokens, -1)
                else:
                    ticket = _Reservation(number, key, worst, tokens, me)
                    account.live[number] = ticket
                account.settled.notify_all()
        return ticket

    def settle(
        self,
        ticket: _Reservation,
        usd: Money | None,
        tokens: int | None,
        reply: dict[str, Any] | None = None,
    ) -> None:
        """Record the actual cost of an attempt, and its reply under the ticket's key, in one step.

        None means unknown: the worst case stays counted. So it does for an impossible cost
        (negative, not finite). A cost above the worst case is counted as reported.
        """
        account = self._account
        if reply is not None and not ticket.key:
            raise ValueError("a reply needs the key of its request: reserve(..., key=...)")
        real_usd, amount = _plausible_cost(usd), _plausible_cost(tokens)
        real_tokens = None if amount is None else int(amount)
        cost = {"usd": None if real_usd is None else str(real_usd), "tokens": real_tokens}
        with account.settled:
            if ticket.number not in account.live or ticket.number in account.settling:
                raise ValueError(f"attempt {ticket.number} is not in flight: settled twice?")
            account.settling.add(ticket.number)
        stored, written = None if reply is None else (ticket.key, reply), False
        try:  # without the lock: threads that write at once share a transaction
            self.ledger.outcome(ticket.number, cost, self.study, stored)
            written = True
        finally:  # not written: its outcome stays unknown, counted at the worst case
            with account.settled:
                account.settling.discard(ticket.number)
                del account.live[ticket.number]
                if written:
                    usd_more = (
                        Decimal(0) if real_usd is None else _EXACT.subtract(real_usd, ticket.usd)
                    )
                    tokens_more = 0 if real_tokens is None else real_tokens - ticket.tokens
                    account.book(usd_more, tokens_more, 0)
                account.settled.notify_all()

    def spent(self) -> _Spending:
        """Return the committed cost so far, with each attempt of unknown outcome."""
        account = self._account
        with account.settled:
            while any(account.writing.values()):  # its row may be there, and is not unknown
                account.settled.wait(0.2)
            return _Spending(account.usd, account.tokens, account.attempts, tuple(self._unknown()))

    def left(self) -> tuple[Decimal | None, int | None]:
        """Return (dollars, tokens) that may still be reserved, each None without a cap."""
        with self._account.settled:
            committed, counted = self._committed()
            usd = None if self.cap_usd is None else _EXACT.subtract(self.cap_usd, committed)
            tokens = None if self.cap_tokens is None else self.cap_tokens - counted
        return usd, tokens

    def _committed(self) -> tuple[Decimal, int]:
        """Return (dollars, tokens) that count against the caps; the caller must hold `settled`."""
        others, own = self._others, self._account
        return _EXACT.add(others.usd, own.usd), others.tokens + own.tokens

    def _within_caps(self, usd: Decimal, tokens: int) -> bool:
        committed, counted = self._committed()
        return (self.cap_usd is None or _EXACT.add(committed, usd) <= self.cap_usd) and (
            self.cap_tokens is None or counted + tokens <= self.cap_tokens
        )

    def _others_in_flight(self) -> bool:
        """Return whether another thread has a request in flight, which may free some of the cap."""
        me, account = threading.get_ident(), self._account
        writing = any(count for thread, count in account.writing.items() if thread != me)
        return writing or any(ticket.thread != me for ticket in account.live.values())

    def _cap_error(self, usd: Decimal, tokens: int) -> BudgetError:
        committed, counted = self._committed()
        money = self.cap_usd is not None and _EXACT.add(committed, usd) > self.cap_usd
        name, unit = ("budget.usd", "$") if money else ("budget.tokens", "")
        cap, used, need = (
            (self.cap_usd, committed, usd) if money else (self.cap_tokens, counted, tokens)
        )
        return BudgetError(
            "the next request could pass the cap, so it was not sent",
            where=f"task.yaml: {name}",
            got=f"{unit}{used} of {unit}{cap} committed, up to {unit}{need} needed",
            fix=f"raise {name} and run again",
        )

    def _unknown(self) -> list[_UnknownOutcome]:
        known = {
            row.name
            for row in self.ledger.journal.rows("outcome", self.study)
            if None not in row.content.values()
        }
        return [
            _UnknownOutcome(r.seq, c["key"], Decimal(c["usd"] or 0), int(c["tokens"] or 0), r.at)
            for r in self.ledger.journal.rows("attempt", self.study)
            if str(r.seq) not in known and r.seq not in self._account.live
            for c in [r.content]
        ]


def unknown_costs(purse: SpendingCap | None) -> dict[str, Any]:
    """Return {heading: text or lines} on attempts of unknown cost and their worst price; or {}.

    They were sent, and then killed in flight, cut or answered without a
    token count: each may have been billed up to its worst price, which stays counted.
    """
    unknown = purse.spent().unknown if purse else ()
    if not unknown:
        return {}
    usd = sum((item.usd for item in unknown), Decimal(0))
    tokens = sum(item.tokens for item in unknown)
    lines = [
        f"#{item.number} of {item.at}: up to ${item.usd.normalize():f}"
        for item in unknown[:_MOST_LISTED]
    ]
    more = [f"and {len(unknown) - _MOST_LISTED:,} more"] if len(unknown) > _MOST_LISTED else []
    noun = "request" if len(unknown) == 1 else "requests"
    return {
        UNKNOWN_OUTCOMES_NOTE: f"{len(unknown):,} {noun} sent whose outcome is not known: up to"
        f" ${usd.normalize():f} and {tokens:,} tokens may have been billed for them",
        "requests of unknown outcome": lines + more,
    }


def _to_decimal(value: Money) -> Decimal:
    """Return an amount as Decimal, a float by its shortest text (0.1 is 0.1)."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _plausible_cost(value: Money | None) -> Decimal | None:
    """Return a reported cost as Decimal, None if it is unknown or impossible."""
    try:
        amount = None if value is None else _to_decimal(value)
    except InvalidOperation:
        return None
    return None if amount is None or not amount.is_finite() or amount < 0 else amount


def _account_of(ledger: PaidRequests, studies: Iterable[str]) -> StudyAccount:
    """Return the costs of studies from their ledger; without an outcome the worst case counts."""
    account = StudyAccount()
    for study in studies:
        outcomes = {row.name: row.content for row in ledger.journal.rows("outcome", study)}
        for row in ledger.journal.rows("attempt", study):
            worst, real = row.content, outcomes.get(str(row.seq), {})
            usd, tokens = real.get("usd"), real.get("tokens")
            account.book(
                Decimal((worst["usd"] if usd is None else usd) or 0),
                int((worst["tokens"] if tokens is None else tokens) or 0),
                1,
            )
    return account


class PaidRequests(Protocol):
    """A ledger of paid requests; `accounts` holds the account of each study."""

    home: Path
    journal: Journal
    accounts: dict[str, Any]

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the value stored under a key, or None."""

    def frozen(self, study: str, kind: str) -> dict[str, Any] | None:
        """Return the value frozen for a study under `kind`, or None."""

    def freeze(self, study: str, kind: str, value: Any) -> dict[str, Any]:
        """Store a value for a study under `kind`; return the stored one: the first write wins."""

    def attempt(self, key: str, worst: dict[str, Any], study: str = "") -> int:
        """Record that a paid request is about to be sent; return its number."""

    def outcome(
        self,
        attempt: int,
        cost: dict[str, Any],
        study: str = "",
        reply: tuple[str, Any] | None = None,
        *,
        mirror: bool = True,
    ) -> None:
        """Record the cost of an attempt, and its reply (key, value) if it has one."""
