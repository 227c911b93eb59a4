"""`Reason`: why something was not measured, left out or ended early, with a kind for code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator

from tuneworthy.records.record import Record


class Why(StrEnum):
    """The kinds of reasons that code tells apart; `other`: only its words say."""

    OTHER = "other"
    NEEDS = "needs"
    NOT_INSTALLED = "not installed"
    NO_ROOM = "no room"
    NO_ROOM_FOR_FOLDS = "no room for folds"
    STOPPED = "stopped"
    MODEL_UNAVAILABLE = "model unavailable"


WORDS = {
    Why.OTHER: "{}",
    Why.NEEDS: "needs {}",
    Why.NOT_INSTALLED: "needs {}",
    Why.NO_ROOM: "the minutes have no room for it (budget.minutes){}",
    Why.NO_ROOM_FOR_FOLDS: "{}the minutes have no room for its other folds",
    Why.STOPPED: "the run was stopped before it; `tuneworthy run` goes on{}",
    Why.MODEL_UNAVAILABLE: "its model can't be asked: {}",
}


class Reason(Record):
    """A reason; `about` is what it speaks of, such as the short name of what is missing.

    `text` are its words where those of its kind (WORDS) do not say all. A reason MODEL_UNAVAILABLE
    can be mended: such a run is not stored, and the study's results are not final.
    """

    why: Why = Why.OTHER
    about: str = ""
    text: str = ""

    def __str__(self) -> str:
        return self.text or WORDS[self.why].format(self.about)

    @property
    def lacking(self) -> bool:
        """Return whether the reason is a missing need: a key, rows, a model, a package."""
        return self.why in (Why.NEEDS, Why.NOT_INSTALLED)

    @classmethod
    def of(cls, said: str | Reason = "") -> Reason:
        """Return a Reason as it is; a text becomes the words of a Reason of kind "other"."""
        return said if isinstance(said, Reason) else cls(text=said)

    @classmethod
    def joined(cls, reasons: Sequence[Reason]) -> Reason | None:
        """Return several reasons as one of the first's kind; None if there are none."""
        words = "; ".join(map(str, reasons))
        return reasons[0].model_copy(update={"text": words}) if reasons else None

    @classmethod
    def needs(cls, about: str, more: str = "") -> Reason:
        """Return the Reason `needs ABOUT` for something missing; `more` follows in its words."""
        return cls(why=Why.NEEDS, about=about, text=f"needs {about}{more}")

    @classmethod
    def not_fetched(cls, title: str, name: str, megabytes: int) -> Reason:
        """Return the Reason that a model is not on this machine, with the command that gets it."""
        get = f"tuneworthy models get {name}"
        text = f"needs {title}: {get} ({megabytes} MB, once)"
        return cls(why=Why.NEEDS, about=f"{title} ({get})", text=text)

    @classmethod
    def not_installed(cls, packages: Sequence[str], extra: str) -> Reason | None:
        """Return the Reason that these packages are not installed; None if there are none."""
        text = f"needs {', '.join(packages)}: pip install '{extra}'"
        return cls(why=Why.NOT_INSTALLED, about=extra, text=text) if packages else None

    @classmethod
    def from_older(cls, said: Any) -> Any:
        """Return a text that an older version stored as a Reason, "" as None; all else as it is.

        Each kind that it told by a beginning is read here; other words stay words.
        """
        if not isinstance(said, str):
            return said
        for why in (Why.NO_ROOM, Why.MODEL_UNAVAILABLE):
            if said.startswith(beginning := WORDS[why].removesuffix("{}")):
                return cls(why=why, about=said.removeprefix(beginning))
        need = re.match(r"needs (.+?)(?: \(|: (tuneworthy models get \S+|pip)?|; |$)", said)
        if need and need[2] == "pip":
            return cls(why=Why.NOT_INSTALLED, about="tuneworthy[train]", text=said)
        if need:
            about = need[1] + (f" ({need[2]})" if need[2] else "")
            return cls(why=Why.NEEDS, about=about, text=said)
        cut = str(NO_ROOM_FOR_FOLDS) in said
        return cls(why=Why.NO_ROOM_FOR_FOLDS if cut else Why.OTHER, text=said) if said else None


NO_ROOM = Reason(why=Why.NO_ROOM)
NO_ROOM_FOR_FOLDS = Reason(why=Why.NO_ROOM_FOR_FOLDS)
Because = Annotated[Reason | None, BeforeValidator(Reason.from_older)]


def is_reason(because: Reason | None, *kinds: Why) -> bool:
    """Return whether there is a reason, and it is of one of these kinds."""
    return because is not None and because.why in kinds
