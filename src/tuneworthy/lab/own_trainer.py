"""Find out which trainer wrote a folder, its options, and how it masks padding.

The options come from JSON files and from the arguments that logs repeat. training_args.bin is a
pickle: opening it could run code, so it is never opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuneworthy.records.errors import DataError, SecurityError
from tuneworthy.records.record import well_formed
from tuneworthy.records.run_report import TrainingLog
from tuneworthy.rows.run_folder import RunFolder, checkpoint_of

_ARGUMENTS_PICKLE = "training_args.bin"
_NOT_OPENED = (
    "a pickle, which can run code when opened: it is never opened. To add its options, write"
    " trainer.args.to_json_string() to training_args.json in this folder"
)
_ARGUMENT_FILES = ("training_args.json", "sft_config.json", "training_arguments.json", "args.json",
              "train_config.json")  # fmt: skip
_MOST_NUMBER = 1e300  # a larger number is no setting, and a larger integer is no float
_SETTING_ALIASES: Mapping[str, tuple[str, ...]] = {
    "max_length": ("max_length", "max_seq_length", "sequence_len", "cutoff_len", "max_seq_len"),
    "packing": ("packing", "sample_packing"),
    "max_grad_norm": ("max_grad_norm", "gradient_clipping"),
    "completion_only_loss": ("completion_only_loss",),
    "assistant_only_loss": ("assistant_only_loss",),
    "train_on_inputs": ("train_on_inputs", "train_on_prompt"),
    "pad_token": ("pad_token",),
    "learning_rate": ("learning_rate",),
    "num_train_epochs": ("num_train_epochs", "num_epochs", "epochs"),
    "per_device_train_batch_size": ("per_device_train_batch_size", "micro_batch_size"),
    "gradient_accumulation_steps": ("gradient_accumulation_steps",),
    "load_best_model_at_end": ("load_best_model_at_end",),
}


@dataclass(frozen=True)
class OwnTrainer:
    """The trainer that wrote a folder: its name, its version and its settings.

    `masks_ids`: whether all ids equal to the padding token's carry no loss (None: not known), for
    the reason `why`. `adds_end`: whether it adds an end of turn to a text that has none.
    """

    name: str
    version: str
    masks_ids: bool | None
    why: str
    adds_end: bool
    settings: Mapping[str, Any] = field(default_factory=dict)
    named_by: Mapping[str, str] = field(default_factory=dict)
    why_unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Return the trainer's name with its version."""
        return f"{self.name} {self.version}".strip()

    def number(self, name: str) -> float | None:
        """Return a setting as a number, None if it is none."""
        value = self.settings.get(name)
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if plain else None  # type: ignore[arg-type]

    def flag(self, name: str) -> bool | None:
        """Return a setting that is True or False; None if it is missing or anything else."""
        value = self.settings.get(name)
        return value if isinstance(value, bool) else None


def read_trainer(folder: RunFolder, logs: Sequence[TrainingLog]) -> OwnTrainer:
    """Return the trainer of a folder, known from its model card, log columns and options."""
    raw, named_by, not_read = _read_options(folder, logs)
    _leave_out_placeholders(raw, named_by)
    settings, origins = {}, {}
    for name, aliases in _SETTING_ALIASES.items():
        known = [alias for alias in aliases if alias in raw]
        if known:
            found = next((alias for alias in known if raw[alias] is not None), known[0])
            value = raw[found]
            if _is_plain(value):
                settings[name] = well_formed(value) if isinstance(value, str) else value
                origins[name] = named_by[found]
    card = _model_card(folder)
    columns = {name for log in logs for name in log.columns}
    name, version = _name_and_version(card, columns, raw)
    masks, why, adds = _masking_of_padding(name, version, columns, raw)
    return OwnTrainer(name, version, masks, why, adds, settings, origins, not_read)


