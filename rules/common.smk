# Common ground of all rules: the checked configuration, the grid, the machine's lock, and what is said at begin and end.
# Nothing here is heavy: a bare Snakemake without torch, pyspark or Java parses it.
import importlib.util
import os
import re
import shutil
import sys
import time
from functools import cache
from pathlib import Path


from vitbench import environment
from vitbench.cells import BEST, Cell
from vitbench.classify.choice import choose_for
from vitbench.errors import UserError
from vitbench.files import digest
from vitbench.inputs.object_store import LOCK, check_url, is_url
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
from vitbench.plan.patterns import missing_only
from vitbench.plan.readiness import check_writable
from vitbench.plan.workers import to_check
from vitbench.present import projection
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
    GRID = Grid.with_all_seen(resolve(config))
except UserError as error:
    UNUSABLE = f"vitbench: {error}"
    GRID = Grid(resolve(fallback()))


def prepare_process():
    """What this workflow changes of the process that runs it, each with its reason. Elsewhere: the path of its library
    (checkout.smk), the user's own variables (`environment.adopt`), and Snakemake's limit of jobs a second (`onstart`).
    """
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


onstart:
    # Snakemake's limit of 100 jobs a second (9.27.1) looks for jobs every second, and with each job that ends once more
    # a second: after 80 measurements that took a tenth of a core beside each of them, and the quiet probes called them suspect.
    workflow.scheduler.job_rate_limiter = None


def note_look():
    """Note that verdicts could be read, if this run derived any, however it ended.

    Whoever reads verdicts and then adds blocks has looked more than once (docs/methodology.md, "Statistics").
    """
    if (
        os.path.exists("results/speedup.csv")
        and os.path.getmtime("results/speedup.csv") >= STARTED
    ):
        record(Path(GRID.looks), GRID.repeats("full"), GRID.config["most_repeats"])


onerror:
    note_look()
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
    note_look()
    # The lines that the run ends with, if this run wrote them.
    if (
        os.path.exists("results/summary.txt")
        and os.path.getmtime("results/summary.txt") >= STARTED
    ):
        with open("results/summary.txt") as lines:
            print(lines.read(), end="", file=sys.stderr)
