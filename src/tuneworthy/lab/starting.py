"""Start a run that a visitor requests, unless it is recorded already."""

from __future__ import annotations

from tuneworthy.core.failure import Value
from tuneworthy.lab.blind_play import blind_setting
from tuneworthy.lab.events import run_id
from tuneworthy.lab.lab_folder import is_id
from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.settings import check_seed, find_case, run_setting


def start_run(lab: Lab, slug: str, given: dict[str, Value], seed: int) -> tuple[str, bool]:
    """Start a run unless it is recorded; return its id, and whether it is a record.

    `slug` is a case, or the key of a blind run, which is returned as the id. Raises Problem: 404
    for an unknown case, 422 for a wrong setting, 429, 409 or 503 if it can't run now.
    """
    if is_id(slug) and not given:
        case, config, role = blind_setting(lab.blind_run(slug))
    else:
        case = find_case(slug)
        config, role = run_setting(case, given)
    name = run_id(case.slug, config, check_seed(seed))
    known = lab.records.facts(name) is not None
    if not known:
        clean = dict(case.config("twin"))
        lab.running().submit(case.slug, config, seed, role, clean)
    return slug if is_id(slug) else name, known
