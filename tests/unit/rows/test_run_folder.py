"""A training folder is read within limits: no link, no pipe, no file outside, no endless depth."""

import json
import os

import pytest

from tuneworthy.records.errors import DataError, SecurityError, TaskError
from tuneworthy.rows import run_folder
from tuneworthy.rows.run_folder import SEARCH_DEPTH, open_run_folder


def test_files_are_listed_without_links_and_pipes(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.json").write_text("{}")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to(tmp_path / "a.json")
    (tmp_path / "round").symlink_to(tmp_path)
    found = open_run_folder(tmp_path)
    assert found.files == ("a.json", "sub/b.json")
    assert found.links == ("link.json", "round")
    assert found.named("*.json") == ["a.json", "sub/b.json"]


def test_depth_and_number_are_limited(tmp_path, monkeypatch):
    deep = tmp_path.joinpath(*"abcdefgh")
    deep.mkdir(parents=True)
    (deep / "x.json").write_text("{}")
    (tmp_path / "top.json").write_text("{}")
    found = open_run_folder(tmp_path)
    assert found.files == ("top.json",)
    assert found.has_more
    assert len("abcdefgh") > SEARCH_DEPTH
    monkeypatch.setattr(run_folder, "MOST_FILES", 3)
    for k in range(9):
        (tmp_path / f"{k}.json").write_text("{}")
    assert len(open_run_folder(tmp_path).files) == 3
    assert open_run_folder(tmp_path).has_more


def test_a_file_swapped_for_a_link_after_the_listing_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    found = open_run_folder(tmp_path)
    (tmp_path / "a.json").unlink()
    (tmp_path / "secret").write_text('{"x": 1}')
    (tmp_path / "a.json").symlink_to(tmp_path / "secret")
    with pytest.raises(SecurityError, match="not followed"):
        found.object("a.json")


def test_a_file_swapped_for_a_pipe_does_not_block(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    found = open_run_folder(tmp_path)
    (tmp_path / "a.json").unlink()
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(SecurityError, match="no plain file"):
        found.object("a.json")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff", '{"a": 1} x'])
def test_what_is_no_json_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="no whole JSON"):
        open_run_folder(tmp_path).object("a.json")


def test_another_form_and_size_are_refused(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    found = open_run_folder(tmp_path)
    with pytest.raises(DataError, match="another form"):
        found.object("a.json")
    with pytest.raises(DataError, match="too large") as caught:
        found.json("a.json", 2)
    assert "3 bytes" in caught.value.got
    assert found.object("none.json") == {}


def test_the_folders_own_file_comes_before_a_checkpoints(tmp_path):
    for place in ("checkpoint-9", "checkpoint-30", "checkpoint-100", "x/y"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "c.json").write_text(json.dumps(place))
    assert open_run_folder(tmp_path).newest("c.json") == "checkpoint-100/c.json"
    (tmp_path / "c.json").write_text("0")
    assert open_run_folder(tmp_path).newest("c.json") == "c.json"
    assert open_run_folder(tmp_path).newest("d.json") is None


def test_a_folder_of_links_alone_is_said_to_be_one(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path)
    with pytest.raises(TaskError) as caught:
        open_run_folder(tmp_path)
    assert "links" in caught.value.got
