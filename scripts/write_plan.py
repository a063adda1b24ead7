"""Write the page of a job's plan, reports/plan.md."""

from collections.abc import Mapping
from pathlib import Path

from vitbench import tables
from vitbench.errors import UserError, run_logged
from vitbench.files import write_atomically
from vitbench.present.job_plan import page


def main(given: Mapping[str, str], out: Path) -> None:
    """Write the page of the tables `plan` and `scaling` (given: those, and context → path).

    Raises:
        UserError: nothing was measured that could carry a plan.
    """
    plan, scaling = (tables.read(given[name], name) for name in ("plan", "scaling"))
    if plan.empty:
        why = "no usable repeat on the full data set, so nothing can be planned by it: measure first, snakemake full"
        raise UserError(f"{given['plan']}: {why}")
    write_atomically(out, page(plan, scaling, tables.read_context(given["context"])))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        {name: path for name, path in snakemake.input.items() if name != "lib"},
        Path(snakemake.output[0]),
    )
