"""Answer prompts with our engine, with transformers' generate and with OpenVINO, alternately.

usage: generate.py [repetitions]   64 prompts that share an instruction, 40 new tokens each, greedy

Three cases: a short instruction (about 98 tokens, 55 shared), eight examples in the prompt (about
600 shared), and the short one held to a JSON schema. OpenVINO takes part where openvino-genai is
installed. The end of a turn is ignored, so that all sides make the same number of tokens; under
the schema they stop by themselves, and answers are counted.

torch is imported late: the engine first sets how long idle threads spin, and on a busy machine a
peer must not be slowed by what ours is spared.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from _bench import alternate, ratios, repetitions, write

from tuneworthy.models import open_model
from tuneworthy.models.local.machine import measure
from tuneworthy.records.case import Message
from tuneworthy.records.model import Grammar

MODEL, ROWS, NEW, SHOTS = "smollm2-135m", 64, 40, 8
SYSTEM = (
    "You read messages to a shop. Answer only with a JSON object that has the keys customer,"
    " product, issue and priority. The priority is high where money is at stake, else normal."
    " Write nothing else."
)
NAMES = ("Ann", "Bob", "Carl", "Dora", "Eve", "Finn")
PRODUCTS = ("router", "laptop", "phone", "tablet", "printer", "camera")
ISSUES = ("does not turn on", "arrived broken", "is too slow", "was billed twice", "lost its lid")
_TEXT = {"type": "string", "maxLength": 24}
SCHEMA = {
    "type": "object",
    "properties": {
        "customer": _TEXT,
        "product": _TEXT,
        "issue": _TEXT,
        "priority": {"enum": ["high", "normal"]},
    },
    "required": ["customer", "product", "issue", "priority"],
    "additionalProperties": False,
}


def main() -> None:
    """Run the cases, print tokens a second of each side, and write bench/results/generate.json."""
    engine: Any = open_model(MODEL, folder=Path())
    rows = messages(ROWS + SHOTS)
    shots = [Message(role=role, content=text) for row in rows[ROWS:] for role, text in row]
    head = Message(role="system", content=SYSTEM)
    asked = [Message(role="user", content=row[0][1]) for row in rows[:ROWS]]
    short = [engine._prompt_ids([head, ask]) for ask in asked]
    long = [engine._prompt_ids([head, *shots, ask]) for ask in asked]
    guide = engine._compiled_grammar(Grammar(kind="json", value=SCHEMA))
    with tempfile.TemporaryDirectory() as folder:
        vino = openvino(Path(folder))
        told = {
            "instruction": case("instruction", engine, short, vino),
            "examples": case("examples", engine, long, vino),
            "schema": held("schema", engine, short, (guide, vino)),
        }
    write("generate", {**told, "summary": summary(told)})


def summary(told: dict[str, Any]) -> dict[str, float]:
    """Return the figures that the goals name, and the other engine's beside them."""
    short, long = told["instruction"], told["examples"]
    found = {
        "ours, tokens a second": round(short["tokens_per_second"]["ours"]),
        "times transformers (goal 2.3)": short["ratios"]["transformers"],
        "share of the bound (goal .75)": round(short["bound"]["share"]["ours"], 2),
        "share of the bound after 8 examples": round(long["bound"]["share"]["ours"], 2),
    }
    if "openvino" in short["ratios"]:
        found["times OpenVINO"] = short["ratios"]["openvino"]
    return found


