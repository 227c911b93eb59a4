"""Record the playground: its small adapters, and the answers at all stops of its controls.

A setting's answers are stored under a digest of what they depend on, so a stopped recording goes
on. Knows no page.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from tuneworthy.lab.encode import trained_model
from tuneworthy.lab.events import SCHEMA, Event, read_record, write_record
from tuneworthy.lab.play_run import (
    ADAPTERS,
    SEED,
    SHOWN_ALTERNATIVES,
    SHOWN_INPUTS,
    TASKS,
    PlayArm,
    PlayRun,
    all_arms,
    arm_key,
    has_docs,
    model_at,
    play_config,
    playground_data,
    record_name,
    task_rows,
)
from tuneworthy.lab.recordings import PACKAGE_RECORDS
from tuneworthy.records.failure import DEFAULTS
from tuneworthy.records.record import digest

SMALL = {**DEFAULTS, "rank": 1, "rate": 2e-3}
"""How the small adapters are trained: as the lab's clean run, but with rank 1 at twice the rate."""
SURE = -0.05  # a token likelier than this (nats) has no alternatives in the record: it had none
LEAST_SHOWN, MOST_SHOWN = -3.0, 3  # alternatives under 5 % are left out; the most a token has


def ship_adapters(base: Any, shared: Path, folder: Path = ADAPTERS) -> Iterator[Path]:
    """Train a small adapter for each task, round its numbers to bf16, and yield its new folder."""
    import torch
    from safetensors.torch import load_file, save_file

    from tuneworthy.models.local.adapter_hooks import ADAPTER
    from tuneworthy.models.train.adapter import MANIFEST, read_sealed, seal

    for name in TASKS:
        own = folder / name
        with_adapter = trained_model(base, task_rows(name), SEED, shared, SMALL)
        (made,) = (
            each for each in shared.glob("adapter-*")
            if (read_sealed(each) or {}).get("files", {}).get(ADAPTER, {}).get("sha256")
            == with_adapter.adapter.hash
        )  # fmt: skip
        about = {key: value for key, value in (read_sealed(made) or {}).items() if key != "files"}
        shutil.rmtree(own, ignore_errors=True)
        shutil.copytree(made, own, ignore=shutil.ignore_patterns(MANIFEST))
        exact = load_file(made / ADAPTER)
        save_file({key: value.to(torch.bfloat16) for key, value in exact.items()}, own / ADAPTER)
        seal(own, about)
        yield own


class PlayRecorder:
    """Answers the inputs that the page offers, at each setting once, and packs the records."""

    def __init__(self, base: Any, folder: Path) -> None:
        """`base` is the embedded model; `folder` stores the answers to each setting."""
        self.base, self.folder = base, folder

    def write(self, folder: Path = PACKAGE_RECORDS) -> Iterator[Path]:
        """Write the page's data with its curves, and the answers to each input that it offers."""
        curves = {}
        for name in TASKS:
            answered = {arm_key(arm): self.answers(name, arm) for arm in all_arms(name)}
            curves[name] = {key: _means(answers) for key, answers in answered.items()}
            for at, text in enumerate(_inputs(name)):
                play = PlayRun(play_config(name, text, PlayArm()), SEED, self.base)
                with_passage = play_config(name, text, PlayArm(passage=has_docs(name)))
                passage = PlayRun(with_passage, SEED, self.base).passage
                head = {"kind": "grid", "schema": SCHEMA, "task": name, "input": text,
                        "ends": play.end_texts(), "passage": passage,
                        "model": self.base.spec}  # fmt: skip
                columns = [_packed(key, answers[at]) for key, answers in answered.items()]
                path = folder / f"{record_name(name, at)}.json.gz"
                yield write_record([{**head, "columns": columns}], path)
        page = {"kind": "page", **playground_data(), "curves": curves}
        yield write_record([page], folder / "play.json.gz")

    def answers(self, name: str, arm: PlayArm) -> list[Event]:
        """Return the answer to each offered input: its tokens, how it ended, its score."""
        from tuneworthy.models.local.follower import Follower

        plays = [PlayRun(play_config(name, text, arm), SEED, self.base) for text in _inputs(name)]
        model, limits = model_at(arm.strength, name, self.base), plays[0].limits()
        prompts = [play.prompt for play in plays]
        said = [[turn.model_dump(mode="json") for turn in prompt] for prompt in prompts]
        key = digest([SCHEMA, model.fingerprint, limits.model_dump(mode="json"), said], 16)
        path = self.folder / f"{key}.json.gz"
        if path.exists():
            return read_record(path.read_bytes())
        followers = [Follower(lambda made: False, top=SHOWN_ALTERNATIVES) for _ in plays]
        replies = model.reply_followed(prompts, limits, followers)
        found = [
            {"prompt_tokens": self.base.count_tokens(play.prompt),
             "written": [play.token_entry(*one) for one in (*follower.tops, *follower.end)],
             **play.answer_values(reply)}
            for play, follower, reply in zip(plays, followers, replies, strict=True)
        ]  # fmt: skip
        write_record(found, path)
        print(name, arm_key(arm), _means(found), flush=True)
        return found


def _inputs(name: str) -> list[str]:
    return [row.input for row in task_rows(name).new[:SHOWN_INPUTS]]


def _means(answers: Sequence[Event]) -> list[float | None]:
    """Return the mean score and the share of valid answers; None where the task has no such."""
    score = [answer["score"] for answer in answers if answer["score"] is not None]
    valid = [answer["valid"] for answer in answers if answer["valid"] is not None]
    return [round(fmean(each), 3) if each else None for each in (score, valid)]


def _packed(key: str, answer: Event) -> list[Any]:
    """Return an answer as [setting, prompt's tokens, [ended, valid, score], tokens]."""
    ending = [int(answer["ended"]), answer["valid"], answer["score"]]
    return [
        key,
        answer["prompt_tokens"],
        ending,
        [_packed_token(*one) for one in answer["written"]],
    ]


def _packed_token(text: str, value: float, others: Sequence[Sequence[Any]]) -> Any:
    """Return [text, log-probability, its alternatives], or the text alone of a sure token."""
    if value > SURE:
        return text
    shown = [[word, round(log, 1)] for word, log in others if log > LEAST_SHOWN]
    return [text, round(value, 1), shown[:MOST_SHOWN]]
