"""Find the best of what was measured for each aim, and the steps that lead to it: the entry point of its rule."""

from collections.abc import Mapping
from pathlib import Path

from vitbench import tables
from vitbench.analysis import advice
from vitbench.analysis.looks import Rule
from vitbench.analysis.physics import impossible_cells
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.records.archive import Folder, open_archive

READ = ("runs", "speedup", "total_time", "break_even", "physics")


def main(given: Mapping[str, str], archive: Folder, out: Mapping[str, str]) -> None:
    """Write the tables `advice` and `steps`.

    Args:
        given: runs, speedup, total_time, break_even, physics → path.
        archive: of the records that `runs` names, and their grid.
        out: advice, steps → path.
    """
    read = {name: tables.read(given[name], name) for name in READ}
    runs, speedup, baseline = read["runs"], read["speedup"], archive.grid["baseline"]
    rule, definitions = Rule.of(archive.grid, "full"), advice.definitions_of(runs, archive.record)
    named = runs.record[runs.record != ""]
    cores = archive.record(named.iloc[0])["environment"].get("cores") if len(named) else None
    too_fast = impossible_cells(read["physics"])
    found = {
        "advice": advice.advice(
            runs,
            speedup,
            read["total_time"],
            read["break_even"],
            baseline,
            definitions,
            cores,
            rule,
            too_fast,
        ),  # fmt: skip
        "steps": advice.steps(runs, speedup, baseline, definitions, rule, too_fast),
    }
    for name, table in found.items():
        write_atomically(Path(out[name]), tables.as_csv(table))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        {name: snakemake.input[name] for name in READ},
        open_archive(snakemake.params.archive),
        dict(snakemake.output.items()),
    )
