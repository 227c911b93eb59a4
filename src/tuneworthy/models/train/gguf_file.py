"""Write a local model, its adapter merged in, as a GGUF file (Llama family; F16 or Q8_0).

Other families need llama.cpp's own converter, and so does a tokenizer whose pre-tokenizer is not in
`_PRE_TOKENIZERS`: under a wrong name llama.cpp splits words otherwise, without an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from tuneworthy.store import signals

GGUF_NAMES_IN_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
GGUF_NAMES_OUTSIDE_LAYERS = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


KINDS = ("f16", "q8_0")
_BLOCK_NUMBERS = 32  # numbers that share a scale in Q8_0
_LLAMA_3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The steps of a pre-tokenizer (library tokenizers) that decide its splits, and llama.cpp's name.
_PRE_TOKENIZERS = (
    ([("Digits", True), ("ByteLevel", False, True)], "smollm"),
    ([("Split", _LLAMA_3_PATTERN, "Isolated", False), ("ByteLevel", False, False)], "llama-bpe"),
    ([("ByteLevel", False, True)], "gpt-2"),
)


def refusal(engine: Any) -> str:
    """Return why the engine's model can't be written as GGUF here, "" if it can."""
    config = engine.module.config
    if config.model_type != "llama":
        return f"only the Llama family is written here, not {config.model_type}"
    if (kind := config.rope_parameters.get("rope_type", "default")) != "default":
        return f"its positions are scaled ({kind})"
    state = json.loads(engine.tokenizer.backend_tokenizer.to_str())
    if state["model"].get("type") != "BPE" or state["model"].get("byte_fallback"):
        return f"its tokenizer is no byte-level BPE ({state['model'].get('type')})"
    if not _pre_tokenizer(state):
        return "its tokenizer splits text in a way that has no known name in llama.cpp"
    try:
        for name, _ in engine.module.named_parameters():
            _gguf_name(name)
    except ValueError as error:
        return str(error)
    return ""


def merged_weights(engine: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (name in transformers, fp32 tensor) for each weight, with the adapter merged in."""
    changes = engine.adapter.changes if engine.adapter else {}
    gains = engine.adapter.gains if engine.adapter else {}
    for name, weight in engine.module.named_parameters():
        signals.check()
        whole = weight.detach().cpu().float()
        if change := changes.get(name.removesuffix(".weight")):
            first, second, scale = change
            whole = whole + scale * (second.cpu().float() @ first.cpu().float())
            if (gain := gains.get(name.removesuffix(".weight"))) is not None:  # DoRA
                whole = gain.cpu().float()[:, None] * whole
        yield name, whole


def write_gguf(engine: Any, out: Path, kind: str = "f16") -> Path:
    """Write the engine's model (`models.hf.HF`) to the file `out`; return `out`.

    Vectors stay in float32. A matrix whose rows are no multiple of 32 numbers is float16 in Q8_0
    too. Raises ValueError with the reason of `refusal`.
    """
    if why := refusal(engine):
        raise ValueError(why)
    config = engine.module.config
    writer = gguf.GGUFWriter(str(out), "llama")
    _add_config(writer, config, kind)
    _add_tokenizer(writer, engine)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, weight in merged_weights(engine):
        gguf_name = _gguf_name(name)
        part = gguf_name.split(".")[-2]
        value = permuted(weight, heads[part]) if part in heads else weight
        _add_tensor(writer, gguf_name, np.ascontiguousarray(value.numpy()), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def _add_tensor(writer: Any, gguf_name: str, value: Any, kind: str) -> None:
    if value.ndim == 1:
        writer.add_tensor(gguf_name, value)
    elif kind == "q8_0" and value.shape[-1] % _BLOCK_NUMBERS == 0:
        packed = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(gguf_name, gguf.quants.quantize(value, packed), raw_dtype=packed)
    else:
        writer.add_tensor(gguf_name, value.astype(np.float16))


def permuted(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Return the rows of a q or k matrix in GGUF's order.

    In GGUF the two numbers that rotary embedding rotates together are neighbours; in transformers
    they are half a head apart.
    """
    rows, width = weight.shape
    return weight.view(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width)


def _gguf_name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem in GGUF_NAMES_OUTSIDE_LAYERS:
        return f"{GGUF_NAMES_OUTSIDE_LAYERS[stem]}.weight"
    _, layers, number, rest = [*stem.split(".", 3), "", "", ""][:4]
    if layers != "layers" or rest not in GGUF_NAMES_IN_LAYER or stem == name:
        raise ValueError(f"GGUF's llama has no tensor for {name}")
    return f"blk.{number}.{GGUF_NAMES_IN_LAYER[rest]}.weight"


def _add_config(writer: Any, config: Any, kind: str) -> None:
    width = config.head_dim or config.hidden_size // config.num_attention_heads
    writer.add_name("tuneworthy")
    types = {"f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}
    writer.add_file_type(types[kind])
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(width)
    writer.add_key_length(width)  # else llama.cpp takes the hidden size over the heads
    writer.add_value_length(width)
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(writer: Any, engine: Any) -> None:
    tokenizer = engine.tokenizer
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    words, kinds = _token_list(tokenizer, state, engine.module.config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(state))
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in state["model"]["merges"]])
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(engine.ends[0])
    if len(engine.ends) > 1:
        writer.add_eot_token_id(engine.ends[1])
    if tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(tokenizer.chat_template)


def _token_list(tokenizer: Any, state: Any, size: int) -> tuple[list[str], list[int]]:
    """Return text and type of each token id below `size`.

    An added token that is not special (`<think>`) is USER_DEFINED: llama.cpp keeps it whole, as the
    tokenizer does, and would split a NORMAL one. Ids beyond the tokenizer's pad the vocabulary.
    """
    kinds = gguf.TokenType
    added = {
        entry["id"]: kinds.CONTROL if entry["special"] else kinds.USER_DEFINED
        for entry in state["added_tokens"]
    }
    words, types = list[str](), list[int]()
    for at, word in enumerate(tokenizer.convert_ids_to_tokens(range(size))):
        words.append(f"[PAD{at}]" if word is None else word)
        types.append(kinds.UNUSED if word is None else added.get(at, kinds.NORMAL))
    return words, types


def _pre_tokenizer(state: Any) -> str:
    """Return llama.cpp's name of the pre-tokenizer in a tokenizer's JSON, "" if not known here."""
    whole = state["pre_tokenizer"] or {}
    steps = [_step(part) for part in whole.get("pretokenizers", [whole])]
    return next((name for known, name in _PRE_TOKENIZERS if steps == known), "")


def _step(part: Any) -> tuple[Any, ...]:
    """Return the type of a pre-tokenizer's step, and the options that decide where it splits."""
    kind = part.get("type")
    options = {
        "Digits": ("individual_digits",),
        "Split": ("pattern", "behavior", "invert"),
        "ByteLevel": ("add_prefix_space", "use_regex"),
    }
    values = [part.get(name) for name in options.get(kind, ())]
    return (kind, *(value.get("Regex") if isinstance(value, dict) else value for value in values))
