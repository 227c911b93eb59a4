"""Whatever reads a stranger's bytes ends with a value or with an error that says how to mend it.

The full tier reads the seeds and the kept inputs; the long one looks for new ones (`atheris`).
"""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import byte_readers as readers
import coverage_led
from fuzz_kit import SEED

from tuneworthy.records.errors import DataError

pytestmark = pytest.mark.full
SECONDS = 120  # of the long tier, for each reader
MOST_CORPUS = 300_000  # bytes that all archives may have together
LED = importlib.util.find_spec("atheris") is not None


@pytest.mark.parametrize("name", readers.READERS)
def test_p24_p27_every_kept_input_is_read_or_refused(name, tmp_path):
    for shown, data in readers.inputs_of(name):
        assert not (found := readers.fault(readers.READERS[name], data, tmp_path)), (shown, found)


@pytest.mark.parametrize("name", readers.READERS)
def test_a_reader_reads_one_of_its_seeds(name, tmp_path):
    """Refusing everything would pass the test above."""
    reader = dataclasses.replace(readers.READERS[name], refusals=())
    seeds = reader.seeds()
    assert not all(readers.fault(reader, data, tmp_path) for data in seeds)


def planted(path):
    raw = path.read_bytes()
    if raw == b"loop":
        while True:
            pass
    if raw == b"memory":
        bytearray(600 << 20)
    if raw == b"refused":
        raise DataError("wrong", where="a", fix="mend it")
    if raw == b"half":
        raise DataError("wrong", fix="mend it")
    return 1 / len(raw)


@pytest.mark.parametrize(("raw", "kind"), [
    (b"fine", ""), (b"refused", ""), (b"half", "DataError"), (b"", "ZeroDivisionError"),
    (b"loop", "late Late"), (b"memory", "memory"),
])  # fmt: skip
def test_the_judge_finds_what_is_planted(raw, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "CPU_SECONDS", 0.2)
    reader = readers.Reader("a", planted, ("DataError",), list)
    assert readers.fault(reader, raw, tmp_path).partition("\n")[0].partition(" in ")[0] == kind


def test_the_corpus_stays_small_and_each_part_has_a_reader():
    archives = list(readers.CORPUS.glob("*.zip"))
    assert {path.stem for path in archives} <= readers.READERS.keys()
    assert sum(path.stat().st_size for path in archives) <= MOST_CORPUS


@pytest.mark.long
@pytest.mark.skipif(not LED, reason="needs atheris (libFuzzer): pip install atheris")
@pytest.mark.parametrize("name", readers.READERS)
def test_p24_p27_fuzzing_led_by_coverage_finds_nothing(name, tmp_path):
    figures = coverage_led.led(name, SECONDS, tmp_path, SEED[-1])
    print(figures)
    found = [path.read_text() for path in tmp_path.glob("found-*.txt")]
    assert figures["executions"] > 0, found
    assert not found, found
