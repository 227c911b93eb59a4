"""gepa: a second model's proposals from failures are tried, and kept where they score higher."""

import pytest
from arms_kit import label_cases, setup
from test_optimised_prompt import gold

from tuneworthy.arms import gepa
from tuneworthy.arms._reflected import longest_fenced_block
from tuneworthy.arms.prompt.messages import build, specification
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.plugins import load
from tuneworthy.records.specs import needs_of, specs, unmet_needs
from tuneworthy.records.task import Data, Output, Task

RULES = {
    "refund": "Money that comes back is a refund.",
    "delivery": "A parcel on its way is a delivery.",
    "warranty": "A thing that broke is a warranty.",
}


def follows(prompt, limits):
    """Answer rightly where the instruction holds the rule of the right label."""
    right = gold(prompt)
    return right if RULES[right] in prompt[0].content else "nonsense"


class Writer:
    """A reflection model that adds the rule of the first mistake it is shown."""

    def __init__(self, most=99):
        self.asked, self.most = [], most

    def __call__(self, prompt, limits):
        if len(self.asked) == self.most:
            raise KeyboardInterrupt
        self.asked.append(text := prompt[0].content)
        own = longest_fenced_block(text.partition("\n\nMistake")[0])
        label = text.partition("Right: ")[2].split()[0]
        return f"The rule is missing.\n```\n{own}\n{RULES[label]}\n```\nThat is it."


def fit(writer, folder, respond=follows, **options):
    rows = label_cases(60)
    made = setup(respond, folder, train=rows[:18], dev=rows[18:48])
    if writer is not None:
        made.models["reflection"] = Scripted("scripted:writer", writer)
    return gepa.fit(made, gepa.Options(**options), 0)


def test_rules_are_learnt_one_after_the_other_from_failures_of_training_rows(tmp_path):
    writer = Writer()
    fitted = fit(writer, tmp_path, budget=8)
    assert fitted.trace["dev"] == 1
    assert all(rule in fitted.recipe.specification for rule in RULES.values())
    best = [sum(step["scores"].values()) / 30 for step in fitted.trace["search"]["steps"]]
    assert best[0] == 0
    assert best == sorted(best)
    dev = [case.input for case in label_cases(60)[18:48]]
    assert not any(text in asked for text in dev for asked in writer.asked)
    query = label_cases(60)[50].query()
    made = setup(follows, tmp_path)
    assert build(made.task, query, fitted.recipe, made.train)[0].content.count("rule") == 0
    assert fitted.learned


def test_what_is_no_better_is_dropped_and_never_reaches_the_dev_rows(tmp_path):
    def useless(prompt, limits):
        return "```\nSay anything.\n```"

    fitted = fit(useless, tmp_path, budget=8)
    assert fitted.recipe.specification is None
    assert [one["what"] for one in fitted.trace["search"]["tried"]] == ["the best prompt so far"]


@pytest.mark.parametrize("said", ["", "``` ```", "word " * 500, "```\n" + "word " * 500 + "\n```"])
def test_an_empty_cut_or_long_proposal_is_none(tmp_path, said):
    assert fit(lambda prompt, limits: said, tmp_path, words=40).recipe.specification is None


def test_a_model_that_fails_ends_no_study(tmp_path):
    def down(prompt, limits):
        raise RuntimeError("down")

    assert fit(down, tmp_path).trace["dev"] == 0


def test_nothing_is_asked_where_nothing_fails(tmp_path):
    writer = Writer()
    assert fit(writer, tmp_path, lambda prompt, limits: gold(prompt)).trace["dev"] == 1
    assert writer.asked == []


def test_a_search_that_was_killed_does_not_pay_for_its_reflections_again(tmp_path):
    whole, first = Writer(), Writer(2)
    one = fit(whole, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        fit(first, tmp_path / "b")
    rest = Writer()
    two = fit(rest, tmp_path / "b")
    assert (one.recipe, one.trace) == (two.recipe, two.trace)
    assert len(rest.asked) == len(whole.asked) - 2


def test_it_needs_a_second_model_and_runs_only_where_it_is_named(tmp_path):
    with pytest.raises(DoesNotApply, match="`teacher` or `bigger`"):
        fit(None, tmp_path)
    job = Task(data=Data(file="r.jsonl"), output=Output(type="text"), arms=("gepa", "zero_shot"))
    spec = next(one for one in specs(job) if one.arm == "gepa")
    why = {}
    for key in ("", "teacher", "bigger"):
        given = job.model_copy(update={key: "openai:x"} if key else {})
        why[key] = "; ".join(map(str, unmet_needs(spec, needs_of(given, gold=False))))
    assert "teacher or bigger" in why[""]
    assert why["teacher"] == why["bigger"] == ""
    assert "gepa" not in {one.arm for one in specs(job.model_copy(update={"arms": "auto"}))}


def test_the_placebo_is_as_long_and_says_nothing(tmp_path):
    best = fit(Writer(), tmp_path).recipe
    made = setup(follows, tmp_path, recipe=best)
    fake = gepa.fit(made, load("arms", "gepa").placebo(gepa.Options()), 0).recipe
    assert len(fake.specification.split()) == len(best.specification.split())
    assert fake.specification.startswith(specification(made.task))
    assert not any(rule in fake.specification for rule in RULES.values())


@pytest.mark.parametrize(
    ("text", "found"),
    [("a ```\nx\n``` b ```text\nlonger\n```", "longer"), ("plain", "plain"), ("``` ```", "")],
)
def test_the_longest_part_between_fences_is_taken(text, found):
    assert longest_fenced_block(text) == found
