"""Reflective prompt search: a model reads a prompt's failures and writes a new specification.

After GEPA (Agrawal et al. 2025, arXiv 2507.19457): a parent is drawn from the prompts that are best
on at least one dev row; the model sees the parent's failures on training rows; its proposal goes
to the dev rows if it does better than the parent on those training rows.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tuneworthy.arms._searched import (
    PromptCandidate,
    Search,
    Trials,
    read_cached_json,
    write_json_atomically,
)
from tuneworthy.arms.prompt.messages import specification
from tuneworthy.records.case import Case, Message
from tuneworthy.records.model import limits_for
from tuneworthy.records.record import digest

_TOKENS_PER_WORD = 3  # most tokens of the answer per word of the requested length
_ROWS_PER_FAILURE = 8  # training rows drawn per wanted failure
_SHOWN_CHARACTERS = 1500  # characters shown of an input or answer
_REFLECTION_PROMPT = """\
A language model works by the instruction below. It made the mistakes that follow.

Instruction:
```
{own}
```

{failures}

Find out what the mistakes have in common and which knowledge of the task the instruction lacks. \
Then write the whole instruction anew so that a model that follows it makes none of them. It must \
hold for every input, not for these alone: state rules, do not repeat these inputs. Keep what was \
right, the form of the answer above all. At most {words} words, between ``` and ```."""
_FENCED = re.compile(r"```[a-zA-Z]*\n(.*?)```", re.S)


@dataclass
class Reflection:
    """Proposes prompts for a search from `rows` failures each, of at most `words` words."""

    trials: Trials
    search: Search
    rows: int
    words: int
    seed: int
    attempts: int = 0

    def propose(self, best: PromptCandidate, most: int) -> list[PromptCandidate]:  # noqa: ARG002 - parents are drawn
        """Return at most `most` new prompts that beat their parents on some training rows."""
        proposals: list[PromptCandidate] = []
        for _ in range(2 * most):
            if len(proposals) == most:
                break
            if (new := self._propose_one()) is not None:
                proposals.append(new)
        return proposals

    def _propose_one(self) -> PromptCandidate | None:
        self.attempts += 1
        draw = random.Random(f"{self.seed} reflection {self.attempts}")
        parent = _draw_parent(self.trials, self.search.fully_scored, draw)
        tried, failed = self._failures(parent, draw)
        if not failed:
            return None
        text = self._propose_text(parent, failed)
        if text is None:
            return None
        recipe = parent.recipe.model_copy(update={"specification": text})
        new = PromptCandidate(what=f"reflection {self.attempts} on: {parent.what}", recipe=recipe)
        better = self.trials.mean(recipe, tried) > self.trials.mean(parent.recipe, tried)
        return new if better and self.search.admit(new) else None

    def _failures(
        self, parent: PromptCandidate, draw: random.Random
    ) -> tuple[list[Case], list[str]]:
        """Return (training rows tried, texts on the parent's failures on them)."""
        train = sorted(self.trials.setup.train, key=lambda case: case.id)
        pool = draw.sample(train, min(len(train), _ROWS_PER_FAILURE * self.rows))
        tried, failed = list[Case](), list[str]()
        for start in range(0, len(pool), self.rows):
            if len(failed) >= self.rows:
                break
            batch = pool[start : start + self.rows]
            tried += batch
            failed += self._describe_failures(parent, batch)
        return tried, failed[: self.rows]

    def _describe_failures(self, parent: PromptCandidate, batch: Sequence[Case]) -> Iterator[str]:
        for case, trial in zip(batch, self.trials.results(parent.recipe, batch), strict=True):
            if trial.value < 1:
                parts = {"Input": case.input, "It answered": trial.text, "Right": case.output}
                lines = [f"{name}: {text[:_SHOWN_CHARACTERS]}" for name, text in parts.items()]
                yield "\n".join([*lines, *([f"Why: {trial.why}"] if trial.why else [])])

    def _propose_text(self, parent: PromptCandidate, failed: Sequence[str]) -> str | None:
        """Return the specification that the model proposes; None if empty, cut or too long."""
        setup = self.trials.setup
        model, own = setup.models["reflection"], parent.recipe.specification
        failures = "\n\n".join(f"Mistake {at}\n{text}" for at, text in enumerate(failed, 1))
        own = specification(setup.task) if own is None else own
        text = _REFLECTION_PROMPT.format(own=own, failures=failures, words=self.words)
        asked = [Message(role="user", content=text)]
        limits = limits_for(setup.task, specification_token_limit(self.words))
        key = digest([model.fingerprint, limits.plain(), [m.plain() for m in asked]], 32)
        path = setup.folder / "reflections" / f"{key}.json"
        if (reply_text := read_cached_json(path)) is None:
            reply = model.reply([asked], limits)[0]
            if reply.error or reply.finish == "length":
                return None
            write_json_atomically(path, reply_text := reply.text)
        proposal = longest_fenced_block(reply_text)
        return proposal if proposal and len(proposal.split()) <= self.words else None


def specification_token_limit(words: int) -> int:
    """Return the token limit for a specification of so many words and the text before it."""
    return _TOKENS_PER_WORD * words + 200


def longest_fenced_block(text: str) -> str:
    """Return the longest fenced block of a text, else the whole text, stripped."""
    return max(_FENCED.findall(text), key=len, default=text).strip().strip("`").strip()


def _draw_parent(
    trials: Trials, whole: Sequence[PromptCandidate], draw: random.Random
) -> PromptCandidate:
    """Return a random prompt, weighted by the number of dev rows on which it is among the best."""
    table = [[trial.value for trial in trials.results(p.recipe, trials.rows)] for p in whole]
    wins: Counter[int] = Counter()
    for values in zip(*table, strict=True):
        wins.update(at for at, value in enumerate(values) if value == max(values))
    return whole[draw.choices(range(len(whole)), [wins[at] for at in range(len(whole))])[0]]
