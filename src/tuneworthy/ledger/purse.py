"""Money and tokens: the worst case is reserved before a request is sent, or it isn't sent.

Knows no provider. An attempt is a row on the disk before the request leaves; its outcome is a row
after. An attempt without outcome (killed in flight, timed out) may have been billed: it is
listed, and counted at its worst case for good. Sums are Decimal, never float.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from tuneworthy.core.errors import BudgetError, TaskError
from tuneworthy.core.record import digest
from tuneworthy.ledger import signals

if TYPE_CHECKING:
    from tuneworthy.ledger.paid import PaidRequests

Money = Decimal | float | int | str
# Decimal rounds sums to 28 digits by default: a price of 1e-30 beside 0.3 would vanish.
_EXACT = Context(prec=400)
LISTED = 20  # attempts of unknown outcome that are listed one by one
UNSETTLED = "unknown outcomes"


@dataclass(frozen=True)
class Ticket:
    """A reservation: the right to send one request once. `retry_key` is the same for each retry.

    Send `retry_key` as the Idempotency-Key header: a server that knows it bills a request once.
    """

    number: int
    key: str
    usd: Decimal
    tokens: int
    thread: int

    @property
    def retry_key(self) -> str:
        """Return the stable name of the request that this attempt belongs to."""
        return digest({"request": self.key or self.number}, 32)


@dataclass(frozen=True)
class Unknown:
    """An attempt whose outcome is not known: it may have been billed up to `usd`."""

    number: int
    key: str
    usd: Decimal
    tokens: int
    at: str


@dataclass(frozen=True)
class Spend:
    """What a study has cost. `usd` and `tokens` include reserved requests and unknown outcomes."""

    usd: Decimal
    tokens: int
    attempts: int
    unknown: tuple[Unknown, ...]


@dataclass
class Account:
    """What is committed for one study: settled plus reserved plus unknown. Shared by its purses."""

    usd: Decimal = Decimal(0)
    tokens: int = 0
    attempts: int = 0
    live: dict[int, Ticket] = field(default_factory=dict)
    settled: threading.Condition = field(default_factory=threading.Condition)


class Purse:
    """Hard caps on the money and tokens of one study, over all its threads, runs and retries.

    `usd` and `tokens` None: no cap. Local work needs no purse. `salt` tells studies started anew
    apart: it belongs to the key of a request, so that `--fresh` asks again. Raises BudgetError
    (exit 6).
    """

    def __init__(
        self,
        ledger: PaidRequests,
        usd: Money | None = None,
        tokens: int | None = None,
        study: str = "",
        salt: str = "",
    ) -> None:
        self.ledger, self.study, self.salt = ledger, study, salt
        self.cap_usd = None if usd is None else exact(usd)
        self.cap_tokens = tokens
        with ledger.journal.lock:
            self._account = ledger.accounts.setdefault(study, _account(ledger, study))

    def recorded(self, key: str) -> dict[str, Any] | None:
        """Return the stored reply to a request, or None: what is stored is never sent again."""
        return self.ledger.get(key)

    def recall(self, what: str) -> dict[str, Any] | None:
        """Return what this study has learnt of an endpoint under a name, or None."""
        return self.ledger.frozen(self.study, what)

    def learn(self, what: str, value: dict[str, Any]) -> dict[str, Any]:
        """Keep what was learnt of an endpoint and return what is kept: the first one stays."""
        return self.ledger.freeze(self.study, what, value)

    def reserve(self, usd: Money | None, tokens: int, key: str = "") -> Ticket:
        """Reserve the worst case of one attempt, durably, and return the ticket to send it with.

        `usd` None means that the model has no price: refused under a money cap (TaskError). Where
        only requests in flight on other threads stand in the way, it waits for them to settle.
        """
        if usd is None and self.cap_usd is not None:
            raise TaskError(
                "a money cap needs a price, and this model has none",
                where="task.yaml: budget.usd",
                fix="give its price under economics.prices, or cap budget.tokens instead",
            )
        worst, account = exact(usd or 0), self._account
        if worst < 0 or tokens < 0:
            raise ValueError("a worst case below zero")
        with account.settled:
            while not self._fits(worst, tokens):
                if not self._others():
                    raise self._broke(worst, tokens)
                signals.check()
                account.settled.wait(0.2)
            signals.check()
            number = self.ledger.attempt(key, {"usd": str(worst), "tokens": tokens}, self.study)
            ticket = Ticket(number, key, worst, tokens, threading.get_ident())
            account.live[number] = ticket
            account.usd = _EXACT.add(account.usd, worst)
            account.tokens += tokens
            account.attempts += 1
        return ticket

    def settle(
        self,
        ticket: Ticket,
        usd: Money | None,
        tokens: int | None,
        reply: dict[str, Any] | None = None,
    ) -> None:
        """Record what an attempt really cost, and its reply under the ticket's key, in one step.

        None means not known: the worst case stays counted. So does a cost that can't be true
        (negative, not finite). A cost above the worst case is counted as told.
        """
        account = self._account
        if reply is not None and not ticket.key:
            raise ValueError("a reply needs the key of its request: reserve(..., key=...)")
        real_usd, told = _told(usd), _told(tokens)
        real_tokens = None if told is None else int(told)
        cost = {"usd": None if real_usd is None else str(real_usd), "tokens": real_tokens}
        with account.settled:
            if account.live.get(ticket.number) is None:
                raise ValueError(f"attempt {ticket.number} is not in flight: settled twice?")
            stored = None if reply is None else (ticket.key, reply)
            try:
                self.ledger.outcome(ticket.number, cost, self.study, stored)
            except BaseException:  # its outcome stays unknown: counted at its worst case
                del account.live[ticket.number]
                account.settled.notify_all()
                raise
            del account.live[ticket.number]
            if real_usd is not None:
                account.usd = _EXACT.add(_EXACT.subtract(account.usd, ticket.usd), real_usd)
            account.tokens += (
                ticket.tokens if real_tokens is None else real_tokens
            ) - ticket.tokens
            account.settled.notify_all()

    def spent(self) -> Spend:
        """Return what is committed so far, with each attempt whose outcome is not known."""
        account = self._account
        with account.settled:
            return Spend(account.usd, account.tokens, account.attempts, tuple(self._unknown()))

    def left(self) -> tuple[Decimal | None, int | None]:
        """Return the money and tokens that may still be reserved; None where there is no cap."""
        account = self._account
        with account.settled:
            usd = None if self.cap_usd is None else _EXACT.subtract(self.cap_usd, account.usd)
            tokens = None if self.cap_tokens is None else self.cap_tokens - account.tokens
        return usd, tokens

    def _fits(self, usd: Decimal, tokens: int) -> bool:
        account = self._account
        return (self.cap_usd is None or _EXACT.add(account.usd, usd) <= self.cap_usd) and (
            self.cap_tokens is None or account.tokens + tokens <= self.cap_tokens
        )

    def _others(self) -> bool:
        """Tell whether another thread has a request in flight, which may settle below its worst."""
        me = threading.get_ident()
        return any(ticket.thread != me for ticket in self._account.live.values())

    def _broke(self, usd: Decimal, tokens: int) -> BudgetError:
        account = self._account
        money = self.cap_usd is not None and _EXACT.add(account.usd, usd) > self.cap_usd
        name, unit = ("budget.usd", "$") if money else ("budget.tokens", "")
        cap, used, need = (
            (self.cap_usd, account.usd, usd) if money else (self.cap_tokens, account.tokens, tokens)
        )
        return BudgetError(
            "the next request could pass the cap, so it was not sent",
            where=f"task.yaml: {name}",
            got=f"{unit}{used} of {unit}{cap} committed, up to {unit}{need} needed",
            fix=f"raise {name} and run again",
        )

    def _unknown(self) -> list[Unknown]:
        known = {
            row.name
            for row in self.ledger.journal.rows("outcome", self.study)
            if None not in row.content.values()
        }
        return [
            Unknown(r.seq, c["key"], Decimal(c["usd"] or 0), int(c["tokens"] or 0), r.at)
            for r in self.ledger.journal.rows("attempt", self.study)
            if str(r.seq) not in known and r.seq not in self._account.live
            for c in [r.content]
        ]


def unsettled(purse: Purse | None) -> dict[str, Any]:
    """Return the attempts whose cost is not known, with their worst prices, as plain text.

    Empty where there are none. They were sent, and killed in flight, cut or answered without a
    count of tokens: each may have been billed up to its worst price, which stays counted.
    """
    found = purse.spent().unknown if purse else ()
    if not found:
        return {}
    usd = sum((one.usd for one in found), Decimal(0))
    tokens = sum(one.tokens for one in found)
    lines = [f"#{one.number} of {one.at}: up to ${one.usd.normalize():f}" for one in found[:LISTED]]
    more = [f"and {len(found) - LISTED:,} more"] if len(found) > LISTED else []
    noun = "request" if len(found) == 1 else "requests"
    return {
        UNSETTLED: f"{len(found):,} {noun} sent whose outcome is not known: up to"
        f" ${usd.normalize():f} and {tokens:,} tokens may have been billed for them",
        "requests of unknown outcome": lines + more,
    }


def exact(value: Money) -> Decimal:
    """Return an amount as Decimal, a float by its shortest text (0.1 is 0.1)."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _told(value: Money | None) -> Decimal | None:
    """Return what a provider said if it can be true, else None."""
    try:
        told = None if value is None else exact(value)
    except InvalidOperation:
        return None
    return None if told is None or not told.is_finite() or told < 0 else told


def _account(ledger: PaidRequests, study: str) -> Account:
    """Return the account of a study as the ledger has it: no outcome counts as the worst case."""
    outcomes = {row.name: row.content for row in ledger.journal.rows("outcome", study)}
    account = Account()
    for row in ledger.journal.rows("attempt", study):
        worst, real = row.content, outcomes.get(str(row.seq), {})
        usd, tokens = real.get("usd"), real.get("tokens")
        account.usd = _EXACT.add(account.usd, Decimal((worst["usd"] if usd is None else usd) or 0))
        account.tokens += int((worst["tokens"] if tokens is None else tokens) or 0)
        account.attempts += 1
    return account
