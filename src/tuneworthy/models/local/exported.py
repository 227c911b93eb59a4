"""Ask an exported model as its users will: plain transformers and peft, none of our own engine.

Knows no task.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tuneworthy.core.model import Prompt, Reply
from tuneworthy.models.local.opening import ends_of
from tuneworthy.models.local.sizes import check_memory
from tuneworthy.models.local.weights import check_folder

_ROWS = 16  # prompts of one batch


class PlainEngine:
    """A model folder in plain transformers, with a PEFT folder on top if one is given."""

    def __init__(
        self, folder: Path, adapter: Path | None = None, precision: str = "float32"
    ) -> None:
        """Open the weights on the CPU. Raises DoesNotFit where the memory is too small."""
        import transformers

        check_memory(check_folder(folder), precision, "cpu")
        dtype = getattr(torch, precision)
        where = {"local_files_only": True, "trust_remote_code": False}
        transformers.utils.logging.disable_progress_bar()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **where)
        module = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **where)
        self._ends = ends_of(module, self.tokenizer)
        self.name = f"transformers {version('transformers')}"
        self.peft: Any = None
        if adapter is not None:
            from peft import PeftModel

            module = self.peft = PeftModel.from_pretrained(module, str(adapter))
            self.name += f", peft {version('peft')}"
        self.module = module.eval()

    def prompt_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the token count of each prompt as the tokenizer's own chat template renders it."""
        return [len(self._ids(prompt)) for prompt in prompts]

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def reply(self, prompts: Sequence[Prompt], max_tokens: int) -> list[Reply]:
        """Return one greedy reply per prompt, at most `max_tokens` tokens, end token included."""
        rows = [self._ids(prompt) for prompt in prompts]
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        replies: dict[int, Reply] = {}
        for start in range(0, len(order), _ROWS):
            part = order[start : start + _ROWS]
            replies |= zip(part, self._batch([rows[at] for at in part], max_tokens), strict=True)
        return [replies[at] for at in range(len(rows))]

    def _batch(self, rows: Sequence[list[int]], max_tokens: int) -> list[Reply]:
        begun, width = time.perf_counter(), max(map(len, rows))
        filler = self.tokenizer.pad_token_id or 0
        ids = torch.tensor([[filler] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        made = self.module.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=max_tokens, do_sample=False,
            num_beams=1, eos_token_id=list(self._ends), pad_token_id=filler,
        )[:, width:].tolist()  # fmt: skip
        each = (time.perf_counter() - begun) / len(rows)
        return [self._reply(row, written, each) for row, written in zip(rows, made, strict=True)]

    def _reply(self, prompt: Sequence[int], written: list[int], seconds: float) -> Reply:
        end = next((at for at, token in enumerate(written) if token in self._ends), None)
        kept = written if end is None else written[:end]
        text = self.tokenizer.decode(
            kept, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return Reply(text=text, tokens_in=len(prompt), tokens_out=len(kept) + (end is not None),
                     seconds=seconds, finish="length" if end is None else "stop")  # fmt: skip

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def token_logprobs(
        self, prompts: Sequence[Prompt], texts: Sequence[str]
    ) -> list[list[float] | None]:
        """Return the log-probability of each token of given answers, end token included."""
        tables: list[list[float] | None] = []
        for prompt, text in zip(prompts, texts, strict=True):
            head = self._ids(prompt)
            own = [*self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)[
                "input_ids"], self._ends[0]]  # fmt: skip
            logits = self.module(input_ids=torch.tensor([[*head, *own[:-1]]]), use_cache=False)
            table = torch.log_softmax(logits.logits[0, len(head) - 1 :].float(), -1)
            tables.append([float(table[at, token]) for at, token in enumerate(own)])
        return tables

    @contextmanager
    def without_adapter(self) -> Iterator[None]:
        """Answer as the base inside the block."""
        with self.peft.disable_adapter():
            yield

    def _ids(self, prompt: Prompt) -> list[int]:
        turns = [{"role": message.role, "content": message.content} for message in prompt]
        text = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