def messages(n: int) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Return n invented messages with their answers, as turns (role, text)."""
    draw, made = Random(0), []
    for _ in range(n):
        name, product, issue = draw.choice(NAMES), draw.choice(PRODUCTS), draw.choice(ISSUES)
        text = (
            f"Hello, {name} here. The {product} that I ordered from you last week {issue}. The"
            f" order number is {draw.randint(1000, 9999)}. Please help me with it soon, thank you."
        )
        money = "high" if "bill" in issue else "normal"
        answer = {"customer": name, "product": product, "issue": issue, "priority": money}
        made.append((("user", text), ("assistant", json.dumps(answer))))
    return made


def case(name: str, engine: Any, prompts: Sequence[Any], vino: Any) -> dict[str, Any]:
    """Time the sides on forced answers of NEW tokens; say how near each is to the bound."""
    sides: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(engine, prompts, None),
        "transformers": lambda: transformers(engine, prompts),
    }
    if vino:
        sides["openvino"] = lambda: vino(prompts, None)
    for side, work in sides.items():
        made = work()
        assert made == ROWS * NEW, f"{side} made {made} tokens"
    timed = alternate(sides, repetitions(), warm=False)
    least = bound(engine, prompts) | alone(engine, prompts)
    speed = {side: ROWS * NEW / seconds for side, seconds in timed["median"].items()}
    told = {**timed, "tokens_per_second": speed, "ratios": ratios(timed["median"], "ours")}
    told["bound"] = {
        **least,
        "share": {side: least["seconds"] / seconds for side, seconds in timed["median"].items()},
    }
    told["prompt"] = {"tokens": sum(map(len, prompts)) / ROWS, "shared": _shared(prompts)}
    for side in sides:
        print(
            f"generate, {name}: {side} {speed[side]:.0f} tokens/s,"
            f" {told['bound']['share'][side]:.0%} of the bound; {told['ratios'].get(side, 1)} times"
            f" our time, its products alone {least['products_alone']:.2f} s",
            flush=True,
        )
    return told


def held(name: str, engine: Any, prompts: Sequence[Any], how: Any) -> dict[str, Any]:
    """Time answers held to the schema, ours and OpenVINO's: answers a second."""
    guide, vino = how
    made: dict[str, int] = {}
    sides = {"ours": lambda: made.update(ours=ours(engine, prompts, guide))}
    if vino:
        sides["openvino"] = lambda: made.update(openvino=vino(prompts, SCHEMA))
    timed = alternate(sides, repetitions())
    for side, seconds in timed["median"].items():
        print(
            f"generate, {name}: {side} {ROWS / seconds:.1f} answers/s,"
            f" {made[side] / seconds:.0f} tokens/s",
            flush=True,
        )
    return {**timed, "tokens": made, "ratios": ratios(timed["median"], "ours")}


def ours(engine: Any, prompts: Sequence[Any], guide: Any) -> int:
    """Answer with our engine; return the tokens made."""
    from tuneworthy.models.local import generate as _generate

    ends = frozenset(engine.ends) if guide else frozenset[int]()
    room = 96 if guide else NEW
    draw = _generate.DecodingOptions(room=room, ends=ends, guide=guide)
    drawn = _generate.generate(engine.net, prompts, [room] * len(prompts), draw)
    return sum(one.made for one in drawn)


def transformers(engine: Any, prompts: Sequence[Any]) -> int:
    """Answer with transformers: the same weights and ids, left padding, one batch, greedy."""
    import torch

    length, pad = max(map(len, prompts)), engine.tokenizer.eos_token_id
    ids = torch.tensor([[pad] * (length - len(row)) + list(row) for row in prompts])
    real = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in prompts])
    engine.module.set_attn_implementation("sdpa")
    try:
        with torch.inference_mode():
            made = engine.module.generate(
                input_ids=ids,
                attention_mask=real,
                max_new_tokens=NEW,
                min_new_tokens=NEW,
                do_sample=False,
                pad_token_id=pad,
            )
    finally:
        engine.module.set_attn_implementation("tuneworthy")
    return int(made.shape[0] * (made.shape[1] - length))


def openvino(folder: Path) -> Callable[[Sequence[Any], Any], int] | None:
    """Return OpenVINO on an F16 GGUF of the same weights, or None where it is not installed."""
    try:
        from _gguf import open_vino

        from tuneworthy.models.train.gguf_file import write_gguf
    except ImportError:
        print("generate: openvino-genai is not installed, so it is left out", file=sys.stderr)
        return None
    from tuneworthy.models.hf import load
    from tuneworthy.models.local.wheel import locate

    whole = locate()
    assert whole is not None
    ask = open_vino(write_gguf(load(whole, "smollm2-135m", "float32"), folder / "base.gguf"))

    def work(prompts: Sequence[Any], schema: Any) -> int:
        return sum(len(ids) for ids in ask(prompts, 96 if schema else NEW, schema=schema))

    return work


