"""First inputs of each reader of bytes: files of the tests, and small ones that are made here."""

import io
import json
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[1] / "samples"


def _dumps(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


def _lines(*values: Any) -> bytes:
    return b"".join(line + b"\n" for line in _dumps(*values))


def _samples(*suffixes: str) -> list[bytes]:
    files = [*SAMPLES.glob("*.*"), *SAMPLES.glob("exports/*.*")]
    found = [path.read_bytes() for path in sorted(files) if path.suffix in suffixes]
    return [raw for raw in found if len(raw) < 40_000]


CHAT = {"messages": [{"role": "user", "content": "late"}, {"role": "assistant", "content": "no"}]}
PLAIN = {
    "id": "a",
    "input": "where is it?",
    "output": "delivery",
    "group": "g",
    "time": "2026-01-02",
}
ODD = {"input": {"a": [1, None]}, "output": ["x"], "context": [{"id": "d", "text": "t"}]}


def row_lines() -> list[bytes]:
    lists = [PLAIN, CHAT, ODD], [CHAT], [{"prompt": "a", "completion": "b", "weight": 1}]
    return [*(_lines(*some) for some in lists), *_samples(".jsonl")]


def row_tables() -> list[bytes]:
    return [b'input,output\n"a, b",x\nc,y\n', b"id\tinput\toutput\n1\ta\tb\n",
            b"input;output\r\na;b\r\n", *_samples(".csv")]  # fmt: skip


def row_documents() -> list[bytes]:
    return [*_dumps([PLAIN, CHAT], {"rows": [PLAIN]}, {"a": PLAIN, "b": PLAIN}), *_samples(".json")]


def row_yaml() -> list[bytes]:
    return [b"- input: a\n  output: b\n- {input: c, output: d}\n", *_samples(".yaml")]


def parquet() -> list[bytes]:
    import pyarrow
    from pyarrow import parquet

    def written(columns: dict[str, list], **options: Any) -> bytes:
        file = io.BytesIO()
        parquet.write_table(pyarrow.table(columns), file, **options)
        return file.getvalue()

    plain = {"input": ["a", "b"], "output": ["x", None]}
    return [written(plain, compression="NONE", use_dictionary=False), written(plain),
            written({"messages": [CHAT["messages"]], "n": [1.5]}, compression="gzip")]  # fmt: skip


def archives() -> list[bytes]:
    import openpyxl

    book, file = openpyxl.Workbook(), io.BytesIO()
    for cells in (["input", "output"], ["a", 1], ["b", 2.5]):
        book.active.append(cells)
    book.save(file)
    return [file.getvalue(), *_samples(".eval")]


def tasks() -> list[bytes]:
    full = {"name": "n", "data": {"file": "rows.jsonl", "folds": 5}, "model": "scripted:echo",
            "output": {"type": "label", "labels": ["a", "b"]}, "seeds": 2, "instruction": "brief",
            "arms": ["majority", "zero_shot", {"vote": {"k": 3}}],
            "budget": {"minutes": 1, "usd": 0},
            "success": {"metric": "exact", "target": 0.5, "limits": {"p95_ms": 9}},
            "economics": {"prices": {"m": {"in": 1, "out": 2}}, "horizon_months": 3},
            "present": {"answers": "l.jsonl", "tool": "tune"},
            "answers": {"b": {"file": "m.jsonl", "tool": "prompt"}}}  # fmt: skip
    least = {"name": "n", "data": {"file": "rows.jsonl"}, "model": "scripted:echo"}
    text = (b"name: a\ndata:\n  file: rows.jsonl # rows\nmodel: scripted:echo\n"
            b"arms: [zero_shot, few_shot]\nbudget: {usd: 1}\ninstruction: |\n  a\n  b\n"
            b"'output': {type: \"text\"}\n")  # fmt: skip
    return [*_dumps(full, least), text]


def live_logs() -> list[bytes]:
    from tuneworthy.records.plugins import catalogue, load

    return [
        _lines(*(load("logs", name).EXAMPLE for name in catalogue("logs"))),
        _lines({"input": "a", "answer": "b", "seconds": 0.1, "time": "2026-01-02T03:04:05Z"}),
    ]


def histories(form: str) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        import run_folder_kit as kit

        steps = kit.entries()[:12]
        if form == "lines":
            table = b"step,loss,eval_loss\n1,2.5,\n2,2.0,1.9\n3,nan,\n"
            return [_lines(*steps), table, _lines({"step": 1, "metrics": {"loss": 2.0}})]
        if form == "trace":
            return _dumps({"steps": [{"step": 1, "loss": 2.0, "norm": 1.0}], "mask_share": 0.5,
                           "losses": [0.1, 0.2]})  # fmt: skip
        values = ({"log_history": steps, "max_steps": 12}, [{"loss": 1}, {"loss": 0.5}],
                  {"history": steps, "config": {"lr": 1e-4, "a": {"b": 1}}},
                  {"metric": "loss", "values": [{"step": 1, "value": 2.0}]})  # fmt: skip
        return _dumps(*values)

    return seeds


def tensors(tensors: dict[str, tuple[str, list[int], int]], **more: Any) -> bytes:
    """Return a safetensors file of zeros: {name: (type, shape, bytes)}."""
    at, header = 0, dict(more)
    for name, (kind, shape, size) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


def weights() -> list[bytes]:
    lora = {f"base_model.model.layers.0.q_proj.lora_{name}.weight": ("F32", shape, 32)
            for name, shape in (("A", [2, 4]), ("B", [4, 2]))}  # fmt: skip
    kinds = {"a": ("BF16", [2, 2], 8), "b": ("I8", [3], 3), "c": ("F8_E4M3", [], 1)}
    return [tensors(lora, __metadata__={"format": "pt"}), tensors(kinds), tensors({})]


def gguf_files() -> list[bytes]:

    import gguf
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_context_length(8)
        writer.add_eos_token_id(2)
        writer.add_chat_template("{{ messages }}")
        writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
        writer.add_tensor("token_embd.weight", np.zeros((2, 32), np.float32))
        writer.add_tensor("output.weight", np.zeros((2, 32), np.float16))
        for write in (writer.write_header_to_file, writer.write_kv_data_to_file,
                      writer.write_tensors_to_file, writer.close):  # fmt: skip
            write()
        return [Path(path).read_bytes()]


@cache
def whole_folder() -> dict[str, bytes]:
    """Return the files of a small training folder, by name."""

    import run_folder_kit as kit

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        kit.adapter(kit.tokenizer(folder))
        kit.card(folder)
        kit.rows(folder / "rows.jsonl", 4)
        options = {"max_length": 64, "packing": False, "max_grad_norm": 1.0, "pad_token": "<|pad|>"}
        state = {"log_history": kit.entries()[:16], "max_steps": 16}
        (folder / "training_args.json").write_bytes(_dumps(options)[0])
        (folder / "trainer_state.json").write_bytes(_dumps(state)[0])
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def folders() -> list[bytes]:
    return [bytes([at]) + raw for at, raw in enumerate(whole_folder().values())]


@cache
def study() -> dict[str, bytes]:
    """Return the files of a small study that has ended."""

    from tests import studies

    import tuneworthy

    with tempfile.TemporaryDirectory() as made:
        task = studies.write(Path(made) / "study", n=12, arms=studies.LIGHT)
        tuneworthy.run(task)
        (results,) = (task.parent / "results").glob("planted-*")
        store = task.parent / ".tuneworthy" / "ledger.sqlite"
        return {path.name: path.read_bytes() for path in (*results.iterdir(), store)}


def replies() -> list[bytes]:
    good = {"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": {
        "role": "assistant", "content": "<think>a</think>yes"}}], "usage": {"prompt_tokens": 3,
        "completion_tokens": 2, "total_tokens": 5, "completion_tokens_details":
        {"reasoning_tokens": 1}, "prompt_tokens_details": {"cached_tokens": 1}}}  # fmt: skip
    content = [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "b"}]
    message = {"content": content, "reasoning_details": [{"summary": "c"}]}
    parts = {"choices": [{"message": message}]}
    label = {"choices": [{"message": {"content": '{"label": "yes"}', "refusal": None}}]}
    error = {"error": {"message": "too long", "code": "context_length_exceeded", "param": "n"}}
    bodies = [b"\0\0" + one for one in _dumps(good, parts, label)]
    return [*bodies, *(bytes([at, at]) + _dumps(error)[0] for at in range(4, 11)), b"\x05\0<html>"]


def requests() -> list[bytes]:
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    asked = {"role": "user", "content": [{"type": "text", "text": "a"}]}
    full = {"model": "m", "messages": [asked],
            "temperature": 0.5, "top_p": 1, "max_tokens": 3, "stop": ["a"], "seed": 1, "n": 2,
            "stream": True, "stream_options": {"include_usage": True}, "logprobs": True,
            "top_logprobs": 2, "response_format": schema}  # fmt: skip
    return _dumps(full, {"model": "m", "messages": [{"role": "user", "content": "a"}]})


def doc_lines() -> list[bytes]:
    return [
        _lines(
            {"id": "d", "text": "a", "from": "2026-01-02", "title": "t"}, {"id": "e", "text": "b"}
        )
    ]


def look_lines() -> list[bytes]:
    return [_lines({"study": "a", "rows": "b", "marks": ["c"], "look": 1})]


def part_of_study(name: str) -> Callable[[], list[bytes]]:
    return lambda: [study()[name]]


def reply_lines() -> list[bytes]:
    return [_lines({"when": "a", "say": "b"}, {"when": "", "say": "c"})]
