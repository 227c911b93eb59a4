"""What bench/gpu.py measures of one model: parity, training, generation, memory."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from _bench import alternate
from _gpu_models import SYSTEM, Sizes, messages

from tuneworthy.models.hf import HF, load
from tuneworthy.models.local import forward as _forward
from tuneworthy.models.local import generate as _generate
from tuneworthy.models.local import memory as _memory
from tuneworthy.models.local.device import Placement, release, total_memory
from tuneworthy.models.train.loop import TrainingSchedule, rate_at, train
from tuneworthy.models.train.loss import open_net
from tuneworthy.models.train.memory_fit import fit_memory
from tuneworthy.models.train.schedule import order
from tuneworthy.models.train.training_data import EncodedExample, render
from tuneworthy.models.train.twin import LoraShape, lora_twin
from tuneworthy.records.case import Message

SHAPE = LoraShape(rank=16)
_CLEAR = 0.05  # of the logits' standard deviation: two that lie nearer are tied in bf16


def figure(value: float, unit: str, n: int) -> dict[str, Any]:
    """Return a figure with its unit and the number of things it was taken from."""
    return {"value": float(f"{value:.6g}"), "unit": unit, "n": n}


def absent(reason: str) -> dict[str, Any]:
    """Return a figure that was not measured, with why."""
    return {"value": None, "reason": reason}


def sync(device: str) -> None:
    """Wait until the device has done what it was told."""
    if device != "cpu":
        (torch.cuda if device == "cuda" else torch.mps).synchronize()


def opened(folder: Path, device: str, precision: str) -> HF:
    """Open a model on the device; fp32 products are plain ones (TF32 off)."""
    place = Placement(device=device, precision=precision)  # type: ignore[arg-type]
    model = load(folder, f"hf:{folder}", place=place)
    torch.set_float32_matmul_precision("highest")
    return model


def prompts(model: HF, count: int) -> list[list[int]]:
    """Return ragged prompts that share an instruction, as ids."""
    head = Message(role="system", content=SYSTEM)
    conversations = [[head, Message(role="user", content=user)] for user, _ in messages(count)]
    found = [model._prompt_ids(conversation) for conversation in conversations]
    return [ids for ids in found if not isinstance(ids, str)]


def lessons(model: HF, count: int) -> list[EncodedExample]:
    """Return rows to train on."""
    found = []
    for user, answer in messages(count):
        said = (Message(role="system", content=SYSTEM), Message(role="user", content=user))
        row = render(model.tokenizer, said, answer)
        assert isinstance(row, EncodedExample)
        found.append(row)
    return found


def parity(folder: Path, device: str, sizes: Sizes) -> dict[str, Any]:
    """Compare logits after ragged prompts behind a shared prefix with plain ones on a CPU (N19)."""
    import transformers

    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    single = opened(folder, device, "float32")
    rows = [ids[:cut] for ids in prompts(single, sizes.rows) for cut in (len(ids), len(ids) - 3)]
    with torch.inference_mode():
        truth = torch.stack([theirs(torch.tensor([ids])).logits[0, -1] for ids in rows])
    del theirs
    found = {"logits, fp32, TF32 off": (_far(single, rows, truth), 1e-3)}
    told = {}
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
        told["control: logits, fp32, TF32 on"] = figure(
            _far(single, rows, truth), "largest error / largest logit", len(rows)
        )
        torch.set_float32_matmul_precision("highest")
    else:
        told["control: logits, fp32, TF32 on"] = absent("only CUDA has TF32")
    del single
    release(device)
    half = opened(folder, device, "bfloat16")
    top = truth.topk(2).values
    clear = (top[:, 0] - top[:, 1]) > _CLEAR * truth.std(-1)
    same = _logits(half, rows).argmax(-1) == truth.argmax(-1)
    share = float(same[clear].float().mean()) if clear.any() else float("nan")
    del half
    release(device)
    told |= {
        name: figure(value, "largest error / largest logit", len(rows)) | {"goal": f"<= {goal}"}
        for name, (value, goal) in found.items()
    }
    told["argmax, bf16, off ties"] = (
        figure(share, "share of rows", int(clear.sum())) | {"goal": ">= 0.995"}
        if clear.any()
        else absent("every row is tied")
    )
    return told


def _logits(model: HF, rows: Sequence[Sequence[int]]) -> Any:
    shared = 12
    with torch.inference_mode():
        prefix = _forward.read_prefix(model.net, rows[0][:shared])
        logits, _ = _forward.begin(model.net, [ids[shared:] for ids in rows], prefix, 1)
    return logits.float().cpu()


def _far(model: HF, rows: Sequence[Sequence[int]], truth: Any) -> float:
    return float((_logits(model, rows) - truth).abs().max() / truth.abs().max())


def losses(folder: Path, device: str, sizes: Sizes) -> dict[str, Any]:
    """Compare the loss of the last step with that of a plain loop on a CPU in fp32 (N19)."""
    model = opened(folder, device, "float32" if device == "cpu" else "auto")
    rows = lessons(model, sizes.few * 8)
    steps = -(-sizes.parity // 8)
    pace = TrainingSchedule(epochs=steps, batch=sizes.few, rate=1e-3)
    seen = [step["loss"] for step in _ours(model, rows, pace)()["steps"]]
    first, mine = seen[0], seen[-1]
    del model
    release(device)
    theirs = plain(folder, rows, pace, ("cpu", torch.float32))()[-1]
    told = figure(abs(mine / theirs - 1), "relative difference", pace.epochs * 8)
    return {"loss of the last step": told | {
        "goal": "<= 0.01", "first": first, "ours": mine, "plain": theirs}}  # fmt: skip


def _ours(
    model: HF, rows: Sequence[EncodedExample], pace: TrainingSchedule
) -> Callable[[], dict[str, Any]]:
    wrapped = lora_twin(model.module, SHAPE, 0)
    net = open_net(wrapped.base_model.model, rows[0].ids)
    net, _ = fit_memory(net, rows, SHAPE, pace, None)
    return lambda: train(net, rows, pace, 0, lambda epoch: None)


def plain(
    folder: Path, rows: Sequence[EncodedExample], pace: TrainingSchedule, where: tuple[str, Any]
) -> Callable[[], list[float]]:
    """Return a training loop as one writes it with transformers and PEFT: pad, forward, backward.

    The same start, order and rates as ours; it returns the loss of each step.
    """
    import transformers

    device, dtype = where
    options: dict[str, Any] = {} if device == "cpu" else {"device_map": {"": device}}
    module = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **options)
    model = lora_twin(module.requires_grad_(False), SHAPE, 0)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=pace.rate, weight_decay=0.0)
    total = pace.epochs * -(-len(rows) // pace.batch)

    def run() -> list[float]:
        found: list[float] = []
        for epoch in range(pace.epochs):
            turn = order(len(rows), 0, epoch)
            for start in range(0, len(rows), pace.batch):
                some = [rows[k] for k in turn[start : start + pace.batch]]
                ids, real, labels = (t.to(device) for t in _padded(some))
                loss = model(input_ids=ids, attention_mask=real, labels=labels).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(weights, pace.clip)
                for options in optimizer.param_groups:
                    options["lr"] = rate_at(len(found) % total, total, pace)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                found.append(float(loss.detach()))
        return found

    return run


def _padded(rows: Sequence[EncodedExample]) -> tuple[Any, Any, Any]:
    length = max(len(row.ids) for row in rows)
    ids, real = torch.zeros(2, len(rows), length, dtype=torch.long)
    labels = torch.full((len(rows), length), -100)
    for k, row in enumerate(rows):
        ids[k, : len(row.ids)] = torch.tensor(row.ids)
        real[k, : len(row.ids)] = 1
        labels[k, row.first : len(row.ids)] = torch.tensor(row.ids[row.first :])
    return ids, real, labels


def lora(folder: Path, device: str, sizes: Sizes) -> dict[str, Any]:
    """Time training steps: ours, a plain loop, and TRL where it is installed; and their memory."""
    model = opened(folder, device, "auto")
    rows = lessons(model, sizes.steps * sizes.batch)
    pace = TrainingSchedule(epochs=1, batch=sizes.batch, rate=1e-3)
    wrapped = lora_twin(model.module, SHAPE, 0)
    net = open_net(wrapped.base_model.model, rows[0].ids)
    net, room = fit_memory(net, rows, SHAPE, pace, None)
    before = held(device)
    peak_from(device)
    train(net, rows, pace, 0, lambda epoch: None)
    need = sum(v for k, v in room.items() if k not in ("checkpointing", "part_tokens", "answers"))
    memory = beside(need, before, device)
    sides: dict[str, Callable[[], Any]] = {"ours": lambda: train(net, rows, pace, 0, _nothing)}
    sides["plain loop"] = plain(folder, rows, pace, (device, model.module.dtype))
    told: dict[str, Any] = {"memory of training": memory, "gradient checkpointing": {
        "value": room["checkpointing"], "unit": "on or off", "n": 1}}  # fmt: skip
    if find_spec("trl") and find_spec("datasets"):
        sides["TRL"] = _trl(folder, rows, pace, (device, model.module.dtype))
    else:
        told["TRL"] = absent("trl or datasets is not installed")
    timed = alternate(_waiting(sides, device), sizes.repeats, warm=sizes.repeats > 1)
    tokens = sum(len(row.ids) for row in rows)
    rates = {name: tokens / seconds for name, seconds in timed["median"].items()}
    told |= {name: figure(rate, "tokens/s", sizes.repeats) for name, rate in rates.items()}
    return told


def _nothing(epoch: int) -> None:  # noqa: ARG001
    return None


def _waiting(sides: dict[str, Callable[[], Any]], device: str) -> dict[str, Callable[[], Any]]:
    """Return the same calls, each waiting for the device at its end."""

    def one(work: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> None:
            work()
            sync(device)

        return run

    return {name: one(work) for name, work in sides.items()}


def _trl(
    folder: Path, rows: Sequence[EncodedExample], pace: TrainingSchedule, where: tuple[str, Any]
) -> Any:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    device, dtype = where
    options: dict[str, Any] = {} if device == "cpu" else {"device_map": {"": device}}
    given = [{"input_ids": list(r.ids), "completion_mask": [int(m) for m in r.mask]} for r in rows]
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=pace.batch, num_train_epochs=1,
        learning_rate=pace.rate, report_to="none", use_cpu=device == "cpu", bf16=False,
        save_strategy="no", gradient_checkpointing=False, completion_only_loss=True,
        logging_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **options),
            args=config, train_dataset=Dataset.from_list(given), peft_config=lora,
            processing_class=AutoTokenizer.from_pretrained(folder),
        )  # fmt: skip
    return trainer.train


def generation(folder: Path, device: str, sizes: Sizes) -> dict[str, Any]:
    """Time forced answers of so many tokens: ours and transformers'; and our memory."""
    model = opened(folder, device, "auto")
    asked = prompts(model, sizes.rows)
    draw = _generate.DecodingOptions(room=sizes.new, ends=frozenset(), tokens=model.tokens)
    rooms = [sizes.new] * len(asked)
    names = {name: tuple(weight.shape) for name, weight in model.module.named_parameters()}
    shape = _memory.shape_of(model.module.config.to_dict(), names)
    read = min(model.tokens, len(asked) * (max(map(len, asked)) + sizes.new))
    need = _memory.inference_memory(
        shape, model.module.dtype.itemsize, read, len(asked), general=True
    )
    before = held(device)
    peak_from(device)
    _generate.generate(model.net, asked, rooms, draw)
    memory = beside(sum(need.values()) - need["weights"], before, device)
    ids, real = (t.to(device) for t in _left(asked))

    def theirs() -> None:
        with torch.inference_mode():
            model.module.generate(
                input_ids=ids, attention_mask=real, max_new_tokens=sizes.new,
                min_new_tokens=sizes.new, do_sample=False, pad_token_id=0,
            )  # fmt: skip

    def sdpa() -> None:
        model.module.set_attn_implementation("sdpa")
        try:
            theirs()
        finally:
            model.module.set_attn_implementation("tuneworthy")

    sides = {
        "ours": lambda: _generate.generate(model.net, asked, rooms, draw),
        "transformers": sdpa,
    }
    timed = alternate(_waiting(sides, device), sizes.repeats, warm=sizes.repeats > 1)
    made = len(asked) * sizes.new
    told = {
        name: figure(made / seconds, "new tokens/s", sizes.repeats)
        for name, seconds in timed["median"].items()
    }
    limit = figure(total_memory(device) / 1e9, "GB", 1)
    return {**told, "memory of answering": memory, "memory of the device": limit}


def _left(rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    length = max(map(len, rows))
    ids, real = torch.zeros(2, len(rows), length, dtype=torch.long)
    for k, row in enumerate(rows):
        ids[k, length - len(row) :] = torch.tensor(row)
        real[k, length - len(row) :] = 1
    return ids, real


def held(device: str) -> int:
    """Return the bytes that tensors hold of the device now, 0 where it does not say."""
    return int(torch.cuda.memory_allocated()) if device == "cuda" else 0


def peak_from(device: str) -> None:
    """Count the device's peak from here on."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def beside(estimated: int, before: int, device: str) -> dict[str, Any]:
    """Return the estimate beside what was used at the peak, in GB, weights left out."""
    told = {"estimated": figure(estimated / 1e9, "GB", 1)}
    if device != "cuda":
        return {**told, "used": absent(f"{device} does not count its peak")}
    used = torch.cuda.max_memory_allocated() - before
    return {
        **told,
        "used": figure(used / 1e9, "GB", 1),
        "estimated / used": figure(estimated / max(1, used), "ratio", 1),
    }
