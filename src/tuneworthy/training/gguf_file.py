"""Write a local model, its adapter merged in, as a GGUF file (Llama family; F16 or Q8_0).

Other families go through llama.cpp's own converter, as does a tokenizer whose pre-tokenizer
llama.cpp has no name for that is known here: a wrong one splits words otherwise and says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from tuneworthy.ledger import signals

_LAYER = {
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
_OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


KINDS = ("f16", "q8_0")
_BLOCK = 32  # numbers that share a scale in Q8_0
# Parts of a tokenizer's pre-tokenizer, as tokenizers writes it, and llama.cpp's name for it.
_PRE = (("Digits", "smollm"), (r"\\p{N}{1,3}", "llama-bpe"), ("Split", ""), ("ByteLevel", "gpt-2"))


def refusal(engine: Any) -> str:
    """Return why this engine's model can't be written as a GGUF here, or ""."""
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
            _name(name)
    except ValueError as error:
        return str(error)
    return ""


def merged_weights(engine: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the engine's weights by their names in transformers, adapter added, in fp32."""
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
    """Write the engine (`models.hf.HF`) to `out` and return it; vectors stay in float32.

    Q8_0 keeps a matrix in float16 whose rows are no multiple of 32. Raises ValueError with the
    reason of `refusal`.
    """
    if why := refusal(engine):
        raise ValueError(why)
    config = engine.module.config
    writer = gguf.GGUFWriter(str(out), "llama")
    _head(writer, config, kind)
    _tokens(writer, engine)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, weight in merged_weights(engine):
        title = _name(name)
        part = title.split(".")[-2]
        value = permuted(weight, heads[part]) if part in heads else weight
        _add(writer, title, np.ascontiguousarray(value.numpy()), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def _add(writer: Any, title: str, value: Any, kind: str) -> None:
    if value.ndim == 1:
        writer.add_tensor(title, value)
    elif kind == "q8_0" and value.shape[-1] % _BLOCK == 0:
        packed = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(title, gguf.quants.quantize(value, packed), raw_dtype=packed)
    else:
        writer.add_tensor(title, value.astype(np.float16))


def permuted(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Return the rows of a q or k matrix in GGUF's order.

    There the two numbers that the position rotates together lie side by side; in transformers
    they lie half a head apart.
    """
    rows, width = weight.shape
    return weight.view(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width)


def _name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem in _OUTSIDE:
        return f"{_OUTSIDE[stem]}.weight"
    _, layers, number, rest = [*stem.split(".", 3), "", "", ""][:4]
    if layers != "layers" or rest not in _LAYER or stem == name:
        raise ValueError(f"GGUF's llama has no tensor for {name}")
    return f"blk.{number}.{_LAYER[rest]}.weight"


def _head(writer: Any, config: Any, kind: str) -> None:
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
    writer.add_vocab_size(config.vocab_size)


def _tokens(writer: Any, engine: Any) -> None:
    tokenizer = engine.tokenizer
    told = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {entry["id"] for entry in told["added_tokens"] if entry["special"]}
    words = tokenizer.convert_ids_to_tokens(range(engine.module.config.vocab_size))
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(told))
    writer.add_token_list(words)
    writer.add_token_types([control if k in special else normal for k in range(len(words))])
    writer.add_token_merges([" ".join(pair) for pair in told["model"]["merges"]])
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


def _pre_tokenizer(state: Any) -> str:
    """Return llama.cpp's name of a tokenizer's way to split text, "" if none is known here."""
    text = json.dumps(state["pre_tokenizer"])
    return next((name for part, name in _PRE if part in text), "")
