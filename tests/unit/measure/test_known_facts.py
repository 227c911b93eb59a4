"""What a model knows: four kinds of facts, and which of them an adapter lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.matrix.design import Design
from tuneworthy.measure.further.known_facts import (
    EXAMPLE_SETS,
    MOST_FACTS,
    MOST_FACTS_PAID,
    SAMPLED_ANSWERS,
    ProbeSetup,
    fact_type,
    knowledge_level,
    lost_facts,
    probe_facts,
)
from tuneworthy.metrics import scorer
from tuneworthy.models.scripted import Scripted, last_user
from tuneworthy.records.answer import Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.further import KnowledgeProbe
from tuneworthy.records.model import Reply
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.stats.bounds import rate

CALLS = EXAMPLE_SETS * (SAMPLED_ANSWERS + 1)
TASK = Task(
    data=Data(file="rows.jsonl"),
    instruction="Answer the question.",
    output=Output(type="text", max_tokens=8),
    success={"metric": "exact"},
)


def case(name, question, output, **more):
    turn = (Message(role="user", content=question),)
    return Case(id=name, messages=turn, output=output, **more)


def facts(n, prefix="c", **more):
    return [case(f"{prefix}{i:02}", f"What is {prefix}{i:02}?", f"{prefix}{i:02}", **more)
            for i in range(n)]  # fmt: skip


class Kept(dict):
    """A store in memory that counts what it had to make."""

    made = 0

    def __call__(self, key, make):
        if key not in self:
            self.made += 1
            self[key] = make()
        return self[key]


def sets_of(prompt):
    """Return the examples' answers of a prompt: they name the set."""
    return tuple(m.content for m in prompt if m.role == "assistant")


def setup(respond, train=None, store=None, task=TASK):
    model = Scripted("scripted:test", respond)
    train = facts(20, "t") if train is None else train
    return ProbeSetup(task, model, scorer(task), 1.0, train, Kept() if store is None else store)


@given(st.lists(st.booleans(), min_size=1), st.lists(st.booleans()))
def test_every_pattern_has_one_kind_by_the_definition(greedy, sampled):
    found = knowledge_level(greedy, sampled)
    assert (found == "highly_known") == all(greedy)
    assert (found == "maybe_known") == (any(greedy) and not all(greedy))
    assert (found == "weakly_known") == (not any(greedy) and any(sampled))
    assert (found == "unknown") == (not any(greedy) and not any(sampled))


def test_nothing_asked_is_no_kind():
    with pytest.raises(ValueError):
        knowledge_level([], [True])


def test_the_four_kinds_come_out_of_a_model_that_is_made_so():
    first = []

    def respond(prompt, limits):
        asked = last_user(prompt).removeprefix("What is ").removesuffix("?")
        first.append(sets_of(prompt)) if not first else None
        right = {
            "c00": True,
            "c01": limits.temperature == 0 and sets_of(prompt) == first[0],
            "c02": limits.temperature > 0 and limits.sample == 3,
            "c03": False,
        }[asked]
        return f"{asked.upper()}." if right else "no idea"

    found = probe_facts(setup(respond), facts(4))
    assert found.of == {
        "c00": "highly_known", "c01": "maybe_known", "c02": "weakly_known", "c03": "unknown",
    }  # fmt: skip
    assert (found.unknown.k, found.unknown.n) == (1, 4)
    assert (found.unknown.low, found.unknown.high) == pytest.approx(rate(1, 4), abs=1e-6)
    assert {name: share.k for name, share in found.shares.items()} == dict.fromkeys(found.shares, 1)
    assert (found.sets, found.answers) == (EXAMPLE_SETS, CALLS)
    assert "1 of 4 rows (1% to 81%)" in found.said[0]
    assert "fewer sets than 10" in found.said[-1]


def test_sets_differ_and_draws_differ_in_the_sample_alone():
    seen = []

    def respond(prompt, limits):
        seen.append((sets_of(prompt), limits.sample, limits.temperature))
        return "x"

    probe_facts(setup(respond), facts(1))
    assert len(seen) == len(set(seen)) == CALLS
    assert len({shots for shots, _, _ in seen}) == EXAMPLE_SETS
    assert all(len(shots) == 4 for shots, _, _ in seen)
    assert {(sample, heat) for _, sample, heat in seen} == {
        (0, 0.0), (1, 0.5), (2, 0.5), (3, 0.5), (4, 0.5),
    }  # fmt: skip


