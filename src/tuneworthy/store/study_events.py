"""Write the events of a running study into the ledger, so that another process can show them.

Events are for display: they may repeat after a resume, and no result depends on them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tuneworthy.records.plan import PlannedArm
from tuneworthy.store.store import Ledger

# Between two rows about answers or messages: each row is a durable write.
_SECONDS_BETWEEN_ROWS = 2.0
_MOST_TEXT = 500  # characters of a message that are stored
_RESULTS_FOLDER_KIND = "results folder"
"""The kind under which the name of a study's results folder is frozen."""


class StudyEvents:
    """Writes a running study's events into its ledger and passes them on to `tell`.

    `folder` is the name of the results folder that the study will have.
    """

    def __init__(
        self, ledger: Ledger, study: str, folder: str, tell: Callable[[str, Any], None]
    ) -> None:
        self._ledger, self._study, self._tell = ledger, study, tell
        self._arm, self._total, self._done = "", 0, 0
        self._written: dict[str, float] = {}
        ledger.freeze(study, _RESULTS_FOLDER_KIND, {"folder": folder})
        self._log("begin", {})

    def __call__(self, event: str, data: Any) -> None:
        """Write one event ("arm", "answers", "step" or "say") to the ledger; pass all to `tell`."""
        if event == "arm":
            self._begin_arm(data)
        elif event == "answers" and self._arm:
            self._done = min(self._done + data, self._total)
            self._log_seldom("answers", self._progress())
        elif event == "step":
            if self._arm:
                self._log("answers", {**self._progress(), "done": self._total})
            self._log("step", data.plain() if data else {})
        elif event == "say":
            self._log_seldom("say", {"text": str(data)[:_MOST_TEXT]})
        self._tell(event, data)

    def _begin_arm(self, planned: PlannedArm) -> None:
        self._arm = "" if planned.because else planned.spec.name
        self._total, self._done = planned.requests, 0
        self._log("arm", {"arm": planned.spec.name, "total": self._total,
                          "because": str(planned.because or "")})  # fmt: skip

    def _progress(self) -> dict[str, Any]:
        return {"arm": self._arm, "done": self._done, "total": self._total}

    def _log_seldom(self, kind: str, value: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self._written.get(kind, -_SECONDS_BETWEEN_ROWS) >= _SECONDS_BETWEEN_ROWS:
            self._written[kind] = now
            self._log(kind, value)

    def _log(self, kind: str, value: dict[str, Any]) -> None:
        self._ledger.log(self._study, kind, value)


def begun_studies(ledger: Ledger) -> dict[str, str]:
    """Return {study: name of its results folder} of every study that was begun, in order."""
    rows = ledger.journal.rows("frozen")
    return {
        row.study: str(row.content.get("folder", ""))
        for row in rows
        if row.kind == _RESULTS_FOLDER_KIND
    }
