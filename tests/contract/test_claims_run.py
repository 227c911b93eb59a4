"""Every experiment on a claim runs to its verdict: on a tiny random model, with a few rows."""

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("torch")
from tests import tiny

from tuneworthy.lab.claim_results import verdict_of

ROOT = Path(__file__).parents[2]
NAMES = [path.stem for path in sorted((ROOT / "experiments").glob("e[0-9][0-9]_*.py"))]
POOL, TEST, SMALL = 40, 6, {"KNOWN": 12, "TAUGHT": 12, "LEARNT": 8, "LEARN": 16}
NAMES_OF = [a + b for a in ("Bal", "Cor", "Dun", "Fen", "Gol", "Hil", "Jor", "Kem", "Lus", "Mor")
            for b in ("ado", "eth", "imar", "orin", "und")]  # fmt: skip
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Import the experiments with a tiny model, two seeds, six test rows and few to learn from."""
    sys.path.insert(0, str(ROOT / "experiments"))
    home = tmp_path_factory.mktemp("claims")
    tuning, claim = import_module("_tuning"), import_module("_claim")
    suite, made, fitted = tuning.suite_rows.__wrapped__, tuning.own_rows, tuning.fitted
    model = tiny.tiny_llama(home / "model", max_position_embeddings=4096)

    def few(rows):
        return replace(rows, pool=rows.pool[:POOL], test=rows.test[:TEST])

    def on_few(rows, ask):
        train = ask.train if ask.train is not None else rows.drawn(min(ask.n, POOL), ask.seed)
        options = dict(ask.options) | ({"epochs": 1} if "epochs" in ask.options else {})
        return fitted(rows, replace(ask, train=tuple(train)[:16], options=options))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "MODEL", f"hf:{model}")
        patch.setattr(tuning, "HOME", home)
        patch.setattr(claim, "HOME", home)
        patch.setattr(tuning, "SEEDS", (0, 1))
        patch.setattr(tuning, "suite_rows", lambda name, n=600: few(suite(name, 90)))
        patch.setattr(tuning, "own_rows", lambda *given: few(made(*given)))
        patch.setattr(tuning, "fitted", on_few)
        patch.setattr(tuning, "chat_prompts", lambda: import_module(
            "tuneworthy.measure.further.tuned_model").chat_prompts()[:3])  # fmt: skip
        known = {name for name in sys.modules if name == "_shared" or name in NAMES}
        kept = {name: sys.modules.pop(name) for name in known}
        yield {name: import_module(name) for name in NAMES}
        for name in ("_shared", *NAMES):
            sys.modules.pop(name, None)
        sys.modules.update(kept)
    sys.path.remove(str(ROOT / "experiments"))


@pytest.mark.every(10)
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("e06")])
def test_it_runs_to_a_verdict(scripts, name, monkeypatch):
    script = scripts[name]
    for constant, value in SMALL.items():
        if hasattr(script, constant):
            monkeypatch.setattr(script, constant, value)
    if hasattr(script, "DRAWN"):
        monkeypatch.setattr(script, "DRAWN", (0, 1))
    if hasattr(script, "CLEAN"):
        monkeypatch.setattr(script, "CLEAN", (7, 4))
    if name.startswith("e07"):  # every fact counts as changed: six rows ask for one or two facts
        monkeypatch.setattr(script, "fact_values", lambda week=None: dict.fromkeys(NAMES_OF, week))
    if name.startswith("e15"):
        monkeypatch.setattr(script, "TEST", TEST)
    data = script.collect()
    found = script.figures(data)
    wanted = (*script.CLAIM.expects, *script.CLAIM.holds_if)
    assert {expected.figure for expected in wanted} <= {each.name for each in found}
    assert verdict_of(script.CLAIM.expects, found) in ("confirmed", "refuted", "undecided")
    assert script.collect() == data  # from its units