def bound(engine: Any, prompts: Sequence[Any]) -> dict[str, float]:
    """Return the least seconds that the products of this case take, and what it rests on.

    Counted: what all prompts share once; each product at the peak measured now, but a decoding
    step never faster than its weights can be read.
    """
    config = engine.module.config
    shared, lengths = _shared(prompts), [len(row) for row in prompts]
    embedding = engine.module.get_input_embeddings().weight.numel()
    inner = sum(p.numel() for p in engine.module.parameters()) - embedding
    width = config.num_attention_heads * config.head_dim * config.num_hidden_layers

    def products(positions: Sequence[int], sampled: int) -> float:
        seen = sum(position + 1 for position in positions)
        return 2.0 * inner * len(positions) + 4.0 * width * seen + 2.0 * embedding * sampled

    first = products(range(shared), 0) + products(
        [p for n in lengths for p in range(shared, n)], len(prompts)
    )
    steps = [products([n + k for n in lengths], len(prompts)) for k in range(NEW - 1)]
    kind = str(engine.module.dtype).removeprefix("torch.")
    peak = 1e9 * max(measure(seconds=1.0)[kind], _large(engine.module.dtype))
    reading = (inner + embedding) * engine.module.dtype.itemsize / _bandwidth()
    seconds = first / peak + sum(max(step / peak, reading) for step in steps)
    return {
        "gflop": (first + sum(steps)) / 1e9,
        "peak_gflops": peak / 1e9,
        "seconds_to_read_weights": reading,
        "seconds": seconds,
    }


def alone(engine: Any, prompts: Sequence[Any]) -> dict[str, float]:
    """Return the seconds of the linear products alone, as torch does them at these shapes.

    No attention, no norm, no choice of a token: what an engine on these kernels cannot go below.
    Rows in two lanes of one thread, or all rows with both threads in each product: the quicker.
    """
    import torch

    from tuneworthy.models.local.batch_fit import parallel_batches, run_parallel

    net, shared = engine.net.decoder, _shared(prompts)
    own, weight = sum(map(len, prompts)) - shared * len(prompts), net.head.weights[0]
    widths = {fan.weights[0].shape[1] for layer in net.layers for fan in _fans(layer)}
    x = {w: torch.randn(max(own, shared), w, dtype=weight.dtype) for w in widths}

    def read(tokens: int, sampled: int) -> None:
        for layer in net.layers:
            for fan in _fans(layer):
                fan(x[fan.weights[0].shape[1]][:tokens])
        net.head(x[weight.shape[1]][:sampled])

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def answer(part: int) -> None:
        read(own // part, len(prompts) // part)
        for _ in range(NEW - 1):
            read(len(prompts) // part, len(prompts) // part)

    def apart() -> None:
        read(shared, 1)
        count = parallel_batches("cpu", len(prompts))
        run_parallel(answer, [count] * count, count)

    def together() -> None:
        read(shared, 1)
        answer(1)

    return {"products_alone": min(_least(apart, 5.0), _least(together, 5.0))}


def _fans(layer: Any) -> tuple[Any, ...]:
    return (layer.into, layer.out, layer.up, layer.down)


def _large(dtype: Any, seconds: float = 1.0) -> float:
    """Return GFLOP/s of a large product, the best in the time."""
    import torch

    left, right = torch.ones(1024, 1536, dtype=dtype), torch.ones(1536, 2048, dtype=dtype)
    return 2e-9 * 1024 * 1536 * 2048 / _least(lambda: left @ right, seconds)


def _bandwidth(seconds: float = 0.5) -> float:
    """Return the bytes a second that a sum over 400 MB reads."""
    import torch

    many = torch.ones(100_000_000)
    return 4e8 / _least(lambda: many.sum(), seconds)


def _least(work: Callable[[], Any], seconds: float) -> float:
    times, begun = [], time.perf_counter()
    while not times or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    first, last = min(prompts), max(prompts)
    return next(k for k, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1])


if __name__ == "__main__":
    main()
