"""Training folders as Trainer, TRL and PEFT write them, without these tools.

The forms were compared with folders that transformers 5.24, TRL 1.16 and PEFT 0.21 wrote;
`test_real_trainers.py` trains and compares them again.
"""

import json
import struct

import numpy as np

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TRL = {"num_tokens": 300.0, "mean_token_accuracy": 0.6, "entropy": 2.0}


def losses(kind, steps=48):
    """Return (training losses, held-out losses every 8 steps) of a run that went so."""
    down = [2.0 * 0.9**k + 0.3 + 0.05 * (-1) ** k for k in range(steps)]
    held = [2.0, 1.5, 1.1, 0.9, 0.8, 0.78]
    if kind == "explodes":
        down = [*down[:12], *(min(1.0 + 0.4 * k, 6.0) for k in range(steps - 12))]
        held = [1.9, 2.6, 4.0, 5.0, 5.5, 6.0]
    elif kind == "flat":
        down = [2.3 + 0.05 * (-1) ** k for k in range(steps)]
        held = [2.3, 2.3, 2.299, 2.299, 2.299, 2.298]
    elif kind == "overfits":
        down, held = [2.3 * 0.88**k for k in range(steps)], [1.9, 1.4, 1.2, 1.5, 1.9, 2.4]
    elif kind == "breaks":
        down = [*down[:20], *[float("nan")] * (steps - 20)]
    else:
        assert kind == "clean"
    return down, held


def entries(kind="clean", columns=(), steps=48):
    """Return the log_history of a Trainer."""
    down, held = losses(kind, steps)
    history = []
    for step, loss in enumerate(down, 1):
        history.append({"epoch": step / 16, "grad_norm": 0.4 + step % 3, "learning_rate": 2e-4,
                        "loss": loss, "step": step, **dict(columns)})  # fmt: skip
        if step % 8 == 0 and held:
            history.append({"epoch": step / 16, "eval_loss": held[step // 8 - 1],
                            "eval_runtime": 0.1, "step": step})  # fmt: skip
    summary = {"train_loss": 1.0, "train_runtime": 9.0, "total_flos": 1e9, "step": steps}
    return [*history, summary]


def trainer_state(folder, kind="clean", *, columns=(), name="trainer_state.json"):
    """Write the state as TrainerState.save_to_json does."""
    history = entries(kind, columns)
    state = {"best_metric": None, "best_model_checkpoint": None, "epoch": 3.0, "eval_steps": 8,
             "global_step": 48, "is_local_process_zero": True, "log_history": history,
             "logging_steps": 1, "max_steps": 48, "num_train_epochs": 3, "save_steps": 500,
             "stateful_callbacks": {"TrainerControl": {"args": {}}}, "train_batch_size": 4,
             "trial_name": None}  # fmt: skip
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(state, indent=2, sort_keys=True) + "\n", "utf-8")
    (path.parent / "training_args.bin").write_bytes(b"\x80\x04never opened")
    return folder


def tokenizer(folder, *, pad="<|pad|>", cut=None, template=TEMPLATE):
    """Write a small byte-level tokenizer as save_pretrained does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    inner.train_from_iterator(
        ["a ticket about a late refund of a phone"],
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    if cut:
        inner.enable_truncation(cut)
    folder.mkdir(parents=True, exist_ok=True)
    inner.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": pad,
              "tokenizer_class": "TokenizersBackend"}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    if template:
        (folder / "chat_template.jinja").write_text(template, "utf-8")
    return folder


def rows(path, count=32, *, answer=lambda k: json.dumps({"kind": "refund", "number": k})):
    """Write chat rows and return the path."""
    lines = [{"messages": [
        {"role": "user", "content": f"ticket {k}: the {k * 7 % 31} phones of order {k} are late"},
        {"role": "assistant", "content": answer(k)}]} for k in range(count)]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", "utf-8")
    return path


def card(folder, tags=("trl", "sft"), versions=("TRL: 1.16.0",)):
    """Write the head and the versions of a model card."""
    head = "\n".join(f"- {tag}" for tag in tags)
    tail = "\n".join(f"- {version}" for version in versions)
    (folder / "README.md").write_text(
        f"---\nlibrary_name: peft\ntags:\n{head}\n---\n\n# out\n\n"
        f"### Framework versions\n\n{tail}\n"
    )
    return folder


def tensors(path, table):
    """Write arrays as a safetensors file; an array of uint16 is written as BF16."""
    header, data = {}, b""
    kinds = {"float32": "F32", "float16": "F16", "float64": "F64", "uint16": "BF16"}
    for name, array in table.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": kinds[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}  # fmt: skip
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def adapter(folder, *, rank=2, alpha=4, b=0.5, base="", **changes):
    """Write a LoRA adapter of two matrices as PEFT does; return {name in the base: change}."""
    rng = np.random.default_rng(0)
    table, change = {}, {}
    for layer in (0, 1):
        name = f"model.layers.{layer}.self_attn.q_proj"
        first = rng.normal(size=(rank, 6)).astype("float32")
        second = (b * rng.normal(size=(5, rank))).astype("float32")
        table[f"base_model.model.{name}.lora_A.weight"] = first
        table[f"base_model.model.{name}.lora_B.weight"] = second
        change[name] = alpha / rank * second.astype(float) @ first.astype(float)
    folder.mkdir(parents=True, exist_ok=True)
    tensors(folder / "adapter_model.safetensors", table)
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "target_modules": ["q_proj"],
              "use_dora": False, "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {},
              "base_model_name_or_path": base, **changes}  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    return change
