"""Whole studies in, the same verdict, screens and page out, as recorded in `worlds/`.

WRITE_GOLDEN=1 writes anew what changed for a reason. Of long texts a digest is recorded:
GOLDEN_TEXTS=FOLDER writes them whole, so that those of two checkouts can be compared by diff.
"""

import json
import os
import re
from collections.abc import Callable
from difflib import unified_diff
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests import studies
from tests.golden.test_golden_verdicts import near
from tests.planted import plant

import tuneworthy
from tuneworthy.explain.cause_shares import diagnose
from tuneworthy.records.record import digest
from tuneworthy.records.results import Results
from tuneworthy.report.exports import verdict_json
from tuneworthy.report.html import page
from tuneworthy.report.terminal import ladder_screen
from tuneworthy.suite import STUDIES, write, write_recorded

WORLDS = Path(__file__).parent / "worlds"
REAL = Path(__file__).parents[3] / "shared" / "data"
PLANTED = {"format": 3, "convention": 6, "retrieval": 0, "learnable": 9}  # cause: variant
NAMES = ("use", "arm", "status", "name", "state", "tool", "role", "versus", "cause", "do")
LONG_FLOAT = re.compile(r"\d+\.\d{9,}(e-?\d+)?")  # its last digits differ between machines
MEASURED = {"seconds": 1.0, "fit_seconds": 1.0, "p50": 10.0, "p95": 20.0}


def scripted_labels(folder):
    """A model that knows two labels of three, in groups of rows, beside recorded answers."""
    path = studies.write(folder, n=90, seeds=2, arms=[
        "present", "answers", "majority", "tfidf", "zero_shot", "few_shot", "constrained"],
        answers={"other": "logged.jsonl"}, present={"answers": "first.jsonl"})  # fmt: skip
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    grouped = [{**row, "group": f"g{n // 3 if n < 60 else n}"} for n, row in enumerate(rows)]
    studies.lines(folder / "rows.jsonl", grouped)
    said = [{"id": row["id"], "answer": row["output"] if n % 3 else f"It is {row['output']}."}
            for n, row in enumerate(rows)]  # fmt: skip
    studies.lines(folder / "first.jsonl", said)
    return path


def scripted_passages(folder):
    """Sixty questions on office rules; the model says the figure of the first passage."""
    path = write("policy_faq", folder, 0, 60)
    docs = [json.loads(line) for line in (folder / "docs.jsonl").read_text().splitlines()]
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    answers = {row["context"]["doc"]: row["output"] for row in rows}
    replies = [{"when": d["text"], "say": answers[d["id"]]} for d in docs if d["id"] in answers]
    studies.lines(folder / "replies.jsonl", [*replies, {"when": "", "say": "0 things"}])
    keys = {"name": "policy", "seeds": 1, "model": studies.MODEL,
            "data": {"train": "train.jsonl", "test": "test.jsonl", "docs": "docs.jsonl"},
            "output": {"type": "text", "max_tokens": 12},
            "success": {"metric": "token_f1", "margin": 0.1},
            "arms": ["zero_shot", {"rag": {"dense": False, "k": 1}}, "oracle"]}  # fmt: skip
    path.write_text(json.dumps(keys), "utf-8")
    return path


def real_systems(name, kind, metric):
    """Return a writer of a study of the first rows of a public set and five of its systems."""

    def written(folder):
        lines = (REAL / name / "test.jsonl").read_text("utf-8").splitlines()[:150]
        rows = [json.loads(line) for line in lines]
        systems = json.loads((REAL / name / "task.json").read_text("utf-8"))["systems"][:5]
        studies.lines(folder / "rows.jsonl", [
            {"id": f"r{n}", "input": row["input"], "output": row["output"],
             **({"group": str(row["meta"]["group"])} if "group" in row["meta"] else {})}
            for n, row in enumerate(rows)])  # fmt: skip
        for system in systems:
            own = [row["meta"]["systems"][system] for row in rows]
            studies.lines(folder / f"{system}.jsonl", [
                {"id": f"r{n}", "answer": one["answer"],
                 **({"seconds": one["seconds"]} if "seconds" in one else {})}
                for n, one in enumerate(own)])  # fmt: skip
        task = {"name": name, "data": {"file": "rows.jsonl"}, "output": {"type": kind},
                "success": {"metric": metric}, "arms": ["present", "answers"],
                "present": {"answers": f"{systems[0]}.jsonl"},
                "answers": {re.sub(r"\W", "_", one): f"{one}.jsonl" for one in systems[1:]},
                }  # fmt: skip
        (folder / "task.yaml").write_text(json.dumps(task), "utf-8")
        return folder / "task.yaml"

    return written


