"""Price an arm in use, at an endpoint: the dollars of 1,000 requests, before a run.

Knows no arm by name.
"""

from __future__ import annotations

from tuneworthy.core.arm import Sizes
from tuneworthy.core.plan import EndpointLoad
from tuneworthy.core.run import Spec
from tuneworthy.core.task import Task
from tuneworthy.measure.request_costs import (
    BestPrompt,
    Remote,
    arm_requests,
    asks_of,
    usual_sizes,
)


def arm_load(
    found: Remote, task: Task, spec: Spec, sizes: Sizes, best: BestPrompt
) -> EndpointLoad | None:
    """Return the endpoint load of an arm, with its price in use; None if it uses no endpoint."""
    load_ = found.sent(spec.name, arm_requests(found, task, spec, sizes, best))
    if load_ is None or spec.role != "candidate":
        return load_
    usd, source = _in_use(found, spec, usual_sizes(found, sizes, best))
    return load_.model_copy(update={"usd_per_1k": usd, "price_from": source})


def _in_use(found: Remote, spec: Spec, sizes: Sizes) -> tuple[float | None, str]:
    """Return the dollars of 1,000 requests in use and the source of the price; None if unknown.

    They are what an arm sends for 1,000 cases more: the rows that chose its prompt are left out,
    and an answer that the study reuses from another arm counts.
    """
    few, many = (asks_of(spec, sizes.model_copy(update={"cases": n})) for n in (1_000, 2_000))
    total, sources = 0.0, dict[str, None]()
    for less, more in zip(few, many, strict=True):
        requests = (more.requests or more.most) - (less.requests or less.most)
        if more.few or requests <= 0:
            continue
        rate = found.rates.get(more.role)
        written = found.mean.answer if more.written is None else more.written
        usd = rate.dollars(requests * more.read, requests * written) if rate else None
        if rate is None or usd is None:
            return None, ""
        total += usd
        sources |= {rate.source: None}
    return (total, ", ".join(filter(None, sources))) if sources else (None, "")
