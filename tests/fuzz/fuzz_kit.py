"""The one contract of every input, and how inputs are drawn from a strategy with a seed."""

import base64
import contextlib
import hashlib
import io
import json
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.parse
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tuneworthy.cli._frame import run
from tuneworthy.records.escape import json_for_terminal
from tuneworthy.sandbox import schemas

CANARY = "sk-canary-9f27c1d04be85a36d7f0"
_known: dict[str, list] = {}
SEED = []  # what `--fuzz-seed` says
SECONDS = 90.0  # an input may take, on a machine that does other work too
EVERY = 12  # one input in so many is run as a process of its own
CODES = {"run": {0, 1, 2, 3, 4, 5, 6, 7}, "settle": {0, 1, 2, 5, 6, 7}}
FAILURES = {1: ("ModelError", "ProviderError", "NumericError"),
            2: ("TaskError", "NotInstalled", "SecurityError"), 5: ("DataError",),
            6: ("BudgetError",), 7: ("StoreError",)}  # fmt: skip
NASTY = ["\0", "\x1b[31m", "\x9b", "\u202e", "\ufeff", "\u2028", "\ud800", "\U0001f600", "\r", "\t",
         "\n", '"', "\\", "{{", "%s", "${env:HOME}", "=1+1", "'", "<script>", "NaN", "-0", "1e999",
         "٣", "İ", "ß", "e\u0301", "#", "---", "<|im_end|>", "\x7f"]  # fmt: skip


class Late(BaseException):
    """An input ran past its time."""


class Ended:
    """How a command ended: its exit code and all that it printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def text(self) -> str:
        return self.out + self.err


def texts(most: int = 40) -> st.SearchStrategy[str]:
    """Return texts of ordinary and of nasty characters."""
    part = st.one_of(
        st.text(max_size=8),
        st.sampled_from(NASTY),
        st.sampled_from(["a", "yes", "no", "refund", "order 7", "1", "2.5"]),
    )
    return st.lists(part, max_size=5).map(lambda parts: "".join(parts)[:most])


def scalars() -> st.SearchStrategy:
    """Return values of JSON that are no list and no object, the odd ones among them."""
    numbers = st.sampled_from([0, -1, 1, 2**63, -(2**64), 10**30, 0.5, 1e-320, 1e308, -0.0, 1e-9])
    return st.one_of(texts(), numbers, st.booleans(), st.none(), st.integers(), st.floats())


def values() -> st.SearchStrategy:
    """Return any JSON value, two or three levels deep."""
    return st.recursive(
        scalars(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(12), inner, max_size=3),
        max_leaves=6,
    )


def _drawn(name: str, strategy: st.SearchStrategy, count: int, seed: int) -> list:
    found: list = []

    @hypothesis.seed(seed + int(hashlib.sha256(name.encode()).hexdigest()[:6], 16))
    @settings(max_examples=2 * count, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(strategy)
    def take(value) -> None:
        found.append(value)

    take()
    seen, unlike = set(), []
    for value in found:
        key = repr(value)
        if key not in seen:
            seen.add(key)
            unlike.append(value)
    assert len(unlike) >= count, f"{name}: only {len(unlike)} different inputs"
    return unlike[:count]


def drawn(name: str, strategy: st.SearchStrategy, count: int, index: int):
    """Return the input of an index: `count` different ones are drawn, once a process."""
    if name not in _known:
        _known[name] = _drawn(name, strategy, count, SEED[-1])
    return _known[name][index]


def rows_of(home: Path) -> dict[int, str] | None:
    """Return the rows of a store, by number with their hash; None where it can't be read."""
    store = home / ".tuneworthy" / "ledger.sqlite"
    if not store.is_file():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
            return dict(connection.execute("SELECT seq, link FROM rows"))
    except sqlite3.Error:
        return None


def files_of(home: Path) -> dict[str, bytes]:
    """Return the finished results of a study, by path."""
    return {str(path.relative_to(home)): path.read_bytes()
            for path in (home / "results").glob("*/verdict.json") if path.is_file()}  # fmt: skip


