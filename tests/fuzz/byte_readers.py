"""What reads a stranger's bytes, as data: for each reader its file, its refusals and its seeds.

`fault` judges one input: the reader returns, or refuses with one of its own errors that says what,
where and how to mend it. Anything else is a finding, and so is too much time or memory.
"""

import json
import resource
import shutil
import signal
import sys
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import byte_seeds as seeds

CPU_SECONDS = 20  # that one input may take; the quickest readers take 20 microseconds
MOST_GROWTH = 400_000  # kB of memory that the reading of one input may take
OWN = "tuneworthy"


@dataclass(frozen=True)
class Reader:
    """A reader of bytes that lie in `file`: `read` gets its path; `seeds` returns first inputs.

    `refusals` are the classes of its errors. `json`: which part of the bytes is JSON: the "whole",
    "lines", or the "header" of a safetensors file. `largest`: bytes of an input.
    """

    file: str
    read: Callable[[Path], Any]
    refusals: tuple[str, ...]
    seeds: Callable[[], list[bytes]]
    json: str = ""
    largest: int = 4096


class Late(BaseException):
    """An input ran past its time."""


def fault(reader: Reader, data: bytes, folder: Path) -> str:
    """Return what is wrong with how a reader takes these bytes, "" if nothing is.

    The first line names the kind of fault: the same one for all inputs that end at one place.
    """
    path = folder / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    before = _peak_kb(anew=True)
    former = signal.signal(signal.SIGVTALRM, _late)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        reader.read(path)
    except Exception as error:
        found = "" if _is_refusal(reader, error) else _told(error)
    except Late as error:
        found = f"late {_told(error)}"
    else:
        found = ""
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)
    grown = _peak_kb() - before
    return found or (f"memory\n{grown:,} kB" if grown > MOST_GROWTH else "")


def _peak_kb(anew: bool = False) -> int:
    """Return the most memory that was in use, since the last call with `anew` where Linux tells."""
    try:
        if anew:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0])
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _late(number: int, frame: Any) -> None:
    raise Late(f"more than {CPU_SECONDS} s of processor time")


def _is_refusal(reader: Reader, error: Exception) -> bool:
    """Return whether an error is one of the reader's own, whole, and can be printed."""
    names = {one.__name__ for one in type(error).__mro__}
    if type(error).__module__.partition(".")[0] != OWN or not names & set(reader.refusals):
        return False
    if "ApiError" in names:
        json.dumps(error.plain()).encode()
        return 400 <= error.status < 500
    str(error).encode()
    return bool(error.what and error.where and error.fix)


def _told(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if f"/{OWN}/" in one.filename] or list(frames)
    place = f"{Path(own[-1].filename).name}:{own[-1].name}" if own else ""
    return f"{type(error).__name__} in {place}\n" + "".join(traceback.format_exception(error))


# What each reader does with the file, as far as the command that meets it goes.


def _rows(path: Path) -> None:
    """Read rows as `run` does, then as `init` does."""
    from tuneworthy.rows.bad_rows import BadRows
    from tuneworthy.rows.importing import ImportOptions, import_rows
    from tuneworthy.rows.reading import SampleSpec, read_file
    from tuneworthy.rows.table_columns import Choice

    bad = BadRows(path.parent, listed=False)
    try:
        for case in read_file(path, path.name, bad, SampleSpec(1000, 0)).cases:
            json.dumps(case.plain(), allow_nan=False).encode()
    except Exception as error:
        if not _is_refusal(ROWS, error):
            raise
    out = path.parent / "imported"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    made = import_rows([path], ImportOptions(Choice()), out, "x")
    "\n".join(made.printed_lines).encode()


def _task(path: Path) -> None:
    from tuneworthy.rows.taskfile import read_task

    json.dumps(read_task(path).plain(), allow_nan=False).encode()


def _live_log(path: Path) -> None:
    from tuneworthy.handover.request_log import read_log

    read_log(path)


def _training_log(form: str, path: Path) -> None:
    from tuneworthy.lab.own_log import log_facts, missing_log_facts
    from tuneworthy.rows.run_folder import RunFolder
    from tuneworthy.rows.run_logs import read_training_log

    log = read_training_log(RunFolder(path.parent, (path.name,)), form, path.name)
    missing_log_facts(log, log_facts(log, 1.0, None))


