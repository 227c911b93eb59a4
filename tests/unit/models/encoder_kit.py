"""A tiny random encoder in a folder, and the real one where it was fetched."""

import json
import struct

import numpy as np

from tuneworthy.models.encoder.encoder import locate

MINILM = locate()  # before the tests get a cache of their own
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "card", "pay", "##ment", "##s", "lost", "money",
         ",", ".", "!", "$", "cafe", "東", "ok", "a", "b", "##b"]  # fmt: skip
SHAPE = {"hidden_size": 48, "num_attention_heads": 6, "num_hidden_layers": 2, "vocab_size": 21,
         "intermediate_size": 96, "max_position_embeddings": 40, "type_vocab_size": 2,
         "layer_norm_eps": 1e-12, "hidden_act": "gelu", "model_type": "bert"}  # fmt: skip


def build(folder, seed=0):
    """Write config, weights and vocabulary of a random BERT; return the folder."""
    draw = np.random.default_rng(seed)
    size, wide = SHAPE["hidden_size"], SHAPE["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (SHAPE["vocab_size"], size),
        "embeddings.position_embeddings.weight": (SHAPE["max_position_embeddings"], size),
        "embeddings.token_type_embeddings.weight": (2, size),
        "embeddings.LayerNorm.weight": (size,),
        "embeddings.LayerNorm.bias": (size,),
    }
    for at in range(SHAPE["num_hidden_layers"]):
        lead = f"encoder.layer.{at}."
        linear = {f"attention.self.{name}": (size, size) for name in ("query", "key", "value")}
        linear |= {"attention.output.dense": (size, size), "intermediate.dense": (wide, size),
                   "output.dense": (size, wide)}  # fmt: skip
        for name, shape in linear.items():
            shapes |= {f"{lead}{name}.weight": shape, f"{lead}{name}.bias": shape[:1]}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{lead}{name}.weight": (size,), f"{lead}{name}.bias": (size,)}
    tensors = {name: draw.normal(0, 0.3, shape).astype("<f4") for name, shape in shapes.items()}
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(SHAPE), "utf-8")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", "utf-8")
    return folder


def write(file, tensors):
    """Write float32 arrays as safetensors."""
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [at, at + values.nbytes]}  # fmt: skip
        at += values.nbytes
    head = json.dumps(header).encode()
    body = b"".join(values.tobytes() for values in tensors.values())
    file.write_bytes(struct.pack("<Q", len(head)) + head + body)
