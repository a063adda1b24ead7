"""The charts: which there are, and what each is drawn of. The rules and the script that draw them read this registry.

A chart is one module here, one entry in CHARTS, and one caption, `reports/captions/<module>.rst` (docs/extend.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chart:
    """One picture, `reports/<name>.png` and `.svg`."""

    title: str
    """what it shows, for messages and pages"""
    tables: tuple[str, ...]
    """the tables (`vitbench.tables.COLUMNS`) that its function takes in this order, before the context"""
    category: str
    """where Snakemake's report lists it"""
    over: str
    """what stands along it: its second label there"""
    module: str
    """the module that draws it: its name in this package"""
    function: str = "draw"
    target: str = "figures"
    """the rule that asks for it of what is measured here; `campaigns` asks for every chart"""
    of_published: bool = False
    """whether it is drawn of the published numbers, too"""
    beside_published: bool = False
    """whether its function also takes `published`, the path of the published runs, to set them beside our own"""

    of_sets: bool = False
    """whether it is drawn of two sets of records that are compared (rules/compare.smk), and of no one source"""

    @property
    def source(self) -> str:
        """The full name of its module, which is imported only to draw."""
        return f"{__name__}.{self.module}"


CHARTS = {
    "speedup": Chart(
        title="Who is faster",
        tables=("speedup", "summary"),
        category="Comparison",
        over="pairs of cells",
        module="speedup",
        function="beside_published",
        of_published=True,
        beside_published=True,
    ),
    "batch_sweep": Chart(
        title="Batch sizes",
        tables=("summary", "runs", "best_batch_size"),
        category="Throughput",
        over="batch size",
        module="batch_sweep",
    ),
    "wall_time": Chart(
        title="Seconds on the full data set",
        tables=("summary", "runs"),
        category="Throughput",
        over="variants",
        module="wall_time",
    ),
    "passes": Chart(
        title="When each was warm",
        tables=("runs",),
        category="Method",
        over="passes of a repeat",
        module="passes",
    ),
    "break_even": Chart(
        title="From how many images on the slower starter is ahead",
        tables=("runs", "break_even"),
        category="Comparison",
        over="number of images",
        module="break_even",
    ),
    "stages": Chart(
        title="Where the time of a pass goes",
        tables=("stages",),
        category="Method",
        over="variants",
        module="stages",
    ),
    "physics": Chart(
        title="Share of what the machine can do",
        tables=("physics", "summary"),
        category="Method",
        over="cells",
        module="physics",
    ),
    "effective_batches": Chart(
        title="Batches that the engines got",
        tables=("effective_batches",),
        category="Method",
        over="batch size",
        module="effective_batches",
    ),
    "quiet": Chart(
        title="How quiet the machine was",
        tables=("runs",),
        category="Method",
        over="time",
        module="quiet",
    ),
    "sustained": Chart(
        title="Minute by minute",
        tables=("sustained",),
        category="Method",
        over="minutes",
        module="sustained",
        target="sustained",
    ),
    "data_set_sizes": Chart(
        title="Whether the size of the data set changes the answer",
        tables=("data_set_sizes", "total_time"),
        category="Comparison",
        over="images of the data set",
        module="data_set_sizes",
        target="sizes",
    ),
    "scaling": Chart(
        title="What more workers bring",
        tables=("scaling", "scaling_fits"),
        category="Throughput",
        over="workers",
        module="scaling",
        target="scaling",
    ),
    "plan": Chart(
        title="Machines, hours and money for a job",
        tables=("plan",),
        category="Comparison",
        over="machines",
        module="plan",
        target="plan",
    ),
    "replication": Chart(
        title="Our ratios beside the published ones",
        tables=("replication",),
        category="Published",
        over="published comparisons",
        module="replication",
        function="ratios",
        target="replication",
    ),
    "replication_curves": Chart(
        title="Our sweeps beside the published ones",
        tables=("replication", "replication_curves"),
        category="Published",
        over="batch size",
        module="replication",
        function="curves",
        target="replication",
    ),
    "advice": Chart(
        title="What to run on this machine",
        tables=("advice",),
        category="Advice",
        over="aims",
        module="advice",
        target="advice",
    ),
    "steps": Chart(
        title="From the article's setting to the fastest",
        tables=("steps",),
        category="Advice",
        over="changes",
        module="steps",
        target="advice",
    ),
    "compare": Chart(
        title="What changed between two sets of records",
        tables=("compare",),
        category="Comparison",
        over="cells",
        module="compare",
        target="compare",
        of_sets=True,
    ),
}
