"""Entries of the public sets: their figures are those that the benchmark recorded, none else."""

import sys
from pathlib import Path

import pytest
from bench.atlas.atlas_data import SHIPPED_FOLDER
from bench.atlas.entry_files import PACKED_SUFFIX, read_packed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    import json

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
        import real_set_entries

        text = (ROOT / "bench" / "results" / "real_sets.json").read_text("utf-8")
        yield real_set_entries, json.loads(text)


def test_each_shipped_entry_states_what_the_benchmark_recorded(tool):
    module, told = tool
    for name, label in module.STUDIES.items():
        found = told[label][name]
        entry = read_packed(SHIPPED_FOLDER / f"{module.key_of(name, found['rows'])}{PACKED_SUFFIX}")
        card = entry.card
        assert entry.figures_only
        assert not card.shown
        assert (card.use, card.arm, card.status, card.left) == (
            found["use"], found["arm"], found["status"], found["left"],
        )  # fmt: skip
        assert card.arms == module.arms_of(found)
        assert card.because == found["because"]
        assert str(card.measured) == found["date"]
        for arm in card.arms:
            assert arm.score.plain() == found["arms"][arm.name]
            assert arm.n is None  # the benchmark did not record it
        assert "other jobs beside" in card.environment["study"]


def test_a_distance_is_that_of_a_compared_pair(tool):
    module, told = tool
    spoken = {
        arm.name: arm for arm in module.arms_of(told["after, prompts looked at"]["snips_json"])
    }
    pair = told["after, prompts looked at"]["snips_json"]["deltas"]["lora"]
    assert spoken["lora"].behind is None
    assert spoken["nearest_shots"].behind.mean == pair["mean"]
    assert spoken["constrained"].behind is None  # it was never compared with the best arm
    docs = {arm.name: arm for arm in module.arms_of(told["after, equal folds"]["xquad_docs"])}
    delta = told["after, equal folds"]["xquad_docs"]["deltas"]["rag"]
    assert (docs["rag"].behind.low, docs["rag"].behind.high) == (-delta["high"], -delta["low"])
    assert "oracle" not in docs
