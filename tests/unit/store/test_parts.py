"""A value larger than a row is stored in parts: equal, once, also after a kill; older ones open."""

import pytest

from tuneworthy.records.errors import StoreError
from tuneworthy.records.record import canonical
from tuneworthy.store import blobs
from tuneworthy.store.store import open_ledger

VALUE = {"runs": [{"case": n, "text": "“é” \ud800 \\" * 9} for n in range(40)]}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(blobs, "LARGEST_PART", 500)


def opened(folder, **options):
    return open_ledger(folder, say=lambda text: None, **options)


def rows(ledger, kind=None):
    return [r for r in ledger.journal.rows("unit", "s") if kind in (None, r.kind)]


def test_a_large_value_comes_back_equal_and_is_written_once(tmp_path):
    with opened(tmp_path) as ledger:
        assert ledger.get("k") is None
        assert ledger.put("k", "results", VALUE, "s") == VALUE
        written = rows(ledger)
        assert len(written) > 20
        assert max(len(row.value) for row in written) < 4 * blobs.LARGEST_PART
        assert ledger.put("k", "results", VALUE, "s") == VALUE
        assert len(rows(ledger)) == len(written)
        assert ledger.keys("s") == ["k"], "parts are no units of their own"
    with opened(tmp_path, write=False) as reader:
        assert reader.get("k") == VALUE
        assert reader.verify() > 20


@pytest.mark.parametrize("size", [1, 499, 500, 501, 10_000])
def test_a_value_in_pieces_is_stored_as_the_whole(tmp_path, size):
    text = canonical(VALUE, ascii_only=True)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    with opened(tmp_path) as ledger:
        ledger.put("k", "results", VALUE, "s")
        written = {row.name: row.value for row in rows(ledger)}
        assert ledger.put_text("k", "results", pieces, "s")() == VALUE
        assert len(rows(ledger)) == len(written)
    (tmp_path / "other").mkdir()
    with opened(tmp_path / "other") as ledger:
        assert ledger.put_text("k", "results", iter(pieces), "s")() == VALUE
        assert {row.name: row.value for row in rows(ledger)} == written
        with pytest.raises(StoreError, match="one key was used for two things"):
            ledger.put_text("k", "results", [*pieces[:-1], "x"], "s")


def test_another_value_under_its_key_is_refused(tmp_path):
    with opened(tmp_path) as ledger:
        ledger.put("k", "results", VALUE, "s")
        for other in ({"runs": VALUE["runs"][:-1]}, {"small": 1}):
            with pytest.raises(StoreError, match="one key was used for two things"):
                ledger.put("k", "results", other, "s")


def test_a_killed_write_is_continued(tmp_path, monkeypatch):
    with opened(tmp_path) as ledger:
        real, count = ledger.journal.append, []

        def append(step, *entries):
            count.append(1)
            if len(count) == 9:
                raise KeyboardInterrupt
            return real(step, *entries)

        monkeypatch.setattr(ledger.journal, "append", append)
        with pytest.raises(KeyboardInterrupt):
            ledger.put("k", "results", VALUE, "s")
        assert ledger.get("k") is None, "without its own row there is no value"
        assert len(rows(ledger)) == 8
    with opened(tmp_path) as ledger:
        assert ledger.put("k", "results", VALUE, "s") == VALUE
        names = [row.name for row in rows(ledger)]
        assert len(names) == len(set(names))


def test_a_value_of_before_in_one_row_opens_and_is_the_same_value(tmp_path, monkeypatch):
    monkeypatch.setattr(blobs, "LARGEST_PART", 10_000_000)
    with opened(tmp_path) as ledger:
        ledger.put("k", "results", VALUE, "s")
    monkeypatch.setattr(blobs, "LARGEST_PART", 500)
    with opened(tmp_path) as ledger:
        assert ledger.get("k") == VALUE
        assert ledger.put("k", "results", VALUE, "s") == VALUE
        assert len(rows(ledger)) == 1


def test_a_lost_part_is_said(tmp_path, monkeypatch):
    with opened(tmp_path) as ledger:
        ledger.put("k", "results", VALUE, "s")
        lost = rows(ledger, blobs.PART_KEY)[3].name
        find = ledger.journal.find
        monkeypatch.setattr(
            ledger.journal, "find", lambda sort, name: None if name == lost else find(sort, name)
        )
        with pytest.raises(StoreError, match="a part of a stored value is not there"):
            ledger.get("k")
