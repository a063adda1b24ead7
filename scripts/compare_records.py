"""Compare two sets of records without Snakemake: table, page and chart, and an exit status for CI."""

from __future__ import annotations

import argparse
from pathlib import Path

import judge_comparison
import plot_chart
import tabulate_comparison
import write_comparison

from vitbench.errors import exit_with_user_errors


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python scripts/compare_records.py --baseline ~/old --candidate ~/new --fail-on slower "
        "(exit status 0: nothing that shall fail; 1: bad input, or sets that may not be compared; 2: wrong options; "
        f"{judge_comparison.FAILED}: a verdict that shall fail, after everything was written)",
    )
    tabulate_comparison.add_options(parser)
    judge_comparison.add_options(parser)
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path("."),
        metavar="DIR",
        help="where results/compare/ and reports/ are written",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    results, reports = options.directory / "results/compare", options.directory / "reports"
    tabulate_comparison.main(options.baseline, options.candidate, options.margin, options.other_machine, results)
    paths = {"compare": str(results / "compare.csv"), "context": str(results / "provenance/context.json")}
    write_comparison.main(paths["compare"], paths["context"], reports / "compare.md")
    plot_chart.main("compare", paths, str(reports / "compare.png"), str(reports / "compare.svg"))
    return judge_comparison.judge(results, options.fail_on)


if __name__ == "__main__":
    exit_with_user_errors(main)
