"""Sealed folders: an adapter folder is complete or absent (P5); no torch needed."""

import json
import os

from tuneworthy.models.train import adapter
from tuneworthy.models.train.adapter import MANIFEST, publish, read_sealed, seal


def built(folder):
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 4)
    (folder / "adapter_config.json").write_text('{"r": 16}')
    seal(folder, {"seed": 3})
    return folder


def test_a_sealed_folder_is_read_back(tmp_path):
    final = publish(built(tmp_path / "tmp"), tmp_path / "adapter")
    manifest = read_sealed(final)
    assert manifest["seed"] == 3
    assert manifest["files"]["adapter_model.safetensors"]["size"] == 1024
    assert not (tmp_path / "tmp").exists()


def test_any_flipped_cut_or_missing_byte_is_seen(tmp_path):
    folder = built(tmp_path / "a")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        good = (folder / name).read_bytes()
        for at in range(0, len(good), 37):
            bad = bytearray(good)
            bad[at] ^= 1
            (folder / name).write_bytes(bytes(bad))
            assert read_sealed(folder) is None
            (folder / name).write_bytes(good[:at])
            assert read_sealed(folder) is None
        (folder / name).unlink()
        assert read_sealed(folder) is None
        (folder / name).write_bytes(good)
        assert read_sealed(folder) is not None  # the control


def test_a_manifest_that_is_cut_newer_or_names_a_file_elsewhere_is_not_whole(tmp_path):
    folder = built(tmp_path / "a")
    good = (folder / MANIFEST).read_text()
    for at in range(0, len(good) - 1, 11):
        (folder / MANIFEST).write_text(good[:at])
        assert read_sealed(folder) is None
    plain = json.loads(good)
    for bad in (
        {**plain, "schema": 2},
        {**plain, "files": {}},
        {**plain, "files": {"../x": {"sha256": "", "size": 0}}},
        [],
    ):
        (folder / MANIFEST).write_text(json.dumps(bad))
        assert read_sealed(folder) is None
    assert read_sealed(tmp_path / "nowhere") is None


def test_publishing_replaces_a_leftover(tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "half").write_text("x")
    final = publish(built(tmp_path / "tmp"), tmp_path / "adapter")
    assert not (final / "half").exists()
    assert read_sealed(final)


def test_each_file_is_on_the_disk_before_the_folder_gets_its_name(tmp_path, monkeypatch):
    made, done, rename = built(tmp_path / "tmp"), [], os.replace
    names = {path.name for path in made.iterdir()}
    monkeypatch.setattr(adapter, "sync", lambda path: done.append(path.name))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("renamed"), rename(a, b)))
    publish(made, tmp_path / "adapter")
    before = done[: done.index("renamed")]
    assert set(before) == {*names, "tmp"}
    assert done[len(before) :] == ["renamed", tmp_path.name]
