"""A study asks each local request once: over folds and arms, and dev rows included."""

from collections import Counter

import pytest
from tests import studies

import tuneworthy
from tuneworthy.flows.study import RunOptions
from tuneworthy.models import _reply_cache
from tuneworthy.models.scripted import Scripted

ARMS = ["zero_shot", "few_shot", "nearest_shots", "constrained", {"vote": {"m": 2}}, "bigger"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Run a study of five folds and return it with the requests that reached a model."""
    asked, real = Counter(), Scripted._reply_to

    def counted(self, prompt, limits):
        if not _reply_cache._uncached.get():
            said = tuple(message.content for message in prompt)
            asked[self.spec, said, limits.model_dump_json()] += 1
        return real(self, prompt, limits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scripted, "_reply_to", counted)
        folder = tmp_path_factory.mktemp("once")
        path = studies.write(folder, n=90, arms=ARMS, present=None, bigger="scripted:empty",
                             output={"type": "label", "labels": studies.LABELS})  # fmt: skip
        done = tuneworthy.run(path, RunOptions(brief=True))
    return done, asked


def test_every_greedy_request_is_generated_once(study):
    _, asked = study
    greedy = {key: n for key, n in asked.items() if '"temperature":0.0' in key[2]}
    assert len(greedy) > 500
    assert set(greedy.values()) == {1}


def test_an_arm_that_learns_nothing_asks_each_row_once_over_five_folds(study):
    """Its dev rows are scored rows of other folds, and arms that stand on it try it on them."""
    done, asked = study
    runs = {n: [r for r in done.results.runs if r.spec.name == n] for n in ("zero_shot", "bigger")}
    assert [len(own) for own in runs.values()] == [5, 5]
    assert {run.recipe for own in runs.values() for run in own} == {tuneworthy.records.arm.Recipe()}
    for name, spec in (("zero_shot", studies.MODEL), ("bigger", "scripted:empty")):
        prompts = {tuple(m.content for m in a.prompt) for run in runs[name] for a in run.answers}
        own = [key for key in asked if key[0] == spec and key[1] in prompts]
        assert len(prompts) == 90
        free = [key for key in own if '"grammar":null' in key[2] and '"temperature":0.0' in key[2]]
        assert sum(asked[key] for key in free) == 90, name


def test_an_arm_says_which_prompt_it_stands_on(study):
    done, _ = study
    (larger,) = (arm for arm in done.results.evidence.arms if arm.name == "bigger")
    told = "stands on zero_shot: few_shot was no better than zero_shot"
    assert str(larger.because).startswith(told)
