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


def tiny_bert(folder, seed=0, **changes):
    """Write a random text encoder, whose words are those of `tests.studies`, and return it."""
    import torch
    import transformers

    from tests import studies

    torch.set_num_threads(1)
    words = sorted({word for row in studies.rows(60) for word in row["input"].lower().split()})
    folder.mkdir(parents=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
    tokenizer = transformers.BertTokenizer(str(vocabulary))
    config = transformers.BertConfig(
        **{"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64,
           "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64,
           "initializer_range": 0.2, **changes}
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.BertModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
