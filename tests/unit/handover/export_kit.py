"""A tiny base with adapters, and exports of them, sound and with a planted fault."""

import copy
import json
import shutil
from pathlib import Path

import torch
from tests.tiny import tiny_llama

from tuneworthy.models import open_model
from tuneworthy.models.train.gguf_file import write_gguf


class Exports:
    """A folder with a base, two adapters and an empty one, and functions that export them."""

    def __init__(self, folder: Path, dtype: str = "bfloat16") -> None:
        self.folder = folder
        self.base = tiny_llama(folder / "base", dtype=dtype, hidden_size=96,
                               tie_word_embeddings=True)  # fmt: skip
        self.adapter = self.write_adapter("adapter", 1)
        self.other = self.write_adapter("other", 2)
        self.empty = self.write_adapter("empty", 3, size=0.0)
        self.spec = f"hf:{self.base}"
        self.model = open_model(self.spec, folder=folder)
        self.tuned = self.model.with_adapter(self.adapter)

    def write_adapter(self, name, seed, size=0.05, base=None):
        """Write a LoRA whose B matrices are random numbers of a size; return its folder."""
        import transformers
        from peft import LoraConfig, get_peft_model

        module = transformers.AutoModelForCausalLM.from_pretrained(base or self.base)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            shape = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"])
            peft = get_peft_model(module, shape)
            for key, weight in peft.named_parameters():
                if "lora_B" in key:
                    torch.nn.init.normal_(weight, std=size)
        peft.save_pretrained(self.folder / name)
        config = self.folder / name / "adapter_config.json"
        told = json.loads(config.read_text()) | {"base_model_name_or_path": str(self.base)}
        config.write_text(json.dumps(told))
        return self.folder / name

    def gguf(self, engine, kind="f16", name="model"):
        """Return the GGUF file of an engine's model."""
        return write_gguf(engine, self.folder / f"{name}-{kind}.gguf", kind)

    def merged_by_peft(self, dtype):
        """Return the merged folder that peft writes of a base that is loaded in a precision."""
        import transformers
        from peft import PeftModel

        base = transformers.AutoModelForCausalLM.from_pretrained(self.base, dtype=dtype)
        merged = PeftModel.from_pretrained(base, str(self.adapter)).merge_and_unload()
        merged.save_pretrained(self.folder / f"peft-{dtype}")
        transformers.AutoTokenizer.from_pretrained(self.base).save_pretrained(
            self.folder / f"peft-{dtype}"
        )
        return self.folder / f"peft-{dtype}"

    def scaled(self, factor):
        """Return the tuned model with its adapter's change `factor` times."""
        other = copy.copy(self.tuned)
        changes = {n: (a, b, factor * s) for n, (a, b, s) in self.tuned.adapter.changes.items()}
        other.adapter = type(self.tuned.adapter)(changes, "", {})
        return other

    def rounded_base(self, rounding):
        """Return the tuned model on a base whose linear layers were rounded before."""
        import transformers

        module = transformers.AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32)
        for key, weight in module.named_parameters():
            if "proj" in key:
                weight.data = rounding(weight.data)
        folder = self.folder / f"rounded-{id(rounding)}"
        module.save_pretrained(folder)
        for path in (*self.base.glob("tok*"), *self.base.glob("*.jinja")):
            shutil.copy(path, folder)
        return open_model(f"hf:{folder}", folder=self.folder).with_adapter(self.adapter)