def _header(path: Path) -> None:
    from tuneworthy.models.local.tensors import header_of, read_square_sum, readable

    for tensor in header_of(path).values():
        if readable(tensor):
            read_square_sum(path, tensor)


def _gguf(path: Path) -> None:
    from tuneworthy.models.local.exported_weights import read_exported

    made = read_exported(path)
    for _ in made.tensors():
        pass


def _training_folder(path: Path) -> None:
    """Check a folder of which one file is replaced: the first byte of the input says which."""
    from tuneworthy.lab.own_run import OwnFiles, check_run
    from tuneworthy.records.record import canonical
    from tuneworthy.report.checks import own_run_screen

    raw = path.read_bytes()
    whole = seeds.whole_folder()
    names = list(whole)
    replaced = names[(raw[0] if raw else 0) % len(names)]
    folder = path.parent / "run"
    folder.mkdir(exist_ok=True)
    for name, content in whole.items():
        (folder / name).write_bytes(raw[1:] if name == replaced else content)
    report = check_run(folder, OwnFiles(folder / "rows.jsonl"))
    canonical(report).encode()
    own_run_screen(report, 80, True)


def _ledger(path: Path) -> None:
    from tuneworthy.store.store import open_ledger
    from tuneworthy.store.study_events import begun_studies

    for beside in path.parent.iterdir():
        if beside.is_dir():
            shutil.rmtree(beside)
        elif beside != path:
            beside.unlink()
    with open_ledger(path.parents[1], write=False, say=lambda text: None) as ledger:
        ledger.verify()
        for study in begun_studies(ledger):
            ledger.events(study)
            for key in ledger.keys(study):
                ledger.get(key)


def _results(path: Path) -> None:
    from tuneworthy.report.exports import export_text
    from tuneworthy.report.results_folder import read_results
    from tuneworthy.report.terminal import ladder_screen

    results = read_results(path.parent)
    for suffix in (".html", ".json", ".csv", ".xml"):
        export_text(results, suffix).encode()
    ladder_screen(results, 80, True)


def _verdict(path: Path) -> None:
    from tuneworthy.lab.studies import StudyPlace, verdict_of

    verdict_of(StudyPlace("", path.parents[2], path.parent.name))


@cache
def _client() -> Any:
    """Return the client of an endpoint whose answers are `_answer`: no socket is opened."""
    import openai

    from tuneworthy.models.remote.endpoint import endpoint
    from tuneworthy.models.remote.wire import RetryPolicy, connect

    httpx = sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
    client = connect(endpoint("http://127.0.0.1:9/v1"), RetryPolicy())
    client._client._transport = httpx.MockTransport(
        lambda request: httpx.Response(_answer[0], headers=_answer[1], content=iter([_answer[2]]))
    )
    return client


_answer: list[Any] = [200, {}, b""]
STATUS = (200, 200, 200, 200, 400, 401, 404, 413, 429, 500, 503)
HEADERS = ({}, {"content-encoding": "gzip"}, {"retry-after": "1e12"}, {"retry-after": "soon"})


def _endpoint(path: Path) -> None:
    """Read an answer of an endpoint: its first bytes choose the status and the headers."""
    from tuneworthy.models.remote.reply import has_form, read_reply
    from tuneworthy.models.remote.wire import attempt
    from tuneworthy.records.model import Grammar, Limits

    raw = path.read_bytes().ljust(2, b"\0")
    _answer[:] = STATUS[raw[0] % len(STATUS)], HEADERS[raw[1] % len(HEADERS)], raw[2:]
    outcome = attempt(_client(), {"model": "m", "messages": []}, "key", 5.0)
    f"{outcome.why}{outcome.fix}{outcome.parameter}".encode()
    if outcome.kind == "answer":
        labels = Grammar(kind="labels", value=("yes", "no"))
        for limits in (Limits(max_tokens=8), Limits(max_tokens=8, grammar=labels)):
            reply = read_reply(outcome.body, limits, 8)
            json.dumps(reply.plain(), allow_nan=False).encode()
            has_form(reply.text, limits.grammar)