def _read_options(
    folder: RunFolder, logs: Sequence[TrainingLog]
) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Return (options by name, the file of each option, {unread file: why})."""
    raw: dict[str, Any] = {}
    named_by: dict[str, str] = {}
    not_read: dict[str, str] = {}
    for log in reversed(logs):
        raw |= log.settings
        named_by |= dict.fromkeys(log.settings, log.file)
    for name in _ARGUMENT_FILES:
        file = folder.newest(name)
        if file is None:
            continue
        try:
            options = folder.object(file)
        except (DataError, SecurityError) as error:
            not_read[file] = f"{error.what}: {error.got}" if error.got else error.what
            continue
        raw |= options
        named_by |= dict.fromkeys(options, file)
    pickles = folder.named(_ARGUMENTS_PICKLE)
    if pickles:
        not_read[max(pickles, key=lambda one: (-one.count("/"), checkpoint_of(one)))] = _NOT_OPENED
    return raw, named_by, not_read


def _leave_out_placeholders(raw: dict[str, Any], named_by: Mapping[str, str]) -> None:
    """Remove option values that do not describe the run.

    transformers writes `<PAD_TOKEN>` for every argument whose name ends in `_token`. A log's
    config may also hold the model's config, in which `max_length` limits generation.
    """
    for name in [name for name in raw if name.endswith("_token")]:
        if raw[name] == f"<{name.upper()}>":
            del raw[name]
    of_trl = "packing" in raw or "dataset_text_field" in raw
    from_log = named_by.get("max_length", "").rpartition("/")[2] not in _ARGUMENT_FILES
    if "max_length" in raw and not of_trl and from_log:
        del raw["max_length"]


def _is_plain(value: Any) -> bool:
    if isinstance(value, int | float):
        return -_MOST_NUMBER <= value <= _MOST_NUMBER  # NaN fails too
    return value is None or isinstance(value, str)


def _model_card(folder: RunFolder) -> str:
    file = folder.newest("README.md")
    if file is None:
        return ""
    try:
        return folder.text(file)
    except (DataError, SecurityError):
        return ""


def _name_and_version(card: str, columns: set[str], raw: Mapping[str, Any]) -> tuple[str, str]:
    """Guess (trainer, version or "") by card, columns, options; else "Hugging Face Trainer"."""
    if raw.get("trainer") == "tuneworthy":
        return "tuneworthy", ""
    tags = set(re.findall(r"^\s*-\s*([\w.-]+)\s*$", card.partition("\n---")[0], re.M))
    if "unsloth" in tags:
        return "Unsloth", ""
    if "axolotl" in tags or "built with axolotl" in card.lower():
        return "Axolotl", ""
    if "llama-factory" in tags or "current_steps" in columns:
        return "LLaMA-Factory", ""
    version = re.search(r"^\s*-\s*TRL:?\s*([0-9][\w.]*)", card, re.M)
    if version or "trl" in tags or {"mean_token_accuracy", "num_tokens"} & columns:
        return "TRL", version.group(1) if version else ""
    if "dataset_text_field" in raw or "assistant_only_loss" in raw:
        return "TRL", ""
    return "Hugging Face Trainer", ""


def _masking_of_padding(
    name: str, version: str, columns: set[str], raw: Mapping[str, Any]
) -> tuple[bool | None, str, bool]:
    """Return (padding masked by token id, or None if unknown; why; whether turn ends are added).

    From the sources of transformers 5.24, TRL 0.12 to 1.16 and Unsloth 2026.10: TRL pads labels
    by position from 0.16 on, and logs `num_tokens` from then on.
    """
    if name == "tuneworthy":
        return False, "our own training masks by position", True
    if name in ("Axolotl", "LLaMA-Factory"):
        return False, f"{name} pads the labels by position", True
    if name == "Unsloth":
        why = "Unsloth uses transformers' DataCollatorForLanguageModeling, which masks the"
        return True, f"{why} padding token's id wherever it stands", True
    if name == "TRL":
        known = re.match(r"(\d+)\.(\d+)", version)
        new = (int(known[1]), int(known[2])) >= (0, 16) if known else None
        if new is None and ("num_tokens" in columns or "padding_free" in raw):
            new = True
        if new is None and "mean_token_accuracy" in columns:
            new = False
        if new is None:
            return None, "the folder does not say which version of TRL trained", True
        if new:
            return False, "TRL 0.16 and later pad the labels by position", True
        return True, "TRL before 0.16 masks the padding token's id wherever it stands", False
    why = "transformers' DataCollatorForLanguageModeling is taken to be the collator: it masks the"
    return True, f"{why} padding token's id wherever it stands", False
