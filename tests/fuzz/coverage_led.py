"""Fuzzing led by coverage: `python tests/fuzz/coverage_led.py READER --seconds 60 [--keep]`.

libFuzzer, by way of `atheris`, keeps the inputs that reach code no other input reached, and changes
those. A finding does not stop it: the first input of each kind is written to --out, and the exit
code is 1. `--keep` adds these inputs to the corpus.
"""

import argparse
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

import byte_readers as readers

RSS_MB = 4096
JUNK = (None, True, False, -1, 0, 1, 2**63, 10**30, 1e308, 1e-320, 0.5, "", "x", "\x1b[", "\ud800",
        "NaN", "9" * 400, "\u202e", [], [[]], {}, {"a": 1}, "2026-01-02", "<|im_end|>")  # fmt: skip


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Return the paths of all values inside a JSON value; of long lists the first and the last."""
    inner = list(value.items()) if isinstance(value, dict) else []
    if isinstance(value, list):
        inner = list(enumerate(value))
        inner = inner[:4] + inner[-2:] if len(inner) > 6 else inner
    return [path, *(found for key, one in inner for found in places(one, (*path, key)))]


def changed_value(value: Any, draw: random.Random) -> Any:
    """Return a JSON value with one place replaced, removed, doubled or renamed."""
    paths = places(value)
    path = draw.choice(paths)
    if not path:
        return draw.choice(JUNK)
    target = value
    for key in path[:-1]:
        target = target[key]
    at = path[-1]
    how = draw.randrange(5)
    if how == 0:
        del target[at]
    elif how == 1:
        other: Any = value
        for key in draw.choice(paths):
            other = other[key]
        target[at] = json.loads(json.dumps(other))
    elif how == 2 and isinstance(target, list):
        target.insert(at, target[at])
    elif how == 2:
        target[draw.choice([str(draw.choice(JUNK)), *target])] = target.pop(at)
    elif how == 3 and isinstance(target[at], str):
        text = target[at]
        target[at] = draw.choice([text + str(draw.choice(JUNK)), text[: len(text) // 2], [text]])
    else:
        target[at] = draw.choice(JUNK)
    return value


def changed_json(kind: str, data: bytes, draw: random.Random) -> bytes:
    """Return bytes with one JSON value of theirs changed. Raises ValueError where none is JSON."""
    if kind == "lines":
        lines = data.split(b"\n")
        at = draw.randrange(len(lines))
        lines[at] = changed_json("whole", lines[at], draw)
        return b"\n".join(lines)
    cut = {"header": 8, "answer": 2}.get(kind, 0)
    end = cut + int.from_bytes(data[:8], "little") if kind == "header" else len(data)
    text = json.dumps(changed_value(json.loads(data[cut:end]), draw)).encode("utf-8")
    head = len(text).to_bytes(8, "little") if kind == "header" else data[:cut]
    return head + text + data[end:]


def fuzz(name: str, arguments: list[str], out: Path) -> None:
    """Run libFuzzer on a reader in this process, which it ends. Findings go to `out`."""
    import atheris

    reader, seen = readers.READERS[name], set()
    work = Path(tempfile.mkdtemp(prefix="bytes-"))
    with atheris.instrument_imports(include=[readers.OWN]):
        for _, data in readers.inputs_of(name):  # loads what the reader loads
            readers.fault(reader, data, work)

    def one(data: bytes) -> None:
        found = readers.fault(reader, data, work)
        kind = found.partition("\n")[0]
        if found and kind not in seen:
            seen.add(kind)
            named = hashlib.sha256(kind.encode()).hexdigest()[:12]
            (out / f"found-{named}").write_bytes(data)
            (out / f"found-{named}.txt").write_text(found, "utf-8", "backslashreplace")

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        draw = random.Random(seed)
        if reader.json and draw.random() < 0.5:
            try:
                made = changed_json(reader.json, data, draw)
            except (ValueError, KeyError, IndexError, RecursionError):
                made = data
            if made != data and len(made) <= most:
                return made
        return atheris.Mutate(data, most)

    atheris.Setup([sys.argv[0], *arguments], one, custom_mutator=mutate)
    atheris.Fuzz()


def child(name: str, out: Path, arguments: list[str], seconds: float) -> str:
    """Run `fuzz` in a process of its own and return what it printed."""
    words = [sys.executable, __file__, name, "--out", str(out), "--inside", json.dumps(arguments)]
    done = subprocess.run(words, capture_output=True, timeout=seconds + 900, check=False)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    if done.returncode:
        (out / "found-ended.txt").write_text(f"ended with {done.returncode}\n{said[-6000:]}")
        for broken in out.glob("crash-*"):
            broken.rename(out / "found-ended")
    return said


def led(name: str, seconds: int, out: Path, seed: int = 1, keep: bool = False) -> dict[str, Any]:
    """Fuzz a reader for some seconds; return its executions, edges, features and findings."""
    largest = readers.READERS[name].largest
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch)
        for one, data in readers.inputs_of(name):
            (corpus / one).write_bytes(data)
        limits = [f"-max_len={largest}", f"-rss_limit_mb={RSS_MB}", "-timeout=120", "-verbosity=1"]
        said = child(name, out, [*limits, f"-max_total_time={seconds}", f"-seed={seed}",
                                 "-print_final_stats=1", f"-artifact_prefix={out}/", str(corpus)],
                     seconds)  # fmt: skip
    new = {path.name: path.read_bytes() for path in out.glob("found-*") if not path.suffix}
    if keep and new:
        readers.keep(name, readers.kept(name) | new)
    edges = re.findall(r"cov: (\d+) ft: (\d+)", said)
    count = re.search(r"number_of_executed_units: (\d+)", said)
    found = sorted(path.read_text().partition("\n")[0] for path in out.glob("found-*.txt"))
    first, last = (edges[0], edges[-1]) if edges else ((0, 0), (0, 0))
    return {"reader": name, "executions": int(count[1]) if count else 0,
            "edges_of_seeds": int(first[0]), "edges": int(last[0]), "features": int(last[1]),
            "found": found}  # fmt: skip


def main() -> None:
    """Parse the command line and fuzz one reader, several or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(readers.READERS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("findings"))
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["TUNEWORTHY_LOOKS"] = "folder"
    if given.inside:
        fuzz(given.readers[0], json.loads(given.inside), given.out)
    failed = False
    for name in given.readers or readers.READERS:
        out = given.out / name
        out.mkdir(parents=True, exist_ok=True)
        figures = led(name, given.seconds, out, given.seed, given.keep)
        print(json.dumps(figures), flush=True)
        failed = failed or bool(figures["found"])
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
