"""Planted causes: each system behaves as its cause says, and the diagnosis names plain ones."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tests import planted
from tests.planted import CAUSES, VARIANTS, confusion_summary, outcome, plant, table
from tests.planted._columns import correctness_check, trained_table, worked_examples
from tests.planted._likeness import LikenessSearch, is_same_answer, label_conflicts
from tests.planted._plant import _draw_item
from tests.planted._system import majority_answer, system_answer
from tests.planted._world import PromptIngredients, load, make_world

from tuneworthy.arms.prompt.lenient import lenient
from tuneworthy.explain.cause_shares import diagnose

CALM = replace(VARIANTS[0], churn=0.0, strength=0.9)


def worlds(cause):
    module = load(cause)
    for kind in module.KINDS:
        world = make_world(f"{cause} {kind}", kind, CALM, module.STYLE)
        rng = Random(kind)
        yield world, [_draw_item(world, n, cause, rng) for n in range(80)]


def rate(world, items, ask):
    """Return the share of right answers under a prompt, or under a function from item to prompt."""
    right, asks = correctness_check(world), [ask(i) if callable(ask) else ask for i in items]
    return sum(
        right(i, system_answer(world, i, a)) for i, a in zip(items, asks, strict=True)
    ) / len(items)


def gold(item):
    return PromptIngredients("oracle", passage=item.case.context)


def test_every_cause_has_a_file_and_the_control_is_one_more():
    assert set({path.stem for path in Path(planted.__file__).parent.glob("[a-z]*.py")}) == {
        *CAUSES,
        "hard",
        "nudge",
    }


@pytest.mark.parametrize("cause", CAUSES)
def test_today_it_fails(cause):
    for world, items in worlds(cause):
        assert rate(world, items, PromptIngredients()) < 0.3


def test_metric_the_same_answer_in_other_characters():
    for world, items in worlds("metric"):
        said = [(i, system_answer(world, i, PromptIngredients())) for i in items]
        assert all(is_same_answer(world.kind, i.case.output, text) for i, text in said)
        others = [
            (i, world.in_form(i.case, v)) for i, _ in said for v in world.pool if v != i.truth
        ]
        assert not any(is_same_answer(world.kind, i.case.output, text) for i, text in others)


def test_format_the_right_answer_stands_in_the_text_and_held_to_the_form_it_passes():
    for world, items in worlds("format"):
        said = [(i, system_answer(world, i, PromptIngredients())) for i in items]
        assert all(i.truth in text for i, text in said)
        assert rate(world, items, PromptIngredients("constrained", legal=True)) > 0.8
        found = [lenient(text, world.kind, world.task.output.labels or ()) for _, text in said]
        parsed = sum(
            f is not None and correctness_check(world)(i, f)
            for (i, _), f in zip(said, found, strict=True)
        )
        assert (parsed > 0.5 * len(items)) == (world.kind != "number")


def test_convention_told_or_shown_it_passes_and_with_shuffled_answers_not():
    for world, items in worlds("convention"):
        assert rate(world, items, PromptIngredients("specification", rule=True)) > 0.8
        shown = PromptIngredients("few_shot", shots=worked_examples(world, apt=True))
        mixed = PromptIngredients("shuffled", shots=worked_examples(world, apt=False), apt=False)
        assert rate(world, items, shown) > 0.6
        assert rate(world, items, mixed) < 0.3


def recall(items):
    docs = [text for i in items for text in (i.content.passage, *i.content.decoys)]
    search = LikenessSearch(docs)
    return sum(i.content.passage in search.top(i.case.input, 3) for i in items) / len(items)


def test_knowledge_is_in_the_documents_and_found_there():
    for world, items in worlds("knowledge"):
        assert rate(world, items, gold) > 0.8
        assert (
            rate(world, items[1:], PromptIngredients("wrong", passage=items[0].case.context)) < 0.3
        )
        assert recall(items) > 0.95


def test_retrieval_the_passage_helps_but_is_not_found():
    for world, items in worlds("retrieval"):
        assert rate(world, items, gold) > 0.8
        assert recall(items) < 0.3


def test_reading_the_answer_is_in_the_passage_and_only_a_strong_reader_finds_it():
    for world, items in worlds("reading"):
        assert all(i.truth in i.case.context for i in items)
        assert rate(world, items, gold) < 0.1
        assert rate(world, items, lambda i: replace(gold(i), strong=True)) > 0.95


def test_latent_six_to_eight_of_ten_samples_are_right_and_so_is_their_majority():
    for world, items in worlds("latent"):
        warm = [rate(world, items, PromptIngredients("s", n, warm=True)) for n in range(4)]
        assert 0.6 < sum(warm) / 4 < 0.8
        right = correctness_check(world)
        assert sum(right(i, majority_answer(world, i)) for i in items) > 0.85 * len(items)


def test_capability_only_a_larger_model_takes_the_steps():
    for world, items in worlds("capability"):
        assert rate(world, items, PromptIngredients("bigger", strong=True)) > 0.8
        assert rate(world, items, PromptIngredients("sibling")) < 0.3


def test_learnable_a_hundred_rows_teach_it_and_eight_examples_or_shuffled_rows_do_not():
    for world, items in worlds("learnable"):
        assert (
            rate(world, items, PromptIngredients("lora", trained=trained_table(world, True))) > 0.65
        )
        assert (
            rate(world, items, PromptIngredients("twin", trained=trained_table(world, False)))
            < 0.35
        )
        assert (
            rate(world, items, PromptIngredients("few", shots=worked_examples(world, True))) < 0.5
        )


def test_label_the_system_is_right_and_like_cases_say_so():
    for world, items in worlds("label"):
        assert all(system_answer(world, i, PromptIngredients()) == i.truth for i in items)
        rng = Random(1)
        mixed = [_draw_item(world, n, "label" if n % 6 == 0 else "", rng) for n in range(360)]
        wrong, sound = [i.case for i in mixed[::6]], [i.case for i in mixed if not i.cause]
        cases = [i.case for i in mixed]
        assert len(label_conflicts(cases, wrong)) > 0.55 * len(wrong)
        assert not label_conflicts(cases, sound)


def test_hard_nothing_changes_how_often_it_passes():
    for world, items in worlds("hard"):
        asks = [
            PromptIngredients(),
            PromptIngredients("spec", rule=True),
            PromptIngredients("c", legal=True),
            PromptIngredients("b", strong=True),
            PromptIngredients("l", trained=trained_table(world, True)),
            PromptIngredients("few", shots=worked_examples(world, True)),
        ]
        assert all(rate(world, items, a) < 0.12 for a in asks)


def test_same_arguments_same_plant_and_another_seed_another():
    one = plant("format", 3, 12, 1)
    assert one == plant("format", 3, 12, 1)
    assert one.base != plant("format", 4, 12, 1).base
    assert (len(one.base.fails), len(one.base.passes)) == (12, 24)


def test_two_causes_need_an_answer_type_in_common(monkeypatch):
    both = plant("retrieval", 0, 20, 0, "format")
    assert (both.second, len(both.base.fails)) == ("format", 20)
    monkeypatch.setattr(load("format"), "KINDS", ("number",))
    with pytest.raises(ValueError, match="no answer type fits both"):
        plant("metric", 0, 8, second="format")


def test_sampled_grouped_and_paid_bases_have_what_they_need():
    assert set(plant("format", 0, 8, 6).base.rerun.values()) == {True, False}
    assert plant("format", 0, 8, 3).base.groups
    paid = plant("format", 0, 61, 5)
    asked = {i.name: set(i.passed) for i in paid.interventions}
    assert len(asked["constrained"] & set(paid.base.fails)) == 60
    assert len(asked["constrained"]) == 120
    pilot = {i.name: set(i.passed) for i in plant("format", 0, 20, 8).interventions}
    assert len(pilot["lora"]) == 20


@pytest.mark.parametrize(("cause", "variant"), [*((c, 0) for c in CAUSES), ("hard", 8)])
def test_a_plain_variant_of_every_cause_is_named(cause, variant):
    made = plant(cause, 0, 60, variant)
    assert outcome(made, diagnose(made.base, made.interventions)).named == cause


def test_a_plant_without_a_tried_failure_is_called_untried_and_counts_as_a_miss():
    made = plant("format", 0, 60)
    found = diagnose(made.base, made.interventions)
    rows = [row for row in found.wrong if row.cause == "format"]
    open_ = [row.model_copy(update={"cause": "untried"}) for row in rows]
    one = outcome(made, found.model_copy(update={"wrong": tuple(open_)}))
    assert (one.named, one.first, one.likely) == ("untried",) * 2 + (("untried",),)
    assert confusion_summary([one])["all"]["right"]["share"] == 0


def test_the_tally_counts_what_was_named_and_keeps_the_misses():
    right, wrong = (plant("format", n, 8) for n in (0, 1))
    found = diagnose(right.base, right.interventions)
    one = outcome(right, found)
    other = replace(outcome(wrong, found), named="hard", first="hard", likely=("hard",))
    told = confusion_summary([replace(one, named="format"), other])
    assert told["causes"]["format"]["named"] == {"format": 1, "hard": 1}
    assert told["all"]["right"]["share"] == 0.5
    assert told["all"]["misses"] == [["format", 1, 8, 0, None, "hard", "hard"]]
    assert "format" in table(told, ["format", "hard"])
    control = plant("hard", 0, 8)
    told = confusion_summary(
        [replace(outcome(control, found), named="format"), outcome(control, found)]
    )
    assert told["false"]["k"] == 1
    assert one.named == "few"


def test_a_remedy_counts_only_beyond_what_its_prompt_passes_alone():
    """Any wording helps here: a grammar on the best one adds nothing, and does not act."""
    one = plant("nudge", 5, 60, 1)
    columns = {column.name: column for column in one.interventions}
    standing = {name for name, column in columns.items() if column.alone is not None}
    assert standing == {"bigger", "constrained", "vote"}
    assert columns["constrained"].placebo == "a random answer or its prompt alone"
    found = {effect.name: effect for effect in diagnose(one.base, one.interventions).effects}
    assert found["constrained"].rescue > 0.2
    assert not found["constrained"].acts
    bare = replace(one, interventions=tuple(
        column.model_copy(update={"alone": None}) for column in one.interventions))  # fmt: skip
    loose = {effect.name: effect for effect in diagnose(bare.base, bare.interventions).effects}
    assert loose["constrained"].acts, "the control: without its prompt it would be praised"
