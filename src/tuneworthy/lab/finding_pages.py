"""The page of findings as HTML: for each a headline, its bars, and a link to its evidence."""

from __future__ import annotations

from typing import Any

from tuneworthy.atlas.atlas_file import HeadlineFinding, read_atlas
from tuneworthy.lab.claim_pages import number_text
from tuneworthy.lab.pages import Site, render


def findings_page(site: Site) -> str:
    """Return the page of findings of the shipped atlas."""
    return render(
        "findings.html.j2", site, here="Findings", style="findings.css", scripts=(), data=(),
        keys=(), findings=[_finding_data(each, site) for each in read_atlas().findings],
    )  # fmt: skip


def _finding_data(finding: HeadlineFinding, site: Site) -> dict[str, Any]:
    if finding.claim:
        address, name = f"{site.experiments}#e{finding.claim}", f"experiment {finding.claim}"
    else:
        address, name = site.measured(finding.entry), "the measured task"
    bars = [
        {
            "name": row.name,
            "mean": number_text(row.mean),
            "bounds": f"{number_text(row.bounds.low)} to {number_text(row.bounds.high)}"
            if row.bounds
            else "bounds not recorded",
            "span": row.bounds,
            "at": row.mean,
            "strong": row.strong,
        }
        for row in finding.rows
    ]
    return {"told": finding, "bars": bars, "address": address, "evidence": name}