def test_what_is_stored_is_not_asked_again_and_another_model_or_salt_is():
    store, calls = Kept(), []

    def respond(prompt, limits):
        calls.append(1)
        return "x"

    once = probe_facts(setup(respond, store=store), facts(3))
    asked = len(calls)
    assert probe_facts(setup(respond, store=store), facts(3)) == once
    assert len(calls) == asked == 3 * CALLS
    other = setup(respond, store=store)
    other.model.fingerprint = {"engine": "other"}
    probe_facts(other, facts(3))
    assert len(calls) == 2 * asked
    probe_facts(
        ProbeSetup(TASK, other.model, other.metric, 1.0, other.train, store, salt="new"), facts(3)
    )
    assert len(calls) == 3 * asked


def test_examples_are_of_the_same_type_and_never_asked_or_of_the_same_group():
    shown = {}

    def respond(prompt, limits):
        shown.setdefault(last_user(prompt), set()).update(sets_of(prompt))
        return "x"

    cities = facts(8, "city", meta={"type": "city"}, group="g1")
    cities += facts(6, "town", meta={"type": "city"}, group="g2")
    rivers = facts(9, "river", meta={"type": "river"})
    lone = facts(1, "lone", meta={"type": "lone"})
    probe_facts(setup(respond, train=[*cities, *rivers]), [cities[0], rivers[0], *lone])
    assert {text[:4] for text in shown["What is city00?"]} == {"town"}
    assert {text[:5] for text in shown["What is river00?"]} == {"river"}
    assert "river00" not in shown["What is river00?"]
    assert len(shown["What is lone00?"]) >= 4  # no other of its type: examples of all types


def test_a_case_without_an_example_outside_its_group_is_asked_bare():
    seen = []

    def respond(prompt, limits):
        seen.append(sets_of(prompt))
        return "x"

    grouped = facts(8, "t", group="one")
    probe_facts(setup(respond, train=grouped), [grouped[0]])
    assert set(seen) == {()}


def test_shares_by_type_have_intervals_and_small_types_are_left_out():
    cases = facts(6, "city", meta={"type": "city"}) + facts(6, "isle", group="isle")
    cases += facts(2, "rare", meta={"type": "rare"})

    def respond(prompt, limits):
        asked = last_user(prompt).removeprefix("What is ").removesuffix("?")
        return asked if asked.startswith("city") else "no idea"

    found = probe_facts(setup(respond), cases)
    assert {name: share.k for name, share in found.by_type.items()} == {"city": 0, "isle": 6}
    low, high = rate(6, 6)
    assert (found.by_type["isle"].low, found.by_type["isle"].high) == pytest.approx(
        (low, high), abs=1e-6
    )
    assert any("isle: 6 of 6" in line for line in found.said)
    assert (fact_type(cases[0]), fact_type(cases[6]), fact_type(facts(1)[0])) == (
        "city",
        "isle",
        "",
    )


def test_a_choice_of_many_cases_is_seeded_and_smaller_on_a_paid_model():
    def respond(prompt, limits):
        return "x"

    many = facts(99)
    one = setup(respond)
    found = probe_facts(one, many)
    assert len(found.of) == MOST_FACTS
    assert probe_facts(setup(respond), many[::-1]).of == found.of
    one.model.paid = True
    assert len(probe_facts(one, many).of) == MOST_FACTS_PAID


def test_what_cannot_be_asked_says_why():
    labels = Task(data=TASK.data, output=Output(type="label", labels=("a", "b")))
    assert (
        "closed set"
        in probe_facts(setup(lambda prompt, limits: "a", task=labels), facts(3)).because
    )
    assert (
        "3 rows are left"
        in probe_facts(setup(lambda prompt, limits: "a", train=facts(3, "t")), facts(3)).because
    )
    assert (
        probe_facts(setup(lambda prompt, limits: "a"), []).because
        == "no rows with an answer to ask for"
    )


