"""The error classes, one exit code per class.

TuneworthyError
├── TaskError        2   task file, command line, options that contradict each other
│   ├── NotInstalled 2   a missing extra; `fix` is the exact pip command
│   └── SecurityError 2  something we refuse to open, run, send or expose
├── DataError        5   rows, files, labels, splits, leakage
├── ModelError       1   weights, tokenizer, template, adapter, engine, device, memory
│   └── DoesNotFit   1   a model, a batch or a training step exceeds the free memory
├── ProviderError    1   an endpoint, after the last retry
│   ├── NotProven    1   a server that did not prove to run the tuned model
│   └── Unanswered   1   an endpoint that left requests of an arm unanswered for now
├── ClusterError     1   a cluster: not reached, of other versions, too small, lost, full
├── NumericError     1   non-finite, exploding or non-learning training
├── BudgetError      6   a money or token cap is reached
└── StoreError       7   busy, locked, full, read-only, malformed, newer than this version

`DoesNotApply` is no error: an arm raises it to say why it can't be measured on this task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tuneworthy.records.escape import quoted, visible
from tuneworthy.records.redaction import environment_key_in, without_environment_keys

STUDIES_ARE_KEPT = "the store and all past results; `tuneworthy run` continues where it stopped"


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, then the one that caused it, and so on; nothing for None."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class TuneworthyError(Exception):
    """An error with five parts: what, where, what was got, how to fix it, what was kept.

    Every part is escaped and `got` is cut to 200 characters, so data can't forge a line of the
    message or send a control sequence to the terminal. Each of several places gets its own line.
    API keys of the environment are removed.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | Sequence[str] = "",
        got: str = "",
        fix: str = "",
        kept: str = STUDIES_ARE_KEPT,
    ) -> None:
        places = [where] if isinstance(where, str) else where
        self.where = "\n         ".join(map(_shown, places))
        self.what, self.fix, self.kept = map(_shown, (what, fix, kept))
        self.got = quoted(without_environment_keys(str(got)))
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [f"{type(self).__name__}: {self.what}"]
        for part in ("where", "got", "fix", "kept"):
            if text := getattr(self, part):
                lines.append(f"  {part:<6} {text}")
        return "\n".join(lines)

    def plain(self) -> dict[str, object]:
        """Return the error for `--json`: class name, exit code and the five parts."""
        parts = {part: getattr(self, part) for part in ("what", "where", "got", "fix", "kept")}
        return {"error": type(self).__name__, "exit_code": self.exit_code, **parts}


def _shown(text: str) -> str:
    return visible(without_environment_keys(text))


class TaskError(TuneworthyError):
    """The task file or the command line asks for something impossible."""

    exit_code = 2


class NotInstalled(TaskError):
    """A package that this command needs is not installed."""


class SecurityError(TaskError):
    """Something we refuse to open, run, send or expose."""


def refuse_environment_keys(value: object, where: str) -> None:
    """Raise SecurityError if a text, or JSON at any depth, holds an API key of the environment.

    What is read is stored, shown, and sent to models at other addresses.
    """
    if name := environment_key_in(value):
        raise SecurityError(
            f"the API key in {name} stands in this text",
            where=where,
            got="(a key; not shown)",
            fix="remove it, and get a new key: whoever saw this text knows the old one",
        )


class DataError(TuneworthyError):
    """Rows, files, labels or splits that can't be used for measurement.

    `misspelt`: labels of a meaning differ only in case or spaces.
    """

    exit_code = 5
    misspelt = False


class ModelError(TuneworthyError):
    """A fault in weights, tokenizer, template, adapter, engine, device or memory."""


class DoesNotFit(ModelError):
    """A model, a batch or a training step exceeds the free memory."""


class ProviderError(TuneworthyError):
    """An endpoint failed after the last retry."""


class NotProven(ProviderError):
    """A server did not prove that it answers with the tuned model."""


class TrainerFailed(ProviderError):
    """A command of the user's left no adapter that can be used; a later run starts it again."""


class Unanswered(ProviderError):
    """An endpoint left requests of an arm unanswered, which a later run may send again."""


class ClusterError(TuneworthyError):
    """A cluster can't be reached, differs from this process, is too small, or lost its nodes."""


class NumericError(TuneworthyError):
    """Training is not finite or does not learn."""


class BudgetError(TuneworthyError):
    """A hard cap on money or tokens is reached."""

    exit_code = 6


class StoreError(TuneworthyError):
    """The ledger is busy, full, read-only, malformed or newer than this version."""

    exit_code = 7


class DoesNotApply(Exception):
    """Raised by an arm that can't be measured on this task, with the Reason or its words."""


EXIT_CODES: dict[int, str] = {
    0: "done; of a study: a verdict, and the target is met or none is set",
    1: "a failure of the run, a study that `report --recompute` finds changed, or a bug of ours",
    2: "the command line or the task file is wrong",
    3: (
        "a verdict: the target is missed, or not shown to be met; `check --run`: a failure is"
        " found; `gate`: worse"
    ),
    4: (
        "blocked, or provisional under --require-firm; `build`: an exported form failed its check;"
        " `check --run`: nothing to measure; `gate`: cannot say"
    ),
    5: "rows are refused",
    6: "a hard cap on money or tokens is reached (resumable)",
    7: "the store is busy, full, damaged or cannot be written",
    130: "stopped by Ctrl-C (resumable)",
    141: "the reader of the output closed it",
    143: "stopped by SIGTERM or SIGHUP (resumable)",
}


def exit_code_lines(meanings: Mapping[int, str]) -> str:
    """Return text for the end of a help screen: a line per exit code with its meaning."""
    lines = [f"  {code:>3}  {meaning}" for code, meaning in meanings.items()]
    return "\n".join(["\b", "Exit codes:", *lines])  # click keeps the lines of a block after \b
