# Common ground of all rules: the checked configuration, the grid, the machine's lock, and the functions `get_*` that
# tell rules their inputs. Nothing here is heavy: a bare Snakemake without torch, pyspark or Java parses it.
import os
import re
import shutil
import sys
import time
from functools import cache
from pathlib import Path


from vitbench import environment
from vitbench.cells import BEST, Cell
from vitbench.errors import UserError
from vitbench.files import digest
from vitbench.plan.configuration import (
    check_keys,
    check_schema,
    fallback,
    resolve,
    retyped,
)
from vitbench.plan.estimate import announce, check_start, missing
from vitbench.plan.grid import Grid
from vitbench.plan.looks import record
from vitbench.plan.readiness import check_writable
from vitbench.present.charts import CHARTS
from vitbench.sources import SCRIPTS, behind

STARTED = time.time()
# A reader-writer lock for the whole machine: a measurement takes all of it, every other job one part.
EXCLUSIVE, SHARED = 100, 1

# False where this workflow is a module of another one, whose environment and configuration are then left alone. (What
# is measured has the same environment in either case: every process of vitbench makes its own.)
OURS_ALONE = workflow.modifier.is_main_snakefile()
PROFILE = os.environ.get("SNAKEMAKE_PROFILE")

if workflow.is_main_process and PROFILE:
    print(
        f"vitbench: SNAKEMAKE_PROFILE={PROFILE} adds its settings to this run: unset it if it is another project's",
        file=sys.stderr,
    )
if workflow.is_main_process and "conda" in {
    str(method) for method in workflow.deployment_settings.deployment_method
}:
    if not shutil.which("conda"):
        sys.exit(
            "vitbench: --sdm conda was asked for, maybe by a profile, and there is no conda here: leave it out, the "
            "locked environment (`make install`) needs none"
        )

try:
    check_writable(Path())
    if OURS_ALONE:
        LEFT_OUT = environment.adopt()
        if workflow.is_main_process and LEFT_OUT:
            print(
                f"vitbench: left out of this run: {', '.join(LEFT_OUT)}",
                file=sys.stderr,
            )
        for path in workflow.overwrite_configfiles:
            check_keys(path)
    config.update(retyped(config))
    check_schema(config)
except UserError as error:
    sys.exit(f"vitbench: {error}")

# A configuration that cannot be measured here still draws published figures and campaigns: `get_usable` says why it
# cannot, to the rules that measure.
UNUSABLE = None
try:
    GRID = Grid(resolve(config))
except UserError as error:
    UNUSABLE = f"vitbench: {error}"
    GRID = Grid(resolve(fallback()))