STUDIED: dict[str, Callable[[Path], Path]] = {
    **{name: (lambda folder, name=name: write_recorded(name, folder)) for name in STUDIES},
    "scripted_labels": scripted_labels,
    "scripted_passages": scripted_passages,
    "complaint_systems": real_systems("complaint_systems", "label", "accuracy"),
    "openqa_systems": real_systems("openqa_systems", "text", "token_f1"),
}


def unclocked(value: Any) -> Any:
    """Return plain results with fixed times in place of measured ones."""
    if isinstance(value, dict):
        return {
            key: MEASURED[key] if key in MEASURED and isinstance(inner, float) else unclocked(inner)
            for key, inner in value.items()
        }
    return [unclocked(inner) for inner in value] if isinstance(value, list) else value


def studied(path: Path) -> Results:
    """Return the results of a study, with fixed times in place of measured ones."""
    results = tuneworthy.run(path).results
    whole = json.loads(results.model_dump_json(by_alias=True))
    fixed = {**unclocked(whole), "task": whole["task"]}
    for run in fixed["runs"]:
        run["latency_ms"] = run["latency_ms"] and [10.0] * 30  # a slow machine times fewer
    for arm in (*fixed["evidence"]["arms"], *fixed["verdict"]["arms"]):
        if arm["latency_ms"]:
            arm["latency_ms"]["p95"] = MEASURED["p95"]
            arm.get("missing", {}).pop("latency_ms.p95", None)
    for path in [path for path in fixed["verdict"]["missing"] if path.endswith("latency_ms/p95")]:
        del fixed["verdict"]["missing"][path]
    found = Results.model_validate(fixed)
    return found.model_copy(update={"task": results.task})


class VisibleText(HTMLParser):
    """The text of a page by section, titles and labels included; the data block is a section."""

    def __init__(self) -> None:
        super().__init__()
        self.sections: dict[str, list[str]] = {}
        self.section, self.silent = "top", False

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag == "section" or named.get("id") == "data":
            self.section = named.get("id") or named.get("class") or tag
        self.silent = tag == "style" or (tag == "script" and named.get("id") != "data")
        for key in ("title", "aria-label"):
            self.handle_data(named.get(key) or "")

    def handle_endtag(self, tag):
        self.silent = False

    def handle_data(self, data):
        if not self.silent and data.strip():
            self.sections.setdefault(self.section, []).append(" ".join(data.split()))


def texts_of(results: Results, folder: Path) -> dict[str, str]:
    """Return the terminal at two widths and the sections of the page, without hashes and paths."""
    texts = {f"terminal {n}": ladder_screen(results, n).plain for n in (80, 120)}
    reader = VisibleText()
    reader.feed(page(results))
    texts |= {f"page {name}": "\n".join(lines) for name, lines in reader.sections.items()}
    texts.pop("page reproduce", None)  # versions, hardware, commands
    verdict = results.verdict
    for known in (verdict.evidence_hash, verdict.task.hash, verdict.task.hash[:8], str(folder),
                  tuneworthy.__version__):  # fmt: skip
        texts = {name: text.replace(known, "KNOWN") for name, text in texts.items()}
    return {
        name: LONG_FLOAT.sub(lambda m: f"{float(m[0]):.8g}", text) for name, text in texts.items()
    }


def verdict_of(results: Results) -> dict[str, Any]:
    """Return verdict.json without hashes and version, and without why a time is missing."""
    verdict = json.loads(verdict_json(results.verdict))
    verdict["task"].pop("hash")
    why = {path: why for path, why in verdict["missing"].items() if "/latency_ms" not in path}
    return {**verdict, "missing": why, "tuneworthy": "", "evidence_hash": ""}


