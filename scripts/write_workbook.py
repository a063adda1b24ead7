"""Write `reports/benchmark.xlsx`: the entry point of the rule `write_workbook`."""

from vitbench import tables, workbook
from vitbench.errors import run_logged


def main(
    summary_csv: str, runs_csv: str, best_csv: str, parity_csv: str, speedup_csv: str, context_json: str, xlsx: str
) -> None:
    """Read the tables and write the workbook."""
    workbook.write(
        xlsx,
        summary=tables.read(summary_csv, "summary"),
        runs=tables.read(runs_csv, "runs"),
        best=tables.read(best_csv, "best_batch_size"),
        parity=tables.read(parity_csv, "parity"),
        speedup=tables.read(speedup_csv, "speedup"),
        context=tables.read_context(context_json),
    )


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.input.summary,
        snakemake.input.runs,
        snakemake.input.best,
        snakemake.input.parity,
        snakemake.input.speedup,
        snakemake.input.context,
        snakemake.output[0],
    )
