"""Start a run as a visitor asked for it, or find that it was recorded already."""

from __future__ import annotations

from tuneworthy.core.failure import Value
from tuneworthy.lab.blind_play import blind_setting
from tuneworthy.lab.events import run_id
from tuneworthy.lab.lab_folder import is_id
from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.settings import check_seed, find_case, run_setting


def start_run(lab: Lab, slug: str, given: dict[str, Value], seed: int) -> tuple[str, bool]:
    """Return the id of a run, and whether it is a record (else it waits or runs).

    `slug` is a case, or the key of a blind run, which is then the id too. Raises Problem: 404 for
    the case, 422 for a setting, 429, 409 or 503 where it cannot run now.
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