def _request(path: Path) -> None:
    from tuneworthy.handover.serve.chat_request import read_request

    read_request(path.read_bytes())


def _scripted(path: Path) -> None:
    from tuneworthy.models.scripted import open_scripted

    open_scripted(path.name, path.parent)


def _looks(path: Path) -> None:
    from tuneworthy.store.elsewhere import _entries_of_file

    _entries_of_file(path.read_bytes())


def _docs(path: Path) -> None:
    from tuneworthy.rows.docs import read_docs

    for doc in read_docs(path, path.name):
        json.dumps(doc.plain(), allow_nan=False).encode()


USER = ("DataError", "TaskError")
LOGS = {"trainer_state": "trainer_state.json", "json_export": "log.json", "lines": "log.jsonl",
        "trace": "trace.json"}  # fmt: skip
ROWS = Reader("rows.jsonl", _rows, USER, seeds.row_lines, "lines")
READERS = {
    "rows_lines": ROWS,
    "rows_table": Reader("rows.csv", _rows, USER, seeds.row_tables),
    "rows_document": Reader("rows.json", _rows, USER, seeds.row_documents, "whole"),
    "rows_yaml": Reader("rows.yaml", _rows, USER, seeds.row_yaml),
    "rows_parquet": Reader("rows.parquet", _rows, USER, seeds.parquet, largest=8192),
    "rows_archive": Reader("rows.eval", _rows, USER, seeds.archives, largest=16384),
    "task": Reader("task.yaml", _task, USER, seeds.tasks, "whole"),
    "docs": Reader("docs.jsonl", _docs, USER, seeds.doc_lines, "lines"),
    "live_log": Reader("live.jsonl", _live_log, USER, seeds.live_logs, "lines"),
    **{f"log_{form}": Reader(file, partial(_training_log, form), USER, seeds.histories(form),
                             "lines" if form == "lines" else "whole")
       for form, file in LOGS.items()},
    "tensors": Reader("model.safetensors", _header, ("ModelError", "SecurityError"), seeds.weights,
                      "header"),
    "gguf": Reader("model.gguf", _gguf, ("ModelError", "SecurityError"), seeds.gguf_files),
    "training_folder": Reader("changed", _training_folder, USER, seeds.folders, largest=16384),
    "ledger": Reader("study/.tuneworthy/ledger.sqlite", _ledger, ("StoreError",),
                     seeds.part_of_study("ledger.sqlite"), largest=200_000),
    "results": Reader("results.json", _results, ("TaskError",), seeds.part_of_study("results.json"),
                      "whole", largest=200_000),
    "verdict": Reader("results/a-12345678/verdict.json", _verdict, (),
                      seeds.part_of_study("verdict.json"), "whole", largest=60_000),
    "endpoint": Reader("answer", _endpoint, (), seeds.replies, "answer"),
    "request": Reader("request.json", _request, ("ApiError",), seeds.requests, "whole"),
    "scripted": Reader("replies.jsonl", _scripted, ("DataError",), seeds.reply_lines, "lines"),
    "looks": Reader("looks.jsonl", _looks, (), seeds.look_lines, "lines"),
}  # fmt: skip


# The corpus: one archive a reader, so that a thousand small inputs are no thousand files.

CORPUS = Path(__file__).parent / "corpus"


def kept(name: str) -> dict[str, bytes]:
    """Return the inputs that are kept of a reader, by name; once-failing ones are `found-…`."""
    path = CORPUS / f"{name}.zip"
    if not path.exists():
        return {}
    with zipfile.ZipFile(path) as archive:
        return {one: archive.read(one) for one in archive.namelist()}


def keep(name: str, inputs: dict[str, bytes]) -> None:
    """Write the inputs of a reader; the same inputs give the same bytes."""
    CORPUS.mkdir(exist_ok=True)
    with zipfile.ZipFile(CORPUS / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for one in sorted(inputs):
            out.writestr(zipfile.ZipInfo(one), inputs[one], zipfile.ZIP_DEFLATED)


def inputs_of(name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the seeds of a reader, then what is kept."""
    yield from ((f"seed-{at}", raw) for at, raw in enumerate(READERS[name].seeds()))
    yield from kept(name).items()