def holds(home: Path, words: list[str], *, real: bool = False) -> Ended:
    """Run a command on a study folder and require all that every command promises.

    A documented exit code with an error of its class, no BUG, no trace-back, an end in time,
    nothing harmful to a terminal, no key anywhere, and nothing lost that was stored before.
    """
    before, results = rows_of(home), files_of(home)
    ended = _as_process(words) if real else _in_process(words)
    said = f"{words} ended with {ended.code}:\n{ended.text[-6000:]}{_trace(home.parent)}"
    assert "BUG" not in ended.err, said
    assert "Traceback" not in ended.text, said
    assert ended.code in CODES.get(words[0], {0, 1, 2, 5, 6, 7}), said
    recomputed = words[0] == "report" and "recomputed:" in ended.text
    if ended.code in FAILURES and not (ended.code == 1 and recomputed):
        names = FAILURES[ended.code]
        assert re.search(rf"^({'|'.join(names)}): \S", ended.err, re.MULTILINE), said
        for part in ("where", "fix"):
            assert ended.code == 1 or re.search(rf"^  {part}  ", ended.err, re.MULTILINE), said
    assert json_for_terminal(ended.out) == ended.out, said
    assert json_for_terminal(ended.err) == ended.err, said
    _no_key(home.parent, ended)
    after = rows_of(home)
    if before is not None and after is not None:
        assert before.items() <= after.items(), f"rows are gone: {said}"
    for name, content in results.items():
        assert (home / name).exists(), f"{name} is gone: {said}"
        if ended.code == 2:
            assert (home / name).read_bytes() == content, f"{name} was changed: {said}"
    return ended


def _in_process(words: list[str]) -> Ended:
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in "ab")

    def late(number, frame) -> None:
        raise Late(f"{words} ran longer than {SECONDS:g} s")

    former = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(words)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    return Ended(code, _decoded(out.buffer.getvalue()), _decoded(err.buffer.getvalue()))


def _as_process(words: list[str]) -> Ended:
    code = "from tuneworthy.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Ended(done.returncode, _decoded(done.stdout), _decoded(done.stderr))


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8").replace("\r\n", "\n")


def _trace(folder: Path) -> str:
    bugs = sorted(folder.glob("tuneworthy-bug-*.txt"))
    return "".join("\n" + bug.read_text()[-6000:] for bug in bugs)


def _no_key(folder: Path, ended: Ended) -> None:
    raw = CANARY.encode()
    forms = {raw, base64.b64encode(raw).rstrip(b"="), urllib.parse.quote(CANARY).encode(),
             raw[::-1], raw.hex().encode()}  # fmt: skip
    written = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    for name, content in [("output", ended.text.encode()), *((p, p.read_bytes()) for p in written)]:
        for form in forms:
            assert form not in content, f"the key stands in {name}"


def indices(count: int) -> pytest.MarkDecorator:
    """Return the decorator that runs a test once for each of so many inputs.

    Two of eleven run in the full tier, all in the long one: the project's check has half an hour.
    Tests choose the command and its options by the index modulo 2, 3, 4, 5, 7, 10 or 12 (`real`):
    eleven shares no factor with these, so the full tier meets every choice.
    """
    later = [pytest.mark.long]
    return pytest.mark.parametrize(
        "index", [pytest.param(n, marks=() if n % 11 in (0, 4) else later) for n in range(count)]
    )


def real(index: int) -> bool:
    """Say whether an input is run as a process of its own."""
    return index % EVERY == EVERY - 1


def written(path: Path, value) -> None:
    """Write a JSON value as UTF-8; what is no UTF-8 (half a character) stays an escape."""
    path.write_text(json.dumps(value), "utf-8")


def patient(monkeypatch) -> None:
    """Make what waits for hostile code wait less: the contract is that it ends."""
    monkeypatch.setattr(schemas, "SECONDS", 0.3)
    monkeypatch.setattr(schemas, "START_SECONDS", 5.0)
    monkeypatch.setattr("tuneworthy.metrics._user.USER_SECONDS", 0.3)
