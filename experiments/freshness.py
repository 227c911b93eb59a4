"""Change facts in the documents: who still says the old ones? And is a passage followed?

usage: freshness.py OUT [QUESTIONS]

Office rules (suite/policy_faq), QUESTIONS (120) of them. An adapter learns the old facts by heart,
from the very questions that are asked later. Then each asked document states another figure, and
the same questions are put to: the bare model, the adapter alone, both with the new passage, and
retrieval in the new documents. Answers are kept in OUT; call again to go on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from tuneworthy.arms import lora, oracle, rag
from tuneworthy.matrix.design import Design
from tuneworthy.measure.further.freshness_rate import (
    Fact,
    FactCounts,
    change_facts,
    count_stated_facts,
    stated_fact,
)
from tuneworthy.metrics import scorer
from tuneworthy.models import open_model
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Fitted, Recipe, Setup
from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.rows.docs import Doc
from tuneworthy.suite import policy_faq

FACTS = Design.independent("every question is on another fact")
EPOCHS = 12  # invented facts are learnt by heart slowly; dev rows are none, so the last is kept


def main() -> None:
    """Ask every system on the changed documents and print who says what."""
    out, n = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 120
    out.mkdir(parents=True, exist_ok=True)
    docs, cases = made(n)
    after = change_facts(docs, cases, 0)
    model = open_model("smollm2-135m", folder=out)
    task = Task.model_validate({**policy_faq.TASK, "data": Data(train="a", test="b", docs="c"),
                                "output": Output(type="text", max_tokens=12)})  # fmt: skip
    old = [case for case in cases if case.id in {fact.case for fact in after.facts}]
    setup = Setup(
        task=task,
        train=old,
        dev=(),
        models={"base": model, "tune": model},
        score=scorer(task),
        folder=out / "lora",
        docs=after.docs,
        common=out,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    setup.folder.mkdir(exist_ok=True)

    @cache
    def tuned() -> Fitted:
        return lora.fit(setup, lora.Options(epochs=EPOCHS), 0)

    def by_heart() -> Setup:
        return replace(setup, recipe=Recipe(kind="short"), models={"base": tuned().model})

    bare = replace(setup, recipe=Recipe(kind="zero"))
    systems: dict[str, Callable[[], Fitted]] = {
        "bare model": lambda: oracle.fit(bare, oracle.Options(), 0),
        "bare model + new passage": lambda: oracle.fit(bare, oracle.Options(), 0),
        "retrieval, words": lambda: rag.fit(bare, rag.Options(k=1, dense=False), 0),
        "retrieval, words and vectors": lambda: rag.fit(bare, rag.Options(k=1), 0),
        "tuned on the old": tuned,
        "tuned on the old + new passage": lambda: oracle.fit(by_heart(), oracle.Options(), 0),
        "tuned on the old + retrieval": lambda: rag.fit(by_heart(), rag.Options(k=1), 0),
    }
    answers = {}
    for name, fit in systems.items():
        answers[name] = kept(out, name, fit, after.cases, "new passage" in name)
        print(row(count_stated_facts(name, answers[name], after.facts, FACTS)), flush=True)
    print("where the system without a passage says the old fact:")
    for name, alone in (("bare model", "bare model"), ("tuned on the old", "tuned on the old")):
        shown = answers[f"{name} + new passage"]
        print(row(faithfulness(f"{name} + new passage", shown, answers[alone], after.facts)))


def faithfulness(
    arm: str, shown: Iterable[Answer], alone: Iterable[Answer], facts: Sequence[Fact]
) -> FactCounts:
    """Return the counts of facts stated by answers with the new passage, where model and it differ.

    `alone` are the answers of the same model without a passage. Only these conflicts count: a model
    that never knew the old fact cannot contradict the passage with it.
    """
    texts_alone = {answer.case: answer.text for answer in alone}
    conflicts = [
        f for f in facts if f.case in texts_alone and stated_fact(texts_alone[f.case], f) == "old"
    ]
    return count_stated_facts(arm, shown, conflicts, FACTS)


def made(n: int) -> tuple[tuple[Doc, ...], list[Case]]:
    """Return the generated documents and questions as records."""
    found = policy_faq.make(0, n)
    cases = [
        Case(
            id=f"q{at:03d}",
            messages=(Message(role="user", content=given["input"]),),
            output=given["output"],
            time=given["time"],
            meta={"doc_id": given["context"]["doc"]},
        )
        for at, given in enumerate(found.rows)
    ]
    return tuple(Doc.model_validate(doc) for doc in found.docs), cases


def kept(
    out: Path, name: str, fit: Callable[[], Fitted], cases: Sequence[Case], gold: bool
) -> list[Answer]:
    """Return the answers of one system, from OUT where they are there."""
    file = out / f"{name.replace(' ', '-')}-{len(cases)}.jsonl"
    if not file.exists():
        print(name, file=sys.stderr, flush=True)
        found = fit().answer([case.query(gold_passage=gold) for case in cases])
        lines = [json.dumps(answer.plain()) for answer in found]
        file.write_text("\n".join(lines) + "\n", "utf-8")
    return [Answer.model_validate_json(line) for line in file.read_text("utf-8").splitlines()]


def row(told: FactCounts) -> str:
    """Return one line: how many answers, and the share of each kind with its interval."""
    shares = [
        f"{kind} {share.share:.3f} [{share.low:.3f}, {share.high:.3f}]"
        for kind, share in told.shares.items()
    ]
    return f"{told.arm:32} n {told.n:4}  " + ("  ".join(shares) or "no such case")


if __name__ == "__main__":
    main()
