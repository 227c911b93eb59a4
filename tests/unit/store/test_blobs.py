"""P5: a published folder is whole or absent, and the last good one survives the next failure."""

import os
import random

import pytest

from tuneworthy.records.errors import StoreError
from tuneworthy.store import blobs
from tuneworthy.store.blobs import (
    atomic_folder,
    integrity_faults,
    is_whole,
    publish,
    remove_partial,
)


def fill(folder, seed=1):
    (folder / "deep").mkdir()
    (folder / "weights.bin").write_bytes(random.Random(seed).randbytes(3000))
    (folder / "deep" / "config.json").write_text('{"rank": 8}')


@pytest.fixture
def folder(tmp_path):
    with atomic_folder(tmp_path / "adapter") as part:
        fill(part)
    return tmp_path / "adapter"


def test_a_published_folder_is_whole(folder):
    assert is_whole(folder)
    assert [p.name for p in folder.parent.iterdir()] == ["adapter"]
    assert (folder / "deep" / "config.json").read_text() == '{"rank": 8}'


def test_publish_in_place_is_the_manifest_itself(tmp_path):
    fill(tmp_path)
    assert not is_whole(tmp_path)
    assert publish(tmp_path) == tmp_path
    assert is_whole(tmp_path)
    assert publish(tmp_path) == tmp_path
    assert is_whole(tmp_path)


def test_p5_any_flipped_byte_of_any_file_is_refused(folder):
    rng, checked = random.Random(5), 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for _ in range(40):
            at = rng.randrange(len(whole))
            flipped = bytes([whole[at] ^ (1 << rng.randrange(8))])
            path.write_bytes(whole[:at] + flipped + whole[at + 1 :])
            assert integrity_faults(folder), (path, at)
            checked += 1
        path.write_bytes(whole)
    assert checked == 120
    assert is_whole(folder)  # the check passes what is sound


def test_p5_any_truncated_file_is_refused(folder):
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for size in {0, 1, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:size])
            assert not is_whole(folder), (path, size)
        path.write_bytes(whole + b"\n")
        assert not is_whole(folder)
        path.write_bytes(whole)
    assert is_whole(folder)


def test_p5_missing_and_added_files_are_refused(folder):
    (folder / "extra").write_text("x")
    assert integrity_faults(folder) == ["extra: not listed"]
    (folder / "extra").unlink()
    (folder / "weights.bin").unlink()
    assert integrity_faults(folder) == ["weights.bin: missing"]
    with pytest.raises(StoreError, match=r"weights\.bin") as error:
        blobs.require_whole(folder)
    assert error.value.exit_code == 7
    assert not is_whole(folder / "nothing here")


def test_a55_a_hostile_manifest_reaches_nothing_outside(folder, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    entry = blobs._manifest_entry(secret)
    (folder / "manifest.json").write_text(blobs._manifest_text({"../secret": entry}))
    assert "../secret: missing" in integrity_faults(folder)
    (folder / "weights.bin").unlink()
    (folder / "weights.bin").symlink_to(secret)
    assert "neither a file nor a folder" in integrity_faults(folder)[0]
    (folder / "weights.bin").unlink()
    os.mkfifo(folder / "pipe")
    assert not is_whole(folder)
    for text in ("[]", "{}", '{"files": 3}', "\x00", '{"files": {"a": 1}}'):
        (folder / "manifest.json").write_text(text)
        assert not is_whole(folder)


def test_p5_a_failure_while_writing_leaves_what_was_there(folder):
    def fails():
        with atomic_folder(folder) as part:
            (part / "half").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert is_whole(folder)
    assert [p.name for p in folder.parent.iterdir()] == ["adapter"]


@pytest.mark.parametrize("step", ["files", "before", "move"])
def test_p5_a_full_disk_while_publishing(tmp_path, monkeypatch, step):
    final = tmp_path / "adapter"
    final.mkdir()
    (final / "half").write_text("left by a crash")
    monkeypatch.setenv("TW_FAILPOINT", f"publish.{step}:1:raise")
    with pytest.raises(StoreError, match="full"), atomic_folder(final) as part:
        fill(part)
    monkeypatch.delenv("TW_FAILPOINT")
    assert not is_whole(final)
    with atomic_folder(final) as part:
        fill(part)
    assert is_whole(final)
    remove_partial(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]


def test_a_whole_folder_is_not_replaced(folder):
    before = (folder / "weights.bin").read_bytes()
    with atomic_folder(folder) as part:
        fill(part, seed=2)
    assert (folder / "weights.bin").read_bytes() == before


def test_half_written_folders_are_swept_and_a_swap_cut_in_two_is_undone(tmp_path):
    deep = tmp_path / "key"
    (deep / ".adapter.part-123").mkdir(parents=True)
    (deep / ".other.old-123").mkdir()
    (deep / ".user").mkdir()
    assert remove_partial(tmp_path) == [deep / ".adapter.part-123"]
    assert sorted(p.name for p in deep.iterdir()) == [".user", "other"]
    assert remove_partial(tmp_path / "none") == []


def test_each_file_is_on_the_disk_before_the_manifest_gets_its_name(tmp_path, monkeypatch):
    done, rename = [], os.rename
    monkeypatch.setattr(blobs, "sync", lambda path: done.append(path.name))
    monkeypatch.setattr(os, "rename", lambda a, b: (done.append("renamed"), rename(a, b)))
    fill(tmp_path)
    publish(tmp_path)
    assert sorted(done[: done.index("renamed")]) == ["config.json", "weights.bin"]
    assert sorted(done[done.index("renamed") + 1 :]) == sorted(["deep", tmp_path.name])


def test_a_received_file_that_can_not_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    blobs.receive_files(tmp_path, {"a.bin": b"old"})

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError):
        blobs.receive_files(tmp_path, {"a.bin": b"new and longer"})
    assert (tmp_path / "a.bin").read_bytes() == b"old"
