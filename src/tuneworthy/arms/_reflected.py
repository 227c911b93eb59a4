"""Specifications written by a model that reads what went wrong: parents, failures, proposals.

After GEPA (Agrawal et al. 2025, arXiv 2507.19457): a parent is drawn from the prompts that are best
on at least one dev row; the model sees its failures on training rows; what it writes is kept where
it does better on those rows, and goes to the dev rows.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tuneworthy.arms._searched import Prompt, Search, Trials, kept, write
from tuneworthy.core.case import Case, Message
from tuneworthy.core.record import digest
from tuneworthy.core.request_limits import limits_for
from tuneworthy.prompting.messages import specification

_TOKENS = 3  # an answer may have so many tokens for each word that is asked for, at most
_DRAWN = 8  # training rows looked at for each failure that is wanted
_LONG = 1500  # characters of an input or answer that are shown
_ASK = """A language model works by the instruction below. It made the mistakes that follow.

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
    """Proposes prompts for a search; `rows` failures are shown, `words` is the longest text."""

    trials: Trials
    search: Search
    rows: int
    words: int
    seed: int
    attempts: int = 0

    def propose(self, best: Prompt, most: int) -> list[Prompt]:  # noqa: ARG002 - parents are drawn
        """Return at most so many new prompts that do better than their parents on some rows."""
        found: list[Prompt] = []
        for _ in range(2 * most):
            if len(found) == most:
                break
            if (new := self._one()) is not None:
                found.append(new)
        return found

    def _one(self) -> Prompt | None:
        self.attempts += 1
        draw = random.Random(f"{self.seed} reflection {self.attempts}")
        parent = _parent(self.trials, self.search.whole, draw)
        seen, failed = self._failures(parent, draw)
        if not failed:
            return None
        text = self._written(parent, failed)
        if text is None:
            return None
        recipe = parent.recipe.model_copy(update={"specification": text})
        new = Prompt(what=f"reflection {self.attempts} on: {parent.what}", recipe=recipe)
        better = self.trials.mean(recipe, seen) > self.trials.mean(parent.recipe, seen)
        return new if better and self.search.new(new) else None

    def _failures(self, parent: Prompt, draw: random.Random) -> tuple[list[Case], list[str]]:
        """Return the training rows looked at, and those the parent fails, written out."""
        train = sorted(self.trials.setup.train, key=lambda case: case.id)
        pool = draw.sample(train, min(len(train), _DRAWN * self.rows))
        seen, failed = list[Case](), list[str]()
        for start in range(0, len(pool), self.rows):
            if len(failed) >= self.rows:
                break
            batch = pool[start : start + self.rows]
            seen += batch
            failed += self._told(parent, batch)
        return seen, failed[: self.rows]

    def _told(self, parent: Prompt, batch: Sequence[Case]) -> Iterator[str]:
        for case, one in zip(batch, self.trials.seen(parent.recipe, batch), strict=True):
            if one.value < 1:
                parts = {"Input": case.input, "It answered": one.text, "Right": case.output}
                lines = [f"{name}: {text[:_LONG]}" for name, text in parts.items()]
                yield "\n".join([*lines, *([f"Why: {one.why}"] if one.why else [])])

    def _written(self, parent: Prompt, failed: Sequence[str]) -> str | None:
        """Return what the model writes, None where it is empty, cut, too long or did not come."""
        setup = self.trials.setup
        model, own = setup.models["reflection"], parent.recipe.specification
        failures = "\n\n".join(f"Mistake {at}\n{text}" for at, text in enumerate(failed, 1))
        own = specification(setup.task) if own is None else own
        text = _ASK.format(own=own, failures=failures, words=self.words)
        asked = [Message(role="user", content=text)]
        limits = limits_for(setup.task, longest(self.words))
        key = digest([model.fingerprint, limits.plain(), [m.plain() for m in asked]], 32)
        path = setup.folder / "reflections" / f"{key}.json"
        if (said := kept(path)) is None:
            reply = model.reply([asked], limits)[0]
            if reply.error or reply.finish == "length":
                return None
            write(path, said := reply.text)
        found = fenced(said)
        return found if found and len(found.split()) <= self.words else None


def longest(words: int) -> int:
    """Return the tokens that a specification of so many words may take, with what is before it."""
    return _TOKENS * words + 200


def fenced(text: str) -> str:
    """Return the longest part between fences, else the whole text, without space around it."""
    return max(_FENCED.findall(text), key=len, default=text).strip().strip("`").strip()


def _parent(trials: Trials, whole: Sequence[Prompt], draw: random.Random) -> Prompt:
    """Return a prompt drawn as often as it is (one of) the best on a dev row."""
    table = [[one.value for one in trials.seen(p.recipe, trials.rows)] for p in whole]
    wins: Counter[int] = Counter()
    for values in zip(*table, strict=True):
        wins.update(at for at, value in enumerate(values) if value == max(values))
    return whole[draw.choices(range(len(whole)), [wins[at] for at in range(len(whole))])[0]]