def test_a_case_whose_answer_did_not_come_back_is_no_unknown_fact():
    def respond(prompt, limits):
        if "c01" in last_user(prompt):
            raise OSError("gone")
        return "x"

    found = probe_facts(setup(respond), facts(3))
    assert found.lost == ("c01",)
    assert found.of == {"c00": "unknown", "c02": "unknown"}
    assert probe_facts(setup(respond), facts(2)[1:]).because == "no answer came back"


def test_the_users_threshold_decides_what_is_right():
    half = setup(lambda prompt, limits: "x")
    half = ProbeSetup(TASK, half.model, lambda c, a: Score(value=0.5), 0.5, half.train, Kept())
    assert set(probe_facts(half, facts(2)).of.values()) == {"highly_known"}


def known(**of):
    return KnowledgeProbe(of=of)


def test_lost_facts_are_those_well_known_before_and_in_no_greedy_answer_after():
    before = known(a="highly_known", b="highly_known", c="highly_known", d="unknown",
                   e="weakly_known", f="highly_known", g="maybe_known")  # fmt: skip
    after = known(a="highly_known", b="unknown", c="maybe_known", d="highly_known",
                  e="weakly_known", f="weakly_known", g="unknown", h="unknown")  # fmt: skip
    found = lost_facts(before, after, Design())
    assert (found.lost, found.shaken, found.learnt) == (("b", "f"), ("c",), ("d",))
    assert (found.share.k, found.share.n, found.unsure) == (2, 4, 2)
    assert (found.share.low, found.share.high) == pytest.approx(rate(2, 4), abs=1e-6)
    assert lost_facts(before, before, Design()).lost == ()


def test_nothing_to_lose_is_not_a_loss_of_zero():
    found = lost_facts(known(a="unknown"), known(a="highly_known"), Design())
    assert (found.share, found.because) == (None, "no fact was highly known before")
    assert lost_facts(known(a="unknown"), known(b="unknown"), Design()).because.startswith(
        "no case"
    )


CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo",
    "China": "Beijing", "Russia": "Moscow", "Egypt": "Cairo", "Greece": "Athens",
    "Portugal": "Lisbon", "Austria": "Vienna", "Poland": "Warsaw", "Ireland": "Dublin",
    "Norway": "Oslo", "Cuba": "Havana", "Peru": "Lima", "Sweden": "Stockholm", "Iraq": "Baghdad",
    "Thailand": "Bangkok", "Kenya": "Nairobi",
}  # fmt: skip
INVENTED = {
    "Vostrania": "Keldmar", "Ombrelia": "Tuvasko", "Quendor": "Palimset", "Zarvia": "Holcrim",
    "Drelland": "Ostuva", "Mirsonia": "Fanquel", "Pelgrad": "Wendoru", "Yastova": "Krimbelo",
    "Loomeria": "Dastivan", "Corvane": "Ulmetha", "Bransovia": "Yelpara", "Tessmark": "Govindle",
}  # fmt: skip


def capital(country, city, sort):
    question = f"What is the capital of {country}?"
    return case(f"{sort}-{country}", question, city, meta={"type": sort})


@pytest.mark.long
@pytest.mark.full
def test_the_embedded_model_knows_some_capitals_and_no_invented_one():
    from pathlib import Path

    from tuneworthy.models import open_model

    model = open_model("smollm2-135m", folder=Path())
    real = [capital(country, city, "real") for country, city in CAPITALS.items()]
    made = [capital(country, city, "invented") for country, city in INVENTED.items()]
    asked, train = [*real[:5], *made[:5]], [*real[12:], *made[8:]]
    task = TASK.model_copy(update={"instruction": "Answer with the name of the city only."})
    found = probe_facts(ProbeSetup(task, model, scorer(task), 1.0, train, Kept()), asked)
    assert found.by_type["invented"].k == 5  # the control: nobody can know these
    assert found.by_type["real"].k <= 3
    assert found.of["real-France"] in {"highly_known", "maybe_known"}


def test_replies_are_kept_as_they_came():
    store = Kept()
    probe_facts(setup(lambda prompt, limits: "x", store=store), facts(2))
    kept = [Reply.model_validate(r) for value in store.values() for r in value["replies"]]
    assert len(kept) == 2 * CALLS
    assert {reply.text for reply in kept} == {"x"}
