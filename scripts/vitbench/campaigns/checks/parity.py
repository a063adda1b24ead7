"""Do the variants answer what their baseline answers?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas

from vitbench import tables
from vitbench.analysis import parity
from vitbench.campaigns.checks import NotChecked
from vitbench.cells import cell_name, variant_key
from vitbench.records import record as records

if TYPE_CHECKING:
    from vitbench.campaigns.evidence import Evidence

# A cell that nobody can be asked about is checked against these.
BASELINE = "huggingface/pipeline"
AGREEMENT = 0.99


def check_parity(evidence: Evidence) -> Iterable[str]:
    """The variants give the baseline's labels; one of another precision may not, and has no ratio then."""
    grid = evidence.grid or {"baseline": BASELINE, "agreement": AGREEMENT}
    if grid["baseline"] not in {variant_key(record) for record in evidence.planned.values()}:
        raise NotChecked(f"no record of a baseline, {grid['baseline']}")
    if len({(one["machine"], one["protocol"], one["model"]) for one in evidence.planned.values()}) > 1:
        raise NotChecked("records of several machines, protocols or models")
    known = {path: rows for path in evidence.planned if (rows := evidence.predictions(path)) is not None}
    rows = [records.to_row(evidence.planned[path], "live", path) for path in known]

    def predictions(path: str) -> list[tuple[str, str, float | None]]:
        return [(image, label, float(score) if score else None) for image, label, score in known[path]]

    def labels(role: str) -> dict[str, str]:
        """As the manifest has them; without one, all images that anybody classified, without labels."""
        seen = [row[0] for path in known if evidence.planned[path]["dataset"] == role for row in known[path]]
        return evidence.images.get(role) or dict.fromkeys(seen, "")

    table = pandas.DataFrame(rows, columns=tables.COLUMNS["runs"])
    compared = parity.parity(table, grid["baseline"], predictions, labels, grid["agreement"])
    ran_in = {cell_name(row): row["precision"] for row in rows}
    for row in compared.itertuples():
        if not row.passed and row.compared and ran_in[row.candidate] == ran_in[row.baseline]:
            yield f"{row.candidate} on {row.dataset}: {row.reason}; expected the labels of {row.baseline}"
