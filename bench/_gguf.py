"""Write a local model, its adapter merged in, as a GGUF file with F16 weights (llama family).

What OpenVINO reads: it ignores an adapter beside a GGUF, so a tuned model reaches it merged.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

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


def merged(engine: Any) -> dict[str, torch.Tensor]:
    """Return the engine's weights by their names in transformers, adapter added, as the file
    keeps them: matrices rounded to float16, vectors in float32.
    """
    changes = engine.adapter.changes if engine.adapter else {}
    made = {}
    for name, weight in engine.module.named_parameters():
        whole = weight.detach().float()
        if change := changes.get(name.removesuffix(".weight")):
            first, second, scale = change
            whole = whole + scale * (second.float() @ first.float())
        made[name] = whole.half() if whole.ndim > 1 else whole
    return made


def write_gguf(engine: Any, out: Path) -> Path:
    """Write the engine (`models.hf.HF`, best opened in float32) to `out` and return it.

    Raises ValueError for another family, or a tensor that the format has no name for.
    """
    config = engine.module.config
    if config.model_type != "llama":
        raise ValueError(f"only llama is written, not {config.model_type}")
    writer = gguf.GGUFWriter(str(out), "llama")
    _head(writer, config)
    _tokens(writer, engine)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, weight in merged(engine).items():
        kind = _name(name)
        part = kind.split(".")[-2]
        value = permuted(weight, heads[part]) if part in heads else weight
        writer.add_tensor(kind, np.ascontiguousarray(value.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


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


def _head(writer: Any, config: Any) -> None:
    width = config.head_dim or config.hidden_size // config.num_attention_heads
    writer.add_name("tuneworthy")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
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
    writer.add_tokenizer_pre("smollm" if "Digits" in str(told["pre_tokenizer"]) else "gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([control if k in special else normal for k in range(len(words))])
    writer.add_token_merges([" ".join(pair) for pair in told["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(tokenizer.chat_template)


def open_vino(file: Path, precision: str | None = None) -> Any:
    """Return a function (prompts as ids, room, schema=None, ends=()) -> the ids of each answer.

    OpenVINO GenAI on the CPU, greedy, continuous batching, shared prompts read once. `precision`
    is its hint (f32); without one it chooses by itself. With neither `ends` nor a schema every
    answer takes all its room. Raises ImportError where openvino-genai is not installed.
    """
    import openvino
    import openvino_genai as genai

    scheduler = genai.SchedulerConfig()
    scheduler.cache_size, scheduler.enable_prefix_caching = 2, True
    scheduler.max_num_batched_tokens, scheduler.max_num_seqs = 2048, 64
    hint = {"INFERENCE_PRECISION_HINT": precision} if precision else {}
    pipe = genai.ContinuousBatchingPipeline(str(file), scheduler, "CPU", hint)

    def ask(prompts: Any, room: int, *, schema: Any = None, ends: Any = ()) -> list[list[int]]:
        config = genai.GenerationConfig()
        config.max_new_tokens, config.do_sample = room, False
        config.ignore_eos = not ends and schema is None
        config.stop_token_ids = set(ends)
        if schema is not None:
            held = genai.StructuredOutputConfig()
            held.json_schema = json.dumps(schema)
            config.structured_output_config = held
        given = [openvino.Tensor(np.array([ids], dtype=np.int64)) for ids in prompts]
        done = pipe.generate(given, [config] * len(given))
        return [list(one.m_generation_ids[0]) for one in done]

    return ask
