"""Whether a training may start: answered in a moment from the stored verdict for these rows.

It reads the latest verdict beside task.yaml and hashes its files; it loads no row and no model. A
verdict speaks for the rows only while each file of the task is as the study read it.
"""

from __future__ import annotations

import json
import re
import warnings
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from tuneworthy.records.errors import TaskError, TuneworthyError
from tuneworthy.records.record import file_sha256, plain_file
from tuneworthy.rows.fingerprint import FILES_FILE, file_digests

TRAINING = re.compile(
    r"\b(accelerate\s+launch|torchrun|deepspeed|axolotl|llamafactory-cli|trl\s+\w+|autotrain"
    r"|tune\s+run|mlx_lm\.lora|unsloth\w*|fine[-_ ]?tun\w*|(pre)?train\w*\.(py|sh)"
    r"|(sft|dpo|grpo|lora|qlora|distil)\w*\.(py|sh))\b",
    re.IGNORECASE,
)
_LATEST, _VERDICT = Path("results/latest"), "verdict.json"
_KEYS = {"task", "use", "arm", "status", "because", "next"}
_ASK = "measure first: `tuneworthy check`, `tuneworthy plan`, then `tuneworthy run`"


class Answer(NamedTuple):
    """Whether a training may start, whether a verdict says so, and why."""

    allowed: bool
    measured: bool
    why: str


def may_train(task: Path, closed: bool = False, today: date | None = None) -> Answer:
    """Return whether a training on a task's rows may start.

    A firm verdict for tuning or distilling allows it, one for another arm refuses it. Where none
    holds (no study, newer rows, an end that has passed, a provisional one), `closed` refuses.
    """
    try:
        verdict = _latest(task, _VERDICT)
        changed = _changed_file(task)
    except (OSError, ValueError, TuneworthyError) as error:
        why = str(error).partition("\n")[0]
        return Answer(not closed, False, f"no verdict holds for these rows ({why}): {_ASK}")
    use, arm, status = verdict["use"], verdict["arm"], verdict["status"]
    end = (verdict.get("economics") or {}).get("expires")
    said = f"the verdict for {task} is {use}{f' ({arm})' if arm else ''}, {status}"
    if changed:
        return Answer(not closed, False, f"the verdict is not of this {changed}: {_ASK}")
    if end and date.fromisoformat(end[:10]) < (today or date.today()):
        return Answer(not closed, False, f"the verdict ended on {end[:10]}: {_ASK}")
    if status == "blocked":
        return Answer(False, True, f"{said}: {verdict['because']}")
    if use not in ("tune", "distil"):
        return Answer(False, True, f"don't fine-tune yet: {said}. {verdict['because']}")
    if status != "firm":
        next_step = verdict["next"]["do"]
        return Answer(not closed, True, f"{said}: not shown yet; next: {next_step}")
    return Answer(True, True, said)


def asks_to_train(event: dict[str, Any]) -> bool:
    """Return whether a tool call of an agent (its hook's JSON) starts a training, by its words."""
    call = event.get("tool_input") or event.get("input") or {}
    words = call.get("command", "") if isinstance(call, dict) else call
    words = " ".join(map(str, words)) if isinstance(words, list) else str(words)
    return bool(TRAINING.search(words)) and "tuneworthy" not in words


def check_task(task: Path) -> None:
    """Raise TaskError if the latest study of a folder is of another task file, or an older one."""
    try:
        same = _latest(task, FILES_FILE).get(task.name) == file_sha256(task)
    except (OSError, ValueError):
        same = False
    if not same:
        raise TaskError("the latest study here is not of this file as it is now", where=str(task),
                        fix="`tuneworthy run` it")  # fmt: skip


def _latest(task: Path, file: str) -> dict[str, Any]:
    """Return a file of the latest study in a task's folder. Raise OSError or ValueError if none."""
    latest = task.parent / _LATEST
    if not latest.exists():
        raise ValueError("no study was run")
    name = plain_file(latest, 1000).decode("utf-8").strip()
    found = json.loads(plain_file(latest.parent / name / file))
    if not isinstance(found, dict) or (file == _VERDICT and not set(found) >= _KEYS):
        raise ValueError("the verdict can't be read")
    return found


def _changed_file(task: Path) -> str:
    """Return the name of a file of the task that is not as the latest study read it; "" if all are.

    So the verdict of another task file of the folder does not hold either.
    """
    now, read = file_digests(task), _latest(task, FILES_FILE)
    return next((name for name in (*now, *read) if now.get(name) != read.get(name)), "")


class TrainGateCallback:
    """A callback of `transformers.Trainer` and of TRL's trainers: it warns, and stops nothing.

    `Trainer(..., callbacks=[TrainGateCallback("task.yaml")])`.
    """

    def __init__(self, task: str | Path = "task.yaml") -> None:
        self.task = Path(task)

    def on_train_begin(self, *_values: Any, **_named: Any) -> None:
        """Warn where no firm verdict for these rows says that training pays."""
        answer = may_train(self.task, closed=True)
        if not answer.allowed:
            warnings.warn(answer.why, stacklevel=2)

    def __getattr__(self, name: str) -> Any:
        """Return a function that does nothing, for each other event that a trainer calls."""
        if name.startswith("on_"):
            return lambda *values, **named: None
        raise AttributeError(name)