def prepare_process():
    """Everything that this workflow changes of the process that runs it, each with its reason."""
    # A profile's `resources` are dropped as a whole when any is given on the command line; the lock must hold.
    workflow.global_resources.setdefault("machine", EXCLUSIVE)
    os.environ.update(
        # Jobs run the Python that runs Snakemake, activated or not.
        PATH=os.pathsep.join(
            [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
        ),
        # Not written into the commands: in a moved folder an absolute path would make every rule a changed one.
        VITBENCH_HOME=HOME,
        # A repeat looks for the process of this number, and stops when Snakemake was killed.
        VITBENCH_ORDERED_BY=str(os.getpid()),
    )
    # Snakemake pastes this unquoted into the commands of `script:` jobs; its short name is found on the PATH above.
    if " " in sys.executable:
        sys.executable = os.path.basename(sys.executable)


prepare_process()


# A source of tables and charts: nothing for what is measured here, published/, or a packed campaign; and the two that
# have records.
CAMPAIGN = r"campaigns/[A-Za-z0-9][A-Za-z0-9.-]*/"
MEASURED = f"(?:{CAMPAIGN})?"
SOURCE = f"(?:published/|{CAMPAIGN})?"

# Records from elsewhere, and the campaign that they become.
RECORDS = os.path.expanduser(config["records"] or "")
IMPORTED = config["campaign"] or os.path.basename(os.path.abspath(RECORDS))


wildcard_constraints:
    device="cpu|gpu",
    workers=r"\d+",
    batch_size=rf"\d+|{BEST}",
    repeat=r"\d+",
    source=SOURCE,


def checkout(*parts):
    """A file of this checkout, relative to the working directory: moving both leaves every input its name."""
    return os.path.relpath(os.path.join(HOME, *parts))


def library(*modules):
    """The sources behind a script (and what it imports by a computed name): inputs of rules that derive, never of those
    that measure. A fresh list for each rule, because Snakemake marks the strings themselves.
    """
    return [checkout("scripts", path.relative_to(SCRIPTS)) for path in behind(*modules)]


def missing_only(paths):
    """Constraint for the first wildcard of measurements/{machine}/…: the whole path must be one that is missing.

    It looks ahead from the machine on. What was measured is thereby data and no output any more: nothing that Snakemake
    could take for a change, no flag and no deletion of outputs reaches it (docs/methodology.md, "Records are kept").
    """
    stems = {
        os.path.splitext(path.partition("/")[2])[0]
        for path in paths
        if not os.path.exists(path)
    }
    return rf"(?=(?:{'|'.join(map(re.escape, sorted(stems))) or '(?!)'})(?:\.predictions)?\.(?:json|csv)$)[^/]+"


def get_role(wildcards):
    """Role of the data set whose slug is in the path: the slug begins with it."""
    return wildcards.dataset.partition("-")[0]


def get_dataset_definition(wildcards):
    return GRID.datasets[get_role(wildcards)].definition


def get_model_definition(wildcards):
    return GRID.model.definition


def get_jar_lock(wildcards):
    return checkout("envs", "jars", wildcards.set, "jgo.lock.toml")


def get_pretrained(wildcards):
    """The cell whose variant finds its model under this name in John Snow Labs' hub."""
    cells = GRID.sweep + GRID.full
    return next(
        cell
        for cell in cells
        if GRID.definition(cell).get("pretrained") == wildcards.name
    )


def get_pretrained_jars(wildcards):
    return str(GRID.jars(get_pretrained(wildcards)))


def get_pretrained_engine(wildcards):
    return GRID.definition(get_pretrained(wildcards))["engine"]


def get_batch_sizes():
    """All batch sizes of the sweep."""
    return sorted({cell.batch_size for cell in GRID.sweep})


def get_spark_checks():
    """One start of Spark for each set of jars that is needed."""
    sets = {folder.name for cell in GRID.sweep if (folder := GRID.jars(cell))}
    return [f"results/provenance/spark-{name}.json" for name in sorted(sets)]


def get_records(cells):
    """Records of every repeat of these cells, in the order of the configuration: tables and charts follow it."""
    return [
        str(GRID.record(cell, repeat))
        for cell in cells
        for repeat in range(GRID.repeats(cell.dataset))
    ]


def get_choices():
    return [str(GRID.choice(cell)) for cell in GRID.full]


def get_profiles():
    return [str(GRID.profile(cell)) for cell in GRID.profiles()]


def get_profiled(wildcards):
    """The profiles that a source's table of stages is made of."""
    return get_campaign_files(wildcards) if wildcards.source else get_profiles()


def get_records_of_cell(wildcards):
    """All repeats of a full cell, which come before its profile."""
    return get_records([get_cell(wildcards)])


def get_manifests():
    return [str(GRID.manifest(role)) for role in GRID.datasets]


def get_archive(wildcards):
    """Where a source's records, predictions and manifests are read from (`vitbench.records.archive`)."""
    return get_campaign_folder(wildcards) if wildcards.source else "."


def get_measured(wildcards):
    """The records that a source's runs table is made of."""
    if wildcards.source:
        return get_campaign_files(wildcards)
    return get_records(GRID.sweep + GRID.full)


def get_compared(wildcards):
    """What says which image is which, and what it shows: the manifests of a source."""
    return get_campaign_files(wildcards) if wildcards.source else get_manifests()


def get_measured_peak(wildcards):
    """What a source's machine can do at most."""
    return get_campaign_files(wildcards) if wildcards.source else str(GRID.peak)


def get_campaign_folder(wildcards):
    """Folder of a packed campaign: the working directory's own, or that of this checkout."""
    name = wildcards.source.rstrip("/")
    own = os.path.join("resources", name)
    imported = bool(config["records"]) and name == f"campaigns/{IMPORTED}"
    return own if imported or os.path.isdir(own) else checkout("resources", name)


def get_campaign_files(wildcards):
    """The files of a packed campaign, or, of one that this run takes in, the line that says that it did."""
    if config["records"] and wildcards.source == f"campaigns/{IMPORTED}/":
        return f"<results>/campaigns/{IMPORTED}/imported.txt"
    return sorted(
        os.path.join(place, name)
        for place, _, names in os.walk(get_campaign_folder(wildcards))
        for name in names
    )


def get_campaigns():
    """Names of the campaigns of this checkout and of the working directory."""
    places = {
        checkout("resources", "campaigns"),
        os.path.join("resources", "campaigns"),
    }
    return sorted(
        name
        for name in {
            one for place in places if os.path.isdir(place) for one in os.listdir(place)
        }
        if re.fullmatch(CAMPAIGN, f"campaigns/{name}/")
    )


def get_charts(target):
    """The charts of what is measured here that a target asks for."""
    return expand(
        "<reports>/{chart}.{form}",
        chart=[name for name, chart in CHARTS.items() if chart.target == target],
        form=["png", "svg"],
    )


def get_campaign_products(name):
    """Everything that is drawn of a campaign."""
    return expand(
        "<reports>/campaigns/{name}/{chart}.{form}",
        name=name,
        chart=[name for name, chart in CHARTS.items() if not chart.of_sets],
        form=["png", "svg"],
    ) + [
        f"<reports>/campaigns/{name}/{product}"
        for product in ("benchmark.xlsx", "report.html")
    ]


def get_packed(wildcards):
    """What is packed: the configuration and its grid say which records belong to it."""
    if config["campaign"] is None:
        sys.exit(
            "vitbench: pack: give the campaign a name, snakemake pack --config campaign=NAME"
        )
    return {
        "config": "<results>/provenance/config.yaml",
        "grid": "<results>/provenance/grid.json",
    }


def get_imported_state(wildcards):
    """What changes when anything in the folder of the records from elsewhere does; the run ends if there is none."""
    if config["records"] is None:
        sys.exit(
            "vitbench: import: say which records, snakemake import --config records=DIR"
        )
    if not os.path.isdir(RECORDS):
        sys.exit(
            f"vitbench: records: {config['records']} is no folder; name a working directory of a run, or a campaign"
        )
    if not re.fullmatch(CAMPAIGN, f"campaigns/{IMPORTED}/"):
        sys.exit(
            f"vitbench: campaign: {IMPORTED} is no name of letters, digits, hyphens and dots; add campaign=NAME"
        )
    return get_state(RECORDS)


def get_state(folder):
    """What changes when any record, or what says what they are, does in a folder from elsewhere."""
    paths = [
        os.path.join(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if name.endswith((".json", ".jsonl", ".csv", ".yaml"))
    ]
    return digest([[path, os.stat(path).st_mtime_ns] for path in sorted(paths)])


def get_imported_presence(wildcards):
    """Whether the campaign that was imported is still here; before the import the same answer as after it."""
    done = os.path.exists(f"results/campaigns/{IMPORTED}/imported.txt")
    return os.path.isdir(f"resources/campaigns/{IMPORTED}") or not done


def get_all_campaign_products(wildcards):
    """Everything that is drawn of any campaign; where there is none, how to make one."""
    if not get_campaigns() and workflow.is_main_process:
        print(
            "vitbench: there is no campaign in resources/campaigns/: pack one with snakemake pack --config campaign=NAME",
            file=sys.stderr,
        )
    return [
        product for name in get_campaigns() for product in get_campaign_products(name)
    ]


def get_import_products(wildcards):
    """Everything that is drawn of the records that come from elsewhere."""
    get_imported_state(wildcards)
    return get_campaign_products(IMPORTED)


def get_set(side):
    """Folder of the baseline or the candidate of a comparison; the run ends where none was named, or there is none."""
    folder, campaign = config[f"{side}_records"], config[f"{side}_campaign"]
    if (folder is None) == (campaign is None):
        sys.exit(
            "vitbench: compare: say which two sets, snakemake compare --config baseline_records=DIR "
            "candidate_records=DIR, or for either of them baseline_campaign=NAME, candidate_campaign=NAME"
        )
    if campaign:
        own = os.path.join("resources", "campaigns", campaign)
        folder = own if os.path.isdir(own) else checkout(own)
        known = (
            f"there is {', '.join(get_campaigns()) or 'none'} in resources/campaigns/"
        )
    else:
        folder = os.path.expanduser(folder)
        known = "name a working directory of a run, or a campaign"
    if not os.path.isdir(folder):
        sys.exit(
            f"vitbench: {side}_{'campaign' if campaign else 'records'}: {campaign or folder} is no folder of records; "
            f"{known}"
        )
    return folder


def get_sets_state(wildcards):
    """What changes when anything in one of the two sets of a comparison does."""
    return [get_state(get_set(side)) for side in ("baseline", "candidate")]


def get_usable(wildcards):
    """Nothing, of a configuration that can be measured here; otherwise the run ends with the reason."""
    if UNUSABLE:
        sys.exit(UNUSABLE)
    return []


@cache
def announce_once():
    """Say what the run will take, or end it with what stands in its way, before anything costly starts."""
    try:
        announce(GRID)
        check_start(GRID)
    except UserError as error:
        sys.exit(f"vitbench: {error}")


def get_parts(wildcards):
    """Everything that any measurement needs: data sets, models in the form that is loaded, jars.

    Snakemake asks for it only where something is to be prepared or measured; jobs that it starts ask again.
    """
    if workflow.is_main_process:
        announce_once()
    cells = GRID.sweep + GRID.full
    parts = {GRID.model_folder(cell) for cell in cells} | {
        GRID.jars(cell) for cell in cells
    } - {None}
    return get_manifests() + sorted(map(str, parts))


def name_cell(wildcards, batch_size):
    """A cell's name from the wildcards of its records' path; its variant stands there by its slug."""
    return Cell(
        get_role(wildcards),
        wildcards.framework,
        wildcards.variant,
        wildcards.device,
        wildcards.workers,
        batch_size,
    ).name


def get_cell(wildcards):
    """The cell that the path of a record names."""
    return GRID.find(get_role(wildcards), name_cell(wildcards, wildcards.batch_size))


def get_order(wildcards):
    """Priority of a repeat: the seeded order of the grid, what comes first highest."""
    return len(GRID.order) - GRID.order.index(
        (get_cell(wildcards), int(wildcards.repeat))
    )


def get_measured_parts(wildcards):
    """What one repeat needs besides `check_ready`; the run ends where it would be measured on another machine.

    Snakemake knows its executor only when it looks at the jobs.
    """
    if not workflow.local_exec:
        sys.exit(
            "vitbench: an executor that sends jobs to other machines was asked for, maybe by a profile, and measurements "
            "belong to this one: leave it out (--executor local), or run Snakemake over there"
        )
    cell = get_cell(wildcards)
    parts = [GRID.manifest(cell.dataset), GRID.model_folder(cell), GRID.jars(cell)]
    if cell.batch_size == BEST:
        parts.append(GRID.choice(cell))
    return [str(part) for part in parts if part]


def get_tried(wildcards):
    """The cells of the sweep from which the batch size of a full run is chosen, once."""
    return GRID.sweep_of(GRID.find("full", name_cell(wildcards, BEST)))


def get_sweep_of(wildcards):
    """The records of those cells; none where the configuration wants no sweep."""
    return get_records(get_tried(wildcards))


def get_sizes_of(wildcards):
    """The batch sizes of those cells."""
    return [cell.batch_size for cell in get_tried(wildcards)]


def get_published_runs(wildcards):
    """The article's runs, whose ratios stand beside ours."""
    runs = checkout("resources", "published", "runs.csv")
    return {} if wildcards.source else {"published": runs}


def get_page_tables(wildcards):
    """What the page is written of besides the tables that every source has."""
    if wildcards.source == "published/":
        figures = [f"<reports>/published/figures/{figure}.png" for figure in FIGURES]
        return get_sheets(wildcards) | {"pictures": figures}
    more = {
        name: f"<results>/{wildcards.source}{name}.csv"
        for name in ("disagreements", "replication")
    }
    grid = f"<results>/{wildcards.source}provenance/grid.json"
    return get_sheets(wildcards) | get_published_runs(wildcards) | more | {"grid": grid}


def get_templates():
    """The templates of the page, which no import names."""
    folder = os.path.join(HOME, "scripts/vitbench/present/page/templates")
    return [
        checkout("scripts/vitbench/present/page/templates", name)
        for name in sorted(os.listdir(folder))
    ]


def get_sheets(wildcards):
    """Tables of the workbook that only the published numbers have, or only what was measured."""
    if wildcards.source != "published/":
        return {
            name: f"<results>/{wildcards.source}{name}.csv"
            for name in (
                "break_even",
                "stages",
                "physics",
                "effective_batches",
                "time_budget",
                "images",
            )
        }
    return {
        "claims": "<reports>/published/claims.csv",
        "hardware": checkout("resources", "published", "hardware.csv"),
        "repeats": "<results>/published/accidental_repeats.csv",
        "figures": "<reports>/published/figures.csv",
    }


onstart:
    # Snakemake's limit of 100 jobs a second (9.27.1) looks for jobs every second, and with each job that ends once more
    # a second: after 80 measurements that took a tenth of a core beside each of them, and the quiet probes called them suspect.
    workflow.scheduler.job_rate_limiter = None


onerror:
    # After Ctrl-C, too. Whoever did not come to measuring is told nothing: what failed has said why.
    if announce_once.cache_info().currsize:
        GONE = len(missing(GRID))
        print(
            f"vitbench: stopped with {len(GRID.order) - GONE} of {len(GRID.order)} measurements, which stay; "
            + (
                "the same command goes on with the rest"
                if GONE
                else "the same command goes on"
            ),
            file=sys.stderr,
        )


onsuccess:
    # Whoever reads verdicts and then adds blocks has looked more than once (docs/methodology.md, "Statistics").
    if (
        os.path.exists("results/speedup.csv")
        and os.path.getmtime("results/speedup.csv") >= STARTED
    ):
        record(Path(GRID.looks), GRID.repeats("full"), GRID.config["most_repeats"])
    # The lines that the run ends with, if this run wrote them.
    if (
        os.path.exists("results/summary.txt")
        and os.path.getmtime("results/summary.txt") >= STARTED
    ):
        with open("results/summary.txt") as lines:
            print(lines.read(), end="", file=sys.stderr)
