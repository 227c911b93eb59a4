"""Run an exported model as its users will: in plain transformers and peft, without our engine.

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

from tuneworthy.models.local.chat_template import TEMPLATE_FILE, token_ids
from tuneworthy.models.local.memory import check_memory
from tuneworthy.models.local.opening import ends_of
from tuneworthy.models.local.weights import check_folder
from tuneworthy.records.model import Prompt, Reply
from tuneworthy.records.record import canonical
from tuneworthy.store import signals

_BATCH_ROWS = 16  # prompts in a batch


class PlainEngine:
    """A model folder opened by plain transformers, with a PEFT adapter if a folder is given.

    A chat template in the adapter's folder takes the place of the base's, as its commands say.
    """

    def __init__(
        self, folder: Path, adapter: Path | None = None, precision: str = "float32"
    ) -> None:
        """Open the weights on the CPU. Raises DoesNotFit if the free memory is too small."""
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
        self._bare, self._logs = False, dict[tuple[str, str], list[float]]()
        if adapter is not None:
            from peft import PeftModel

            module = self.peft = PeftModel.from_pretrained(module, str(adapter))
            self.name += f", peft {version('peft')}"
            if (template := adapter / TEMPLATE_FILE).is_file():
                self.tokenizer.chat_template = template.read_text("utf-8")
        self.module = module.eval()

    def prompt_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return each prompt's token count, rendered by the tokenizer's chat template."""
        return [len(self._ids(prompt)) for prompt in prompts]

    def reply(
        self, prompts: Sequence[Prompt], max_tokens: int, expected: Sequence[str]
    ) -> list[Reply]:
        """Return one greedy reply for each prompt, at most `max_tokens` tokens, end token included.

        If every token of the `expected` text (and the end) is the likeliest after those before it,
        that text is the greedy reply: one forward pass shows it. Other replies are generated.
        """
        replies: dict[int, Reply] = {}
        for at, (prompt, text) in enumerate(zip(prompts, expected, strict=True)):
            signals.check()
            begun = time.perf_counter()
            logs, likeliest = self._read(prompt, text)
            self._logs[canonical([m.plain() for m in prompt]), text] = logs
            if likeliest and len(logs) <= max_tokens:
                replies[at] = Reply(text=text, tokens_out=len(logs), finish="stop",
                                    seconds=time.perf_counter() - begun)  # fmt: skip
        rows = {at: self._ids(prompts[at]) for at in range(len(prompts)) if at not in replies}
        order = sorted(rows, key=lambda at: len(rows[at]))
        for start in range(0, len(order), _BATCH_ROWS):
            signals.check()
            part = order[start : start + _BATCH_ROWS]
            replies |= zip(part, self._batch([rows[at] for at in part], max_tokens), strict=True)
        return [replies[at] for at in range(len(prompts))]

    @torch.inference_mode()  # type: ignore[untyped-decorator]
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

    def token_logprobs(
        self, prompts: Sequence[Prompt], texts: Sequence[str]
    ) -> list[list[float] | None]:
        """Return each answer's token log-probabilities, the end token's included."""
        keys = [canonical([m.plain() for m in prompt]) for prompt in prompts]
        known = {} if self._bare else self._logs
        return [known.get((key, text)) or self._read(prompt, text)[0]
                for key, prompt, text in zip(keys, prompts, texts, strict=True)]  # fmt: skip

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _read(self, prompt: Prompt, text: str) -> tuple[list[float], bool]:
        """Return the log-probabilities of an answer's tokens, and whether each is the likeliest."""
        head = self._ids(prompt)
        coded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        own = [*coded["input_ids"], self._ends[0]]
        logits = self.module(
            input_ids=torch.tensor([[*head, *own[:-1]]]), use_cache=False, logits_to_keep=len(own)
        ).logits[0]
        table = torch.log_softmax(logits.float(), -1)
        logs = [float(table[at, token]) for at, token in enumerate(own)]
        return logs, table.argmax(-1).tolist() == own

    @contextmanager
    def without_adapter(self) -> Iterator[None]:
        """Run the base, without the adapter, inside the `with` block."""
        self._bare = True
        try:
            with self.peft.disable_adapter():
                yield
        finally:
            self._bare = False

    def _ids(self, prompt: Prompt) -> list[int]:
        turns = [{"role": message.role, "content": message.content} for message in prompt]
        text = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        ids = token_ids(self.tokenizer, text)
        return ids
