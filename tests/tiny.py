"""A tiny random Llama model with a tokenizer, on disk, for tests that train and export it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "unit" / "models"))


def tiny_llama(folder, seed=0, dtype="float32", **changes):
    """Write the model to a folder and return it; weights small enough that training converges."""
    import torch
    import transformers
    from models_kit import tiny_config, tiny_tokenizer

    torch.set_num_threads(1)
    tokenizer = tiny_tokenizer()
    config = tiny_config("llama", len(tokenizer))
    config.update({"initializer_range": 0.05, "max_position_embeddings": 1024, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
