"""Versions side by side: what a plain name means, and the way back."""

import os
import time

import pytest
from serve_kit import Prompted, artefact, write_artefact

from tuneworthy.handover.serve.served_models import Openers, ServedModels
from tuneworthy.handover.serve.served_versions import (
    CURRENT,
    HISTORY,
    ServedVersion,
    current_versions,
    note_current,
    rollback,
    versions_in,
)
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.errors import DataError, TaskError


def build(root, id, name="tickets", at=0):
    folder = write_artefact(root / f"{name}-{id}", artefact(name, id))
    os.utime(folder / "artefact.json", (1_000_000 + at, 1_000_000 + at))
    return f"{name}-{id}"


def test_a_plain_name_means_the_last_build_unless_current_says_another(tmp_path):
    first, second = build(tmp_path, "a1", at=1), build(tmp_path, "b2", at=2)
    found = versions_in(tmp_path)
    assert [version.name for version in found] == [first, second]
    write_artefact(tmp_path / ".draft-c3", artefact("tickets", "c3"))
    assert [version.name for version in versions_in(tmp_path)] == [first, second]
    assert current_versions(tmp_path, found) == {"tickets": second}
    (tmp_path / CURRENT).write_text(f"{first}\n")
    assert current_versions(tmp_path, found) == {"tickets": first}
    (tmp_path / CURRENT).write_text("tickets-gone\n")
    assert current_versions(tmp_path, found) == {"tickets": second}
    assert [v.name for v in versions_in(tmp_path / first)] == [first], "a single build folder too"


def test_a_rollback_goes_to_what_ran_before_not_to_what_was_built_before(tmp_path):
    one, two = build(tmp_path, "a1", at=1), build(tmp_path, "b2", at=2)
    note_current(tmp_path, versions_in(tmp_path))
    assert rollback(tmp_path, versions_in(tmp_path), None) == (two, one)
    assert current_versions(tmp_path, versions_in(tmp_path)) == {"tickets": one}
    three = build(tmp_path, "c3", at=time.time())  # ahead of the clock, and after the rollback
    assert current_versions(tmp_path, versions_in(tmp_path)) == {"tickets": three}
    note_current(tmp_path, versions_in(tmp_path))
    assert rollback(tmp_path, versions_in(tmp_path), None) == (three, one), "not the bad b2"
    with pytest.raises(TaskError, match="nothing else before"):
        rollback(tmp_path, versions_in(tmp_path), None)
    assert current_versions(tmp_path, versions_in(tmp_path)) == {"tickets": one}


def test_names_are_rolled_back_apart(tmp_path):
    build(tmp_path, "a1", at=1)
    build(tmp_path, "b2", at=2)
    other = build(tmp_path, "c3", "voices", at=3)
    found = versions_in(tmp_path)
    with pytest.raises(TaskError, match="say which"):
        rollback(tmp_path, found, None)
    with pytest.raises(TaskError, match="no artefact has this name"):
        rollback(tmp_path, found, "nobody")
    rollback(tmp_path, found, "tickets")
    assert current_versions(tmp_path, found) == {"tickets": "tickets-a1", "voices": other}
    assert not list(tmp_path.glob("*.draft"))


def test_a_version_that_was_deleted_is_passed_over(tmp_path):
    one = build(tmp_path, "a1", at=1)
    build(tmp_path, "b2", at=2)
    three = build(tmp_path, "c3", at=3)
    note_current(tmp_path, versions_in(tmp_path))
    (tmp_path / "tickets-b2" / "artefact.json").unlink()
    assert rollback(tmp_path, versions_in(tmp_path), "tickets") == (three, one)


def test_a_torn_manifest_and_a_broken_history_are_said(tmp_path):
    build(tmp_path, "a1")
    (tmp_path / HISTORY).write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="can't be read"):
        note_current(tmp_path, versions_in(tmp_path))
    (tmp_path / "tickets-a1" / "artefact.json").write_text('{"id": "x"')
    with pytest.raises(DataError, match="manifest"):
        versions_in(tmp_path)
    with pytest.raises(TaskError, match="no built artefact"):
        versions_in(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("model", "mark", "options", "bases"),
    [
        ("vllm:org/m", "off", {"model": {"top_k": 50}}, 2),
        ("vllm:org/m", "off", {"model": {"top_k": 1}}, 1),
        ("hf:org/m", "free", {}, 2),
        ("hf:org/m", "off", {"model": {"top_k": 50}}, 1),
    ],
)
def test_versions_share_a_base_only_if_it_is_opened_alike(tmp_path, model, mark, options, bases):
    """The second version answered with the request fields of the first."""
    made = [
        artefact(id="a" * 12, model=model, fingerprint={"thinking": "off"},
                 task={"options": {"model": {"top_k": 1}}}),
        artefact(id="b" * 12, model=model, fingerprint={"thinking": mark},
                 task={"options": options}),
    ]  # fmt: skip
    versions = [ServedVersion(tmp_path / str(n), one, float(n)) for n, one in enumerate(made)]
    opened, answers = [], {}

    def open_base(version):
        opened.append(Scripted(version.artefact.id, lambda prompt, limits: ""))
        return opened[-1]

    def open_system(version, base):
        answers[version.artefact.id] = base.spec
        return Prompted(version.artefact, base)

    models = ServedModels(4)
    try:
        models.open_versions(tmp_path, versions, Openers(open_system, open_base))
    finally:
        models.stop()
    assert len(opened) == bases
    assert answers["b" * 12] == ("b" if bases == 2 else "a") * 12
