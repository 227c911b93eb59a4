"""Which faults of an export `compare --export` names, and which sound exports it accuses.

usage: exports.py [FOLDER] [PART]   Forty exports of two adapters that are trained here on the
embedded model: twenty sound ones and twenty with a planted fault. A pair is right if the first
faulty step is the one that was planted (none, if it is sound). PART: only pairs whose name has it.
Trained weights and finished pairs stay in FOLDER (in the cache, unless said), so that a run that
was stopped goes on; another source of the reading starts the pairs anew.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import gguf
import torch
from _bench import write
from _export_kit import Kit, Weights, changed_json
from transformers.utils import logging

from tuneworthy.handover import export_trace
from tuneworthy.metrics import scorer
from tuneworthy.models.local import exported_weights, rounded_weights, weight_steps
from tuneworthy.models.local.rounded_weights import rounding_of
from tuneworthy.models.local.weights import cache_folder
from tuneworthy.models.local.wheel import NAME
from tuneworthy.models.train import gguf_file
from tuneworthy.records.model import Limits
from tuneworthy.records.record import digest
from tuneworthy.records.task import Data, Output, Success, Task

READERS = (export_trace, exported_weights, rounded_weights, weight_steps)
FORMATS = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
ROWS = 4


@dataclass(frozen=True)
class Pair:
    """An adapter and its export; `fault` is the step at fault ("" if sound).

    `make` writes the export below a folder. `rows` are asked of both.
    """

    name: str
    fault: str
    make: Callable[[Kit, Path], Path]
    adapter: str = "support"
    rows: int = 0


def sound_pairs() -> Iterator[Pair]:
    """Yield twenty sound exports: ten forms of two adapters."""
    for adapter in ("support", "sums"):

        def pair(name: str, make: Any, rows: int = 0, adapter: str = adapter) -> Pair:
            return Pair(f"{adapter}: {name}", "", make, adapter, rows)

        yield pair("merged folder, our merge", partial(_ours, adapter))
        for kind in FORMATS:
            yield pair(f"merged folder, peft, {kind}", partial(_peft, adapter, kind))
        for kind in gguf_file.KINDS:
            yield pair(f"GGUF {kind} from the adapter", partial(_written, adapter, kind))
            yield pair(f"GGUF {kind} from the merged folder", partial(_from_merged, adapter, kind))
            yield pair(f"GGUF {kind}, rows asked", partial(_written, adapter, kind), ROWS)


def _ours(adapter: str, kit: Kit, out: Path) -> Path:
    return kit.merged_by_us(out / "merged", adapter)


def _peft(adapter: str, kind: str, kit: Kit, out: Path) -> Path:
    return kit.merged_by_peft(out / "merged", adapter, FORMATS[kind])


def _written(adapter: str, kind: str, kit: Kit, out: Path) -> Path:
    return kit.written(out / f"model-{kind}.gguf", kind, adapter)


def _from_merged(adapter: str, kind: str, kit: Kit, out: Path) -> Path:
    merged = kit.opened(kit.merged_by_us(out / "merged", adapter))
    return gguf_file.write_gguf(merged, out / f"model-{kind}.gguf", kind)


def faulty_pairs() -> Iterator[Pair]:
    """Yield twenty exports with a planted fault each, which people have really met."""
    yield Pair("not applied", "merge", lambda kit, out: _gguf(kit, out, kit.weights))
    yield Pair("other base", "base", lambda kit, out: _gguf(kit, out, kit.on_other_base("support")))
    yield Pair("template lost", "template", partial(_without, "add_chat_template", "support"))
    yield Pair("template changed", "template", _other_template)
    yield Pair("stop token lost", "stop token",
               partial(_without, "add_eos_token_id", "sums"), "sums")  # fmt: skip
    yield Pair("stop token of another", "stop token", _other_end)
    yield Pair("merged twice", "merge", partial(_times, "f16", lambda layer: 2.0))
    yield Pair("scale of lora_alpha alone", "merge", partial(_times, "q8_0", lambda layer: 16.0))
    yield Pair("scale of rsLoRA", "merge", partial(_times, "q8_0", lambda layer: 4.0))
    for kind in ("NF4", "INT8"):
        yield Pair(f"merged into the base in {kind}", "precision", partial(_coarse, kind, "f16"))
    yield Pair("Q4_0 named q8_0", "quantisation", _q4_named_q8)
    yield Pair("F16 and Q8_0 swapped by name", "quantisation", _swapped)
    yield Pair("empty adapter", "adapter", lambda kit, out: _gguf(kit, out, kit.weights), "empty")
    yield Pair("another adapter's export", "merge",
               lambda kit, out: _gguf(kit, out, kit.merged("sums")))  # fmt: skip
    yield Pair("half of the layers merged", "merge", partial(_times, "q8_0", _in_first_half))
    yield Pair("q and k rows not permuted", "base", _not_permuted)
    yield Pair("tied head lost", "base", _other_head, "sums")
    yield Pair("base rounded to BF16 before F16", "precision", partial(_coarse, "BF16", "f16"))
    yield Pair("a tensor of zeros", "base", _zeros)


def _gguf(kit: Kit, out: Path, weights: Weights, kind: str = "q8_0", **patched: Any) -> Path:
    return kit.gguf(out / f"model-{kind}.gguf", kind, weights, **patched)


def _times(kind: str, factor: Callable[[str], float], kit: Kit, out: Path) -> Path:
    return _gguf(kit, out, kit.merged("support", factor=factor), kind)


def _in_first_half(layer: str) -> float:
    return float(int(layer.split(".")[2]) < 15)


def _without(method: str, adapter: str, kit: Kit, out: Path) -> Path:
    with mock.patch.object(gguf.GGUFWriter, method, return_value=None):
        return kit.written(out / "model-q8_0.gguf", "q8_0", adapter)


def _other_template(kit: Kit, out: Path) -> Path:
    folder = kit.folder_of(out / "merged", kit.merged("support"), torch.bfloat16)
    file = folder / "chat_template.jinja"
    text = file.read_text("utf-8")
    file.write_text(text.replace("You are a helpful AI assistant named SmolLM", "You are"), "utf-8")
    assert file.read_text("utf-8") != text
    return folder


def _other_end(kit: Kit, out: Path) -> Path:
    folder = kit.folder_of(out / "merged", kit.merged("support"), torch.bfloat16)
    changed_json(folder / "tokenizer_config.json", eos_token="<|endoftext|>")
    changed_json(folder / "generation_config.json", eos_token_id=0)
    return folder


def _coarse(rounding: str, kind: str, kit: Kit, out: Path) -> Path:
    """Round the layers that a quantised base rounds (BF16: all matrices), then merge."""
    rounded = rounding_of(rounding)
    assert rounded is not None
    base = {
        name: rounded(weight) if "proj" in name or rounding == "BF16" else weight
        for name, weight in kit.weights.items()
    }
    return _gguf(kit, out, kit.merged("support", base), kind)


def _q4_named_q8(kit: Kit, out: Path) -> Path:
    def add(writer: Any, name: str, value: Any, kind: str) -> None:  # noqa: ARG001
        packed = gguf.GGMLQuantizationType.Q4_0
        if value.ndim == 1:
            writer.add_tensor(name, value)
        else:
            writer.add_tensor(name, gguf.quants.quantize(value, packed), raw_dtype=packed)

    return _gguf(kit, out, kit.merged("support"), _add_tensor=add)


def _swapped(kit: Kit, out: Path) -> Path:
    return _gguf(kit, out, kit.merged("support")).rename(out / "model-f16.gguf")


def _not_permuted(kit: Kit, out: Path) -> Path:
    return _gguf(kit, out, kit.merged("support"), permuted=lambda weight, heads: weight)


def _other_head(kit: Kit, out: Path) -> Path:
    head = torch.empty_like(kit.weights["model.embed_tokens.weight"])
    torch.nn.init.normal_(head, std=0.02, generator=torch.Generator().manual_seed(0))
    return _gguf(kit, out, kit.merged("sums") | {"lm_head.weight": head})


def _zeros(kit: Kit, out: Path) -> Path:
    name = "model.layers.7.mlp.down_proj.weight"
    return _gguf(kit, out, kit.merged("support") | {name: torch.zeros_like(kit.weights[name])})


def traced(kit: Kit, pair: Pair, out: Path) -> dict[str, Any]:
    """Return the expected step, the named one and the seconds of a pair."""
    out.mkdir(parents=True, exist_ok=True)
    export, adapter = pair.make(kit, out), kit.adapter(pair.adapter)
    task = Task(data=Data(), output=Output(type="text"), success=Success(metric="exact"))
    cases = kit.cases(pair.adapter, pair.rows) if pair.rows else []
    start = time.perf_counter()
    trace = export_trace.trace_export(
        adapter, export, NAME, cases, scorer(task), Limits(max_tokens=32), 0.05
    )
    seconds = time.perf_counter() - start
    fault = trace.fault
    named = "" if fault is None else fault.name
    return {
        "pair": pair.name, "expected": pair.fault, "named": named, "right": named == pair.fault,
        "text": "" if fault is None else fault.text, "rows": pair.rows,
        "seconds": round(seconds, 1), "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def whole_command(kit: Kit, out: Path) -> dict[str, float]:
    """Return seconds and GB of memory of the command on a sound GGUF file, in its own process."""
    out.mkdir(parents=True, exist_ok=True)
    export = _written("support", "q8_0", kit, out)
    words = ["compare", "--export", str(kit.adapter("support")), str(export), "--model", NAME]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "tuneworthy", *words], check=True, capture_output=True)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    return {"the whole command, Q8_0, seconds": round(seconds, 1),
            "the whole command, Q8_0, GB of memory": round(memory, 1)}  # fmt: skip


def main() -> None:
    """Trace all pairs, print each, and write bench/results/exports.json."""
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else cache_folder() / "bench" / "exports"
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    kit = Kit(folder)
    pairs = [*faulty_pairs(), *sound_pairs()]
    source = digest([Path(str(reader.__file__)).read_text("utf-8") for reader in READERS])
    done_file, done = folder / f"pairs-{source[:12]}.jsonl", dict[str, Any]()
    if done_file.exists():
        done = {one["pair"]: one for one in map(json.loads, done_file.read_text().splitlines())}
    for pair in pairs:
        if pair.name in done or part not in pair.name:
            continue
        shutil.rmtree(folder / "out", ignore_errors=True)
        done[pair.name] = found = traced(kit, pair, folder / "out")
        with done_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        print(json.dumps(found), file=sys.stderr, flush=True)
    found = [done[pair.name] for pair in pairs if pair.name in done]
    sound = [one for one in found if not one["expected"]]
    faulty = [one for one in found if one["expected"]]
    alone = [one["seconds"] for one in found if not one["rows"]]
    summary = {
        "planted faults": len(faulty),
        "planted faults named with the step (goal 19 of 20)": sum(one["right"] for one in faulty),
        "sound pairs": len(sound),
        "sound pairs accused (goal at most 1 of 20)": sum(not one["right"] for one in sound),
        "seconds a trace without rows, median": statistics.median(alone),
        "seconds a trace without rows, most": max(alone),
    }
    if len(found) == len(pairs):
        summary |= whole_command(kit, folder / "out")
        write("exports", {"pairs": found, "summary": summary})
    shutil.rmtree(folder / "out", ignore_errors=True)
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
