"""The page of findings as HTML: for each a headline, its bars, and a link to its evidence."""

from __future__ import annotations

from typing import Any

from tuneworthy.atlas.atlas_data import Atlas, read_atlas
from tuneworthy.lab.claim_pages import number_text
from tuneworthy.lab.claim_results import claim_results
from tuneworthy.lab.findings import HeadlineFinding, findings, measured_figures
from tuneworthy.lab.pages import Site, render


def findings_page(site: Site, atlas: Atlas | None = None) -> str:
    """Return the page of findings, from `atlas` (None: the shipped one) and the claim results."""
    measured = measured_figures(read_atlas(None) if atlas is None else atlas, claim_results())
    return render(
        "findings.html.j2", site, here="Findings", style="findings.css", scripts=(), data=(),
        keys=(), findings=[_finding_data(each, site) for each in findings(measured)],
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