def numbers_of(value: Any) -> Any:
    """Return a verdict's numbers and names alone: no text that could hold part of a row."""
    if isinstance(value, dict):
        kept = {k: numbers_of(v) for k, v in value.items() if k in NAMES or not isinstance(v, str)}
        return {k: v for k, v in kept.items() if k not in ("missing", "task")}
    return [numbers_of(inner) for inner in value] if isinstance(value, list) else value


def rounded(value: Any) -> Any:
    """Return a value with floats of ten digits."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value


def in_lines(value: dict[str, Any]) -> str:
    """Return JSON with one line for each entry of the outer two levels."""

    def opened(inner: Any, room: str) -> str:
        ids = isinstance(inner, list) and all(isinstance(one, str) for one in inner)
        nested = isinstance(inner, dict | list) and not ids
        if not nested or len(json.dumps(inner)) < 90 or len(room) > 4:
            return json.dumps(inner, ensure_ascii=False)
        named = isinstance(inner, dict)
        parts = [f"{json.dumps(k)}: {opened(v, room + ' ')}" for k, v in inner.items()] if named \
            else [opened(v, room + " ") for v in inner]  # fmt: skip
        ends = "{}" if named else "[]"
        return (
            f"{ends[0]}\n" + ",\n".join(f"{room} {part}" for part in parts) + f"\n{room}{ends[1]}"
        )

    return opened(rounded(value), "") + "\n"


def check(name: str, found: dict[str, Any], screens: str = "") -> None:
    """Compare with what is recorded, or write it anew."""
    files = {"json": in_lines(found), "txt": screens} if screens else {"json": in_lines(found)}
    if os.environ.get("WRITE_GOLDEN"):
        WORLDS.mkdir(exist_ok=True)
        for end, text in files.items():
            (WORLDS / f"{name}.{end}").write_text(text, "utf-8")
    told = json.loads((WORLDS / f"{name}.json").read_text("utf-8"))
    if rounded(found) != near(told):
        lines = in_lines(told).splitlines(), in_lines(found).splitlines()
        changed = "\n".join(unified_diff(*lines, "recorded", "found", n=1, lineterm=""))
        pytest.fail(f"{name}:\n{changed}", pytrace=False)
    if screens:
        assert screens == (WORLDS / f"{name}.txt").read_text("utf-8")


@pytest.mark.full
@pytest.mark.parametrize("name", STUDIED)
def test_a_study_tells_what_is_recorded(name, tmp_path):
    real = name.endswith("_systems")
    if real and not REAL.is_dir():
        pytest.skip("the real sets are not here")
    results = studied(STUDIED[name](tmp_path))
    texts, verdict = texts_of(results, tmp_path), verdict_of(results)
    if where := os.environ.get("GOLDEN_TEXTS"):
        whole = "".join(f"\n== {part}\n{text}\n" for part, text in texts.items())
        Path(where).mkdir(parents=True, exist_ok=True)
        (Path(where) / f"{name}.txt").write_text(in_lines(verdict) + whole, "utf-8")
    digests = {part: digest(text, 12) for part, text in texts.items()}
    if real:
        check(
            name,
            {"verdict": numbers_of(verdict), "texts": digest(in_lines(verdict), 12), **digests},
        )
        return
    screens = "\n\n".join(texts[f"terminal {n}"] for n in (80, 120)) + "\n"
    pages = {part: sha for part, sha in digests.items() if part.startswith("page")}
    check(name, {"verdict": verdict, **pages}, screens)


@pytest.mark.parametrize("cause", PLANTED)
def test_a_planted_cause_is_told_as_recorded(cause):
    system = plant(cause, 7, 60, PLANTED[cause])
    found = json.loads(diagnose(system.base, system.interventions).model_dump_json())
    assert found["wrong"][0]["cause"] == cause
    check(f"planted-{cause}", {"diagnosis": {**found, "cause": digest(found["cause"], 12)}})
