"""Failures of a known cause on the embedded model: what the matrix read across calls them.

usage: planted_real.py OUT [NAME ...]

Six causes in three variants each and ten controls, 120 scored rows each; NAME (format-0, hard-7)
runs some of them, none prints what OUT has. Every variant is a study of its own: call again to go
on where it stopped. What makes it a plant of its cause is checked on the model (`PROOFS`); where
that does not hold the variant is listed and counts in no row. `latent` has no construction: nobody
sets how often a real model's samples are right. Writes OUT/planted_real.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import tuneworthy
from tuneworthy.explain.diagnosis import AnswerColumn, answer_columns
from tuneworthy.records.results import Results
from tuneworthy.stats.bounds import rate

ROWS, VARIANTS, CONTROLS = 120, 3, 10
ROOMS = ("garden", "kitchen", "cellar", "attic", "garage", "library", "stable", "studio")
THINGS = ("crate", "ladder", "lamp", "carpet", "mirror", "barrel", "bench", "clock", "kettle",
          "drum")  # fmt: skip
WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
RULES = (
    ("annual leave", "days"), ("notice period", "weeks"), ("meal allowance", "euros"),
    ("laptop cycle", "months"), ("guest limit", "guests"), ("rest break", "minutes"),
)  # fmt: skip
SYLLABLES = ("bal", "cor", "dun", "fen", "gol", "hil", "jor", "kem", "lus", "mor", "nim", "pol")
LORA = {"lora": {"epochs": 5}}
PROMPTS = ["majority", "zero_shot", {"few_shot": {"k": 8}}]
PASSAGES = ["oracle", {"rag": {"k": 1, "dense": False}}]


@dataclass
class Made:
    """A task with rows to learn from and rows to score, and what belongs to it.

    `clean` are the right answers before any was replaced.
    """

    instruction: str
    output: dict[str, Any]
    metric: str
    arms: list[Any]
    train: list[dict[str, Any]]
    test: list[dict[str, Any]]
    docs: list[dict[str, str]] = field(default_factory=list)
    clean: list[str] = field(default_factory=list)


def main() -> None:
    """Run the variants that are named and print what all of OUT is called."""
    out, names = Path(sys.argv[1]).resolve(), sys.argv[2:]
    for name in names:
        cause, variant = name.split("-")
        run(out, cause, int(variant))
    told = [json.loads(file.read_text("utf-8")) for file in sorted(out.glob("*/told.json"))]
    (out / "planted_real.json").write_text(json.dumps(told, indent=1), "utf-8")
    print("\n".join(table(told)))


def run(out: Path, cause: str, variant: int) -> None:
    """Make one variant, run its study, check its construction, write what it is called."""
    made, home = MAKERS[cause](variant), out / f"{cause}-{variant}"
    home.mkdir(parents=True, exist_ok=True)
    for kind in ("train", "test", "docs"):
        lines(home / f"{kind}.jsonl", getattr(made, kind))
    data = {kind: f"{kind}.jsonl" for kind in ("train", "test", "docs") if getattr(made, kind)}
    task = {"name": cause, "instruction": made.instruction, "data": data, "output": made.output,
            "success": {"metric": made.metric}, "arms": made.arms, "seeds": 1,
            "budget": {"minutes": 600}}  # fmt: skip
    if made.clean:
        given = zip(made.test, made.clean, strict=True)
        lines(home / "logged.jsonl", [{"id": row["id"], "answer": right} for row, right in given])
        task |= {"present": {"answers": "logged.jsonl"}}
    (home / "task.yaml").write_text(json.dumps(task, indent=1), "utf-8")
    results = tuneworthy.run(home / "task.yaml", tuneworthy.RunOptions(brief=True)).results
    seen = results.evidence.diagnosis
    holds, why = PROOFS[cause](made, results)
    told = {
        "cause": cause, "variant": variant, "holds": holds, "proof": why,
        "n_fail": seen.n_fail if seen else None, "few": seen.few if seen else None,
        "wrong": [[w.cause, w.share, w.low, w.high] for w in (seen.wrong if seen else ())],
        "acting": sorted({e.name for e in seen.effects if e.acts}) if seen else [],
        "seconds": results.evidence.seconds,
    }  # fmt: skip
    (home / "told.json").write_text(json.dumps(told), "utf-8")
    print(json.dumps(told), flush=True)


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as JSON lines; an empty file is not written."""
    if rows:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def rows(rng: Random, draw: Callable[[Random, int], dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Draw rows to learn from and rows to score."""
    both = [{"id": f"r{n:03d}", **draw(rng, n)} for n in range(2 * ROWS)]
    return both[:ROWS], both[ROWS:]


def note(rng: Random, number: int, room: str) -> str:
    """Return a note that names a room."""
    return f"Note {number}: on {rng.choice(WEEK)} the {rng.choice(THINGS)} goes to the {room}."


def named(rng: Random) -> str:
    """Draw a name that the model has never read (95,000 of them)."""
    return "".join(rng.sample(SYLLABLES, 5)).capitalize()


def labels(rooms: Sequence[str]) -> dict[str, Any]:
    """Return the output of a task whose answers are rooms; a sentence around one is cut there."""
    return {"type": "label", "labels": [*rooms], "max_tokens": 14}


def format_(variant: int) -> Made:
    """The room stands in the note; free text wraps it in a sentence."""
    rooms, rng = ROOMS[: 4 + 2 * variant], Random(f"format {variant}")

    def draw(rng: Random, n: int) -> dict[str, Any]:
        room = rng.choice(rooms)
        return {"input": f"{note(rng, n, room)} Where does it go?", "output": room}

    train, test = rows(rng, draw)
    arms = ["majority", "zero_shot", "constrained"]
    return Made("Answer the question on the note.", labels(rooms),
                "accuracy", arms, train, test)  # fmt: skip


def convention(variant: int) -> Made:
    """Each room has a code that no prompt states."""
    rooms, rng = ROOMS[: 2 + variant], Random(f"convention {variant}")
    codes = {room: f"{'KQXB'[at]}{7 * at + 2}" for at, room in enumerate(rooms)}

    def draw(rng: Random, n: int) -> dict[str, Any]:
        room = rng.choice(rooms)
        return {"input": note(rng, n, room), "output": codes[room]}

    train, test = rows(rng, draw)
    arms = ["majority", "zero_shot", {"nearest_shots": {"k": 4}}]
    return Made("Give the code for the note.", {"type": "text", "max_tokens": 8}, "exact",
                arms, train, test)  # fmt: skip


def facts(cause: str, variant: int, found: bool) -> Made:
    """Invented figures that stand in documents only, which search finds or does not find."""
    rng, docs = Random(f"{cause} {variant}"), list[dict[str, str]]()

    def draw(rng: Random, n: int) -> dict[str, Any]:
        (rule, unit), who, value = rng.choice(RULES), named(rng), rng.randrange(11, 99)
        text = f"The {rule} at {who} is {value} {unit}."
        if not found:
            text = f"It stands at {value} {unit} there."
            docs.append({"id": f"x{n}", "text": f"Ask {who} about their {rule}."})
        docs.append({"id": f"d{n}", "text": text})
        asked = f"What is the {rule} at {who}, in {unit}?"
        return {"input": asked, "output": str(value), "context": {"doc": f"d{n}"}}

    train, test = rows(rng, draw)
    return Made("Answer with one number.", {"type": "number", "max_tokens": 16}, "number",
                ["majority", "zero_shot", *PASSAGES], train, test, docs)  # fmt: skip


def label(variant: int) -> Made:
    """A system that is right, and right answers of which a quarter were replaced."""
    rng, rooms = Random(f"label {variant}"), ROOMS[: 3 + variant]
    words = {room: [named(rng) for _ in range(6)] for room in rooms}

    def draw(rng: Random, n: int) -> dict[str, Any]:
        room = rng.choice(rooms)
        topic = " ".join(rng.sample(words[room], 4))
        return {"input": f"{topic} {n}", "output": room}

    train, test = rows(rng, draw)
    clean = [row["output"] for row in test]
    for row in rng.sample(test, ROWS // 4):
        row["output"] = rng.choice([room for room in rooms if room != row["output"]])
    arms = ["present", "majority", {"few_shot": {"k": 8}}, "constrained"]
    return Made("Name the room.", labels(rooms), "accuracy",
                arms, train, test, clean=clean)  # fmt: skip


def learnable(variant: int) -> Made:
    """A table of names and rooms, larger than eight examples show."""
    rng, rooms = Random(f"learnable {variant}"), ROOMS[: 3 + variant]
    table = {named(rng): rng.choice(rooms) for _ in range(20)}

    def draw(rng: Random, n: int) -> dict[str, Any]:
        who = rng.choice(list(table))
        return {"input": f"Note {n}: which room is {who} in?", "output": table[who]}

    train, test = rows(rng, draw)
    return Made("Name the room.", labels(rooms), "accuracy",
                [*PROMPTS, LORA], train, test)  # fmt: skip


def hard(variant: int) -> Made:
    """Right answers drawn at random: nothing in the rows tells them."""
    rng = Random(f"hard {variant}")
    if variant % 2:

        def draw(rng: Random, n: int) -> dict[str, Any]:  # noqa: ARG001
            asked = f"What is the {rng.choice(RULES)[0]} at {named(rng)}?"
            return {"input": asked, "output": str(rng.randrange(11, 99))}

        train, test = rows(rng, draw)
        return Made("Answer with one number.", {"type": "number", "max_tokens": 16}, "number",
                    PROMPTS, train, test)  # fmt: skip
    rooms = ROOMS[: 3 + variant % 5]

    def drawn(rng: Random, n: int) -> dict[str, Any]:
        return {"input": f"Note {n}: which room is {named(rng)} in?", "output": rng.choice(rooms)}

    train, test = rows(rng, drawn)
    arms = [*PROMPTS, "constrained", *([LORA] if variant % 4 == 0 else [])]
    return Made("Name the room.", labels(rooms), "accuracy",
                arms, train, test)  # fmt: skip


MAKERS: dict[str, Callable[[int], Made]] = {
    "format": format_, "convention": convention,
    "knowledge": lambda variant: facts("knowledge", variant, found=True),
    "retrieval": lambda variant: facts("retrieval", variant, found=False),
    "label": label, "learnable": learnable, "hard": hard,
}  # fmt: skip


def share(column: AnswerColumn | None) -> float:
    """Return the share of cases that an arm passes; an arm that did not run fails the proof."""
    return sum(column.passed.values()) / len(column.passed) if column else -1.0


def arm(results: Results, name: str) -> AnswerColumn | None:
    """Return what an arm answered."""
    found = answer_columns(results.task, results.runs)
    return next((c for n, c in found.items() if c.spec.arm == name and not c.spec.of), None)


def wrapped(made: Made, results: Results) -> tuple[bool, str]:
    """The right answer stands in most of the failed texts."""
    gold, column = {row["id"]: row["output"] for row in made.test}, arm(results, "zero_shot")
    if column is None:
        return False, "zero_shot did not run"
    fails = [case for case, passed in column.passed.items() if not passed]
    inside = sum(gold[case] in column.answers[case].text.casefold() for case in fails)
    return inside >= 0.6 * len(fails) > 0, f"gold inside {inside} of {len(fails)} failed texts"


def shown(made: Made, results: Results) -> tuple[bool, str]:  # noqa: ARG001
    """No prompt states the codes, so next to nothing is right; with near examples half are."""
    bare, near = (share(arm(results, name)) for name in ("zero_shot", "nearest_shots"))
    return bare <= 0.1 and near >= 0.5, f"bare {bare:.2f}, with near examples {near:.2f}"


def in_documents(made: Made, results: Results) -> tuple[bool, str]:  # noqa: ARG001
    """Without the passage next to nothing is right, with it half; found: search does nearly so."""
    bare, gold, search = (share(arm(results, name)) for name in ("zero_shot", "oracle", "rag"))
    said = f"bare {bare:.2f}, gold passage {gold:.2f}, search {search:.2f}"
    found = search > 0.7 * gold if results.task.name == "knowledge" else search < 0.3 * gold
    return bare <= 0.15 and gold >= 0.4 and found, said


def flipped(made: Made, results: Results) -> tuple[bool, str]:
    """What is logged is right on every row but the replaced ones."""
    gold = [row["output"] for row in made.test]
    wrong = sum(a != b for a, b in zip(gold, made.clean, strict=True))
    passed = share(arm(results, "present"))
    return abs(passed - (1 - wrong / ROWS)) < 1e-9, f"{wrong} of {ROWS} replaced"


def taught(made: Made, results: Results) -> tuple[bool, str]:  # noqa: ARG001
    """Training gets most of them, examples don't."""
    trained, few = share(arm(results, "lora")), share(arm(results, "few_shot"))
    return trained >= 0.6 and few <= trained - 0.2, f"lora {trained:.2f}, 8 examples {few:.2f}"


def nothing(made: Made, results: Results) -> tuple[bool, str]:  # noqa: ARG001
    """Right answers are drawn without a look at the question: so by construction."""
    return True, "right answers drawn at random"


PROOFS: dict[str, Callable[[Made, Results], tuple[bool, str]]] = {
    "format": wrapped, "convention": shown, "knowledge": in_documents, "retrieval": in_documents,
    "label": flipped, "learnable": taught, "hard": nothing,
}  # fmt: skip


def table(told: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the matrix as lines: planted, how it was named, and what did not hold."""
    for cause in MAKERS:
        own = [one for one in told if one["cause"] == cause and one["holds"]]
        named = [[w[0] for w in one["wrong"]] for one in own]
        if own:
            wanted = {cause} if cause != "hard" else {"hard", "few"}
            k = sum(bool(one) and one[0] in wanted for one in named)
            likely = sum(bool(set(one[:3]) & {cause}) for one in named)
            low, high = rate(k, len(own))
            yield (f"{cause:<11} leads {k} of {len(own)} ({low:.2f}-{high:.2f}), among the first "
                   f"{likely}: {[one[:2] for one in named]}")  # fmt: skip
    for one in told:
        if not one["holds"]:
            yield f"{one['cause']}-{one['variant']}: not such a plant here ({one['proof']})"


if __name__ == "__main__":
    main()
