"""The model that a server is started for: a hub name with a commit, or a path."""

from pathlib import Path

from tuneworthy.records.model import ServerModel, parse_server_model


def test_a_hub_name_may_name_a_commit(tmp_path):
    assert parse_server_model("org/name@abc", tmp_path) == ServerModel(
        weights="org/name", name="org/name", revision="abc"
    )
    assert parse_server_model("org/name", tmp_path).revision == ""
    assert not parse_server_model("org/name", tmp_path).is_path


def test_a_path_starts_at_the_folder_of_the_task(tmp_path):
    model = parse_server_model("./w.gguf", tmp_path)
    assert (Path(model.weights), model.name, model.is_path) == (tmp_path / "w.gguf", "w.gguf", True)
