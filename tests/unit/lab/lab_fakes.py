"""Stand-ins for modules that another branch writes; removed once it is merged."""

import sys
import types
from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    token: str = ""


def install(name):
    made = types.ModuleType(f"tuneworthy.lab.{name}")
    made.__dict__.update(CONTENT[name])
    sys.modules[made.__name__] = made
    import tuneworthy.lab

    setattr(tuneworthy.lab, name, made)


def meta(site):
    return f'<meta name="csrf-token" content="{site.token}">'


def error_page(status, what, where, fix, kept, site):
    from markupsafe import escape

    return f"<h1>{escape(what)}</h1><p>{escape(where)}<p>{escape(fix)}<p>{escape(kept)}"


def guess(case, cause, sure):
    from tuneworthy.core.errors import TaskError

    if cause not in case.module.CAUSES:
        raise TaskError("this case has no such cause", got=cause, fix="another")
    return {"right": cause == case.name, "truth": case.name}


def cite(case, measure):
    from tuneworthy.core.errors import TaskError

    if measure not in case.module.MEASURES:
        raise TaskError("this case has no such measurement", got=measure, fix="another")
    return {"measure": measure, "proves": measure == case.module.PROOF}


CONTENT = {
    "pages": {
        "Site": Site,
        "home_page": lambda cases, site: f"{meta(site)}<h1>home</h1>",
        "case_page": lambda case, position, site: f"{meta(site)}<h1>{case.module.TITLE}</h1>",
        "blind_page": lambda key, site: f"{meta(site)}<h1>{key}</h1>",
        "error_page": error_page,
    },
    "case_data": {
        "SURE": ("a", "b", "c"),
        "RIGHT": (22, 36, 40),
        "WRONG": (2, -15, -35),
        "card": lambda case: {"slug": case.slug},
        "public": lambda case: {"slug": case.slug},
        "guess": guess,
        "cite": cite,
    },
    "words": {"cause": lambda name: name},
}
