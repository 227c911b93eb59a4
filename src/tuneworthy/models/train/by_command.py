"""Train an adapter by a command of the user's: write rows and options, run it, take its adapter.

The rows are those of our own loop, each as messages and as token ids with labels. No shell reads
the command. It ends with this process at the latest, and after the minutes of the budget. What it
leaves is an adapter in PEFT's format, which is checked and sealed as our own is.
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.models.local.adapter_hooks import read_adapter
from tuneworthy.models.local.model_files import read_json
from tuneworthy.models.remote.process_guard import LOG_LINES, GuardedProcess
from tuneworthy.models.train.adapter import publish, seal
from tuneworthy.models.train.loop import rate_at
from tuneworthy.models.train.lora import (
    ADAPTER,
    LoraSettings,
    Trained,
    as_store_error,
    load_trained,
)
from tuneworthy.models.train.training_data import EncodedExample, EncodedRows, Example, TrainingData
from tuneworthy.models.train.twin import weights_hash
from tuneworthy.records.errors import ModelError, NumericError, TrainerFailed
from tuneworthy.store import signals

_IGNORED = -100  # the label of a token whose loss does not count
_CONFIG = "adapter_config.json"
_POLL_SECONDS = 0.2
_SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True)
class CommandRun:
    """A command, the folder below {output} with its adapter, its working folder and its seconds."""

    command: str
    adapter: str
    folder: Path
    seconds: float

    def fit(
        self, model: Any, lessons: TrainingData, settings: LoraSettings, seed: int, unit: Path
    ) -> Trained:
        """Return the adapter in `unit/adapter`; have the command train it unless complete.

        `model` and the errors of rows are those of `lora.fit_lora`. Raises TrainerFailed if the
        command fails, takes too long, or leaves no adapter of this model.
        """
        if kept := load_trained(unit / "adapter"):
            return kept
        rows, old = (EncodedRows.of(model, part) for part in (lessons.train, lessons.replay))
        rows.check(model)
        work = (unit / "command").resolve()  # the command starts in another folder
        base = Path(model.module.name_or_path).resolve()
        places = {"rows": work / "rows.jsonl", "options": work / "options.json",
                  "base": base, "output": work / "output"}  # fmt: skip
        given = {**{name: str(path) for name, path in places.items()}, "seed": str(seed)}
        with as_store_error(work):
            shutil.rmtree(work, ignore_errors=True)  # a run that was killed counts for nothing
            places["output"].mkdir(parents=True)
            lines = map(_line, (*rows.used, *old.used), (*rows.rows, *old.rows))
            places["rows"].write_text("".join(lines), "utf-8")
            count = len(rows.used) + len(old.used)
            steps = settings.pace.epochs * math.ceil(count / settings.pace.batch)
            options = self._options(model, settings, steps, {**given, "seed": seed})
            places["options"].write_text(json.dumps(options, indent=1), "utf-8")
        begun = time.perf_counter()
        lessons.say(f"the command trains; its output: {work / 'log.txt'}")
        self._run([_fill(word, given) for word in shlex.split(self.command)], work, lessons.say)
        seconds = time.perf_counter() - begun
        about = {"base": {**model.fingerprint, "spec": model.spec, "weights": weights_hash(model)},
                 "settings": settings.plain(), "seed": seed, "rows": rows.digest(EncodedRows()),
                 "trainer": self.command}  # fmt: skip
        built = self._checked_adapter(model, work, base)
        rate = lessons.dev_score if lessons.dev else None
        scored = {"epoch": settings.pace.epochs, "dev_score": None if rate is None else rate(built),
                  "dev_loss": None, "p_end": None}  # fmt: skip
        trace = {"evaluations": [scored], "chosen": settings.pace.epochs, "stopped_early": None,
                 "rows": rows.account(), "seconds": seconds, "seed": seed,
                 **({"replay": old.account()} if lessons.replay else {})}  # fmt: skip
        with as_store_error(unit):
            (built / "trace.json").write_text(json.dumps(trace, allow_nan=False), "utf-8")
            seal(built, about)
            final = publish(built, unit / "adapter")
            shutil.rmtree(work)
        return Trained(final, trace)

    def _options(
        self, model: Any, settings: LoraSettings, steps: int, given: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what the file {options} holds: places, the adapter's shape and the schedule."""
        shape = settings.plain()
        pace = shape.pop("pace")
        names = ("rank", "alpha", "targets", "dora", "rslora")
        return {
            "schema": 1,
            **{name: value for name, value in given.items() if name != "options"},
            "adapter": str(Path(given["output"]) / self.adapter),
            "base_name": model.spec,
            "context": model.context,
            **{name: getattr(settings, name) for name in names},
            **{name: pace[name] for name in ("epochs", "batch", "rate", "warmup", "clip")},
            "rates": [rate_at(step, steps, settings.pace) for step in range(steps)],
        }

    def _run(self, words: Sequence[str], work: Path, say: Any) -> None:
        """Run the command to its end; raise TrainerFailed if it fails or takes too long."""
        program = shutil.which(self.folder / words[0] if "/" in words[0] else words[0])
        if program is None:
            raise self._failure("the command's program is not here", words[0])
        log = work / "log.txt"
        process = GuardedProcess.start([program, *words[1:]], log, folder=self.folder)
        running = GuardedProcess(log, process)
        begun = told = time.monotonic()
        try:
            while (code := running.process.poll()) is None:
                signals.check()
                time.sleep(_POLL_SECONDS)
                now = time.monotonic()
                if now - begun > self.seconds:
                    what = f"the command still ran after {self.seconds / 60:g} minutes"
                    raise self._failure(f"{what} (budget.minutes)", running.last_lines())
                if now - told >= _SECONDS_BETWEEN_LINES:
                    told = now
                    last = "".join(running.last_lines().splitlines()[-1:])
                    say(f"training for {now - begun:.0f} s: {last[-100:]}")
        finally:
            running.stop()
        if code:
            raise self._failure(f"the command ended with exit code {code}", running.last_lines())

    def _checked_adapter(self, model: Any, work: Path, base: Path) -> Path:
        """Check the command's adapter; return a new folder with it alone."""
        left, built = work / "output" / self.adapter, work / "new"
        lacking = [name for name in (ADAPTER, _CONFIG) if not (left / name).is_file()]
        if lacking:
            raise self._failure(
                f"the command left no {lacking[0]}", ", ".join(_names(work / "output")) or "nothing"
            )
        names = {"", str(base), model.spec, model.spec.removeprefix("hf:").partition("@")[0]}
        try:
            config = read_json(left / _CONFIG)
            base_of = str(config.get("base_model_name_or_path") or "")
            if base_of not in names and Path(base_of).resolve() != base:
                raise self._failure("the command's adapter names another base model", base_of)
            with as_store_error(built):
                built.mkdir()
                shutil.copyfile(left / ADAPTER, built / ADAPTER)
                config |= {"inference_mode": True, "base_model_name_or_path": model.spec}
                (built / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), "utf-8")
            read_adapter(built, model.module, weights_hash(model))
        except (ModelError, NumericError) as error:
            raise self._failure("the command's adapter can't be used", str(error)) from error
        return built

    def _failure(self, what: str, got: str) -> TrainerFailed:
        lines = got.splitlines()[-LOG_LINES:]
        return TrainerFailed(
            what,
            where=[line[:200] for line in lines[:-1]] or self.command,
            got=lines[-1][:500] if lines else "it wrote nothing",
            fix="mend the command (docs/how-to/train-by-a-command.md) and run again",
            kept="all other answers",
        )


def _line(example: Example, row: EncodedExample) -> str:
    turns = [{"role": m.role, "content": m.content} for m in example.messages]
    pairs = zip(row.ids, row.mask, strict=True)
    told = {
        "id": example.id,
        "messages": [*turns, {"role": "assistant", "content": example.answer}],
        "input_ids": row.ids,
        "labels": [token if trained else _IGNORED for token, trained in pairs],
    }
    return json.dumps(told, ensure_ascii=False) + "\n"


def _fill(word: str, given: dict[str, str]) -> str:
    """Return a word of the command with what its placeholders stand for; other braces stay."""
    for name, value in given.items():
        word = word.replace(f"{{{name}}}", value)
    return word


def _names(folder: Path) -> list[str]:
    """Return the first eight names in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())[:8]
