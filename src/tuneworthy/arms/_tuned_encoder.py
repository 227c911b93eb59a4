"""Helpers of the arms that tune a text encoder: options, rows, cost, answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

from pydantic import Field

from tuneworthy.arms._classified import ENCODER_WORK_SHARE, classifier_input, classify
from tuneworthy.arms.prompt.shots import shuffled_answers
from tuneworthy.models import weights_folder
from tuneworthy.models.encoder.encoder import NAME, locate, missing
from tuneworthy.records.arm import Fitted, Setup, Sizes, Work
from tuneworthy.records.artefact import Pack
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record

NEEDS_OF_MINILM = frozenset({"labels", "encoder", "vectors"})
_Tuning = Callable[[Any, tuple[Sequence[str], Sequence[str]]], tuple[Any, list[dict[str, Any]]]]


class EncoderOptions(Record):
    """Options of tuning an encoder: `model` "" is MiniLM; else hf:ORG/NAME or hf:./folder.

    `tokens`: inputs are cut to so many. `shuffled` gives every row another row's label: the
    placebo.
    """

    model: Annotated[str, Field(pattern=r"^(hf:.+)?$")] = ""
    batch: Annotated[int, Field(ge=1, le=4096)] = 16
    rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 5e-5
    tokens: Annotated[int, Field(ge=8, le=8192)] = 256
    shuffled: bool = False


def encoder_needs(options: EncoderOptions) -> frozenset[str]:
    """Return what an arm that tunes an encoder needs: MiniLM only where it names no other one."""
    return NEEDS_OF_MINILM - {"vectors"} if options.model else NEEDS_OF_MINILM


def versions_of(*packages: str) -> dict[str, str]:
    """Return {package: its version, "none" if it is not here}: other ones give other answers."""
    found = dict.fromkeys(packages, "none")
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def fitted_encoder(setup: Setup, options: EncoderOptions, seed: int, tune: _Tuning) -> Fitted:
    """Return the arm whose encoder `tune(encoder, (texts, labels))` tuned on the training rows.

    Raises DoesNotApply without MiniLM, or if the rows have a single label, and what opening the
    encoder raises.
    """
    if len({case.output for case in setup.train}) < 2:
        raise DoesNotApply("the training rows have a single label: there is nothing to classify")
    name, home = options.model, setup.task.folder
    folder = weights_folder(name, home, setup.say) if name else locate()
    if folder is None:
        raise DoesNotApply(missing())
    from tuneworthy.models.encoder.text_encoder import TextEncoder

    encoder = TextEncoder.read(folder, options.tokens)
    texts, labels = zip(*((classifier_input(c), c.output) for c in setup.train), strict=True)
    if options.shuffled:
        labels = shuffled_answers(labels, seed)
    tuned, steps = tune(encoder, (texts, labels))
    cut = encoder.cut(texts)
    read = f"{cut} training inputs are longer than the {encoder.most} tokens it reads"
    return Fitted(
        answer=lambda queries: classify(
            queries, tuned, tuned.encoder.encode, setup.task.success.costs
        ),
        learned=True,
        trace={"steps": steps, "evaluations": []},
        notes=(read,) if cut else (),
        pack=Pack(role="", encoder=True),
        classifier=tuned,
    )


def encoder_origin(options: EncoderOptions) -> str:
    """Return the name of the encoder that was tuned."""
    return options.model or NAME


def encoder_work(sizes: Sizes, trained_rows: float, encoded_rows: float) -> Work:
    """Return the cost of training on so many rows and reading so many more without a gradient."""
    return Work(encoded=sizes.own * encoded_rows, trained=sizes.own * trained_rows,
                pace="whole", layers=ENCODER_WORK_SHARE)  # fmt: skip
