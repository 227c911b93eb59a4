"""Choose what trains an adapter: our loop, TRL, or a training API (the option `trainer`)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from tuneworthy.core.arm import Setup
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.reason import Reason
from tuneworthy.core.specs import trainer_address

OWN, TRL = "own", "trl"


def check_trainer(options: Any, objective: Any) -> None:
    """Raise DoesNotApply for what the trainer can't do, or without its package."""
    hosted = trainer_address(vars(options))
    if options.trainer == TRL and (objective is not None or options.prompt_loss):
        raise DoesNotApply("`trainer: trl` trains on the likelihood of the answers alone")
    extra, needed = ("tinker", ["tinker"]) if hosted else ("trl", ["trl", "datasets"])
    missing = [name for name in needed if find_spec(name) is None]
    if options.trainer != OWN and (reason := Reason.not_installed(missing, f"tuneworthy[{extra}]")):
        raise DoesNotApply(reason)
    if not hosted:
        return
    if objective is not None:
        raise DoesNotApply("a training API trains on the likelihood of the answers alone")
    if options.dora or options.targets != "all-linear":
        raise DoesNotApply("a training API trains plain LoRA on all linear layers: leave `dora` and"
                           " `targets` out")  # fmt: skip


def external_training_loop(setup: Setup, options: Any, model: Any) -> Any:
    """Return the training loop that replaces ours, None for ours.

    Raises DoesNotApply for a model that the API can't know by a name, and the errors of an address.
    """
    if options.trainer == OWN:
        return None
    if options.trainer == TRL:
        from tuneworthy.training.trl_loop import TrlLoop

        return TrlLoop(model.tokenizer)
    from tuneworthy.models.remote.training_api import training_endpoint, training_price
    from tuneworthy.training.hosted_loop import Hosted, HostedLoop

    base = options.trainer_model or _public_name(model.spec)
    where = training_endpoint(options.trainer)
    divisor = options.rank**0.5 if options.rslora else options.rank
    return HostedLoop(
        Hosted(
            where=where,
            base=base,
            rank=options.rank,
            scale=options.alpha / divisor,
            price=training_price(setup.task.economics.prices, base, where),
            purse=setup.purse,
            folder=setup.folder,
        )
    )


def _public_name(spec: str) -> str:
    kind, _, rest = spec.partition(":")
    name = rest.partition("@")[0]
    if kind != "hf" or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise DoesNotApply(
            f"a training API knows models by their public name, and {spec} has none: name it by the"
            " option `trainer_model: ORG/NAME`"
        )
    return name
