"""Estimate before a run what 1,000 requests of an arm in use cost at an endpoint.

Knows no arm by name.
"""

from __future__ import annotations

from tuneworthy.measure.request_costs import (
    BestPrompt,
    RemoteModels,
    arm_requests,
    declared_requests,
    usual_sizes,
)
from tuneworthy.records.arm import Sizes
from tuneworthy.records.plan import EndpointLoad
from tuneworthy.records.run import Spec
from tuneworthy.records.task import Task


def arm_load(
    remote: RemoteModels, task: Task, spec: Spec, sizes: Sizes, best: BestPrompt
) -> EndpointLoad | None:
    """Return an arm's endpoint requests, tokens, dollars, price in use; None without endpoint."""
    load_ = remote.sent(spec.name, arm_requests(remote, task, spec, sizes, best))
    if load_ is None or spec.role != "candidate":
        return load_
    usd, source = _price_in_use(remote, spec, usual_sizes(remote, sizes, best))
    return load_.model_copy(update={"usd_per_1k": usd, "price_from": source})


def _price_in_use(remote: RemoteModels, spec: Spec, sizes: Sizes) -> tuple[float | None, str]:
    """Return (dollars of 1,000 requests in use, source of the price), (None, "") if unknown.

    The dollars are those of 1,000 further cases: the dev rows that chose the prompt are left out,
    and answers that the study reuses from another arm are counted.
    """
    few, many = (
        declared_requests(spec, sizes.model_copy(update={"cases": n})) for n in (1_000, 2_000)
    )
    total, sources = 0.0, dict[str, None]()
    for less, more in zip(few, many, strict=True):
        requests = (more.requests or more.at_most) - (less.requests or less.at_most)
        if more.few or requests <= 0:
            continue
        rate = remote.rates.get(more.role)
        written = remote.mean.answer if more.written is None else more.written
        usd = rate.dollars(requests * more.read, requests * written) if rate else None
        if rate is None or usd is None:
            return None, ""
        total += usd
        sources |= {rate.source: None}
    return (total, ", ".join(filter(None, sources))) if sources else (None, "")
