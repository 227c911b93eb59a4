"""Arms made of two: whose recorded answers they give, and which part of a pack classifies."""

from tuneworthy.records.artefact import Pack
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import recorded_system


def test_an_arm_names_the_recorded_system_that_it_asks():
    cascade = Spec(name="c", arm="cascade", options={"first": "tfidf", "then": "hosted"})
    assert recorded_system(cascade) == "hosted"
    prompted = cascade.model_copy(update={"options": {"first": "tfidf", "then": "zero_shot"}})
    assert recorded_system(prompted) == ""
    assert recorded_system(Spec(name="own name", arm="tfidf")) == "own name"


def test_the_part_that_classifies_is_the_pack_itself_its_first_part_or_none():
    front = Pack(role="", vectors=True)
    assert front.classifies == front
    assert Pack(first=front, least=0.5).classifies == front
    assert Pack().classifies is None
