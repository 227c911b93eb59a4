"""The model of an inference server: its names, and the highest rank of its adapters."""

from pathlib import Path

from tuneworthy.records.model import parse_server_model
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import highest_rank
from tuneworthy.records.tokens import mean_distance


def test_weights_of_the_hub_and_of_a_folder_have_a_spec_in_this_process(tmp_path):
    assert parse_server_model("org/name", tmp_path).trained_as == "hf:org/name"
    hub = parse_server_model("org/name@abc", tmp_path, 8)
    assert (hub.trained_as, hub.is_path, hub.rank) == ("hf:org/name@abc", False, 8)
    own = parse_server_model("./w", tmp_path)
    assert (own.trained_as, own.is_path) == (f"hf:{tmp_path / 'w'}", True)


def test_a_server_without_adapters_is_what_it_was():
    """The digest of a model without a rank is that of the time before there were ranks."""
    assert parse_server_model("org/name", Path()).plain() == {
        "weights": "org/name",
        "name": "org/name",
        "revision": "",
    }


def spec(arm, **options):
    return Spec(name=arm, arm=arm, options=options, tool="tune", role="candidate", simplicity=1)


def test_the_room_for_adapters_is_the_highest_rank_that_is_trained():
    assert highest_rank([spec("zero_shot", rank=99), spec("tfidf")]) == 0
    assert highest_rank([spec("lora", rank=16), spec("lora", rank=40), spec("full")]) == 40


def test_a_distance_leaves_out_what_one_of_the_two_lacks():
    assert mean_distance([[0.0, 1.0, 9.0], None], [[0.0, 0.5], [1.0]]) == 0.25
    assert mean_distance([], []) == 0
