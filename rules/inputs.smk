# What the rules that prepare and measure take: functions `get_*` of the grid (rules/common.smk).


def get_dataset(wildcards):
    """What cells call the data set whose slug is in the path."""
    return next(
        name for name, one in GRID.datasets.items() if one.slug == wildcards.dataset
    )


def get_dataset_definition(wildcards):
    return GRID.datasets[get_dataset(wildcards)].definition


def get_model_definition(wildcards):
    return GRID.model.definition


def get_jar_lock(wildcards):
    return checkout("envs", "jars", wildcards.set, "jgo.lock.toml")


def get_packages_lock(wildcards):
    return checkout("envs", f"{wildcards.packages}.txt")


def is_classifying():
    """Whether images to be labelled were named."""
    return isinstance(config["images"], str)


@cache
def get_chosen():
    """What `classify` labels with (vitbench.classify.choice); the run ends with the reason where it cannot."""
    if UNUSABLE:
        sys.exit(UNUSABLE)
    if not is_classifying():
        sys.exit(
            "vitbench: images: name a folder, a list, a Parquet file or the URL of a store: snakemake classify --config "
            "images=PATH"
        )
    try:
        images = config["images"]
        if is_url(images):
            check_url(images)
        # A Snakemake without the locked environment has no reader of Parquet: there the job says it, after the model.
        elif importlib.util.find_spec("duckdb"):
            from vitbench.classify.listing import kind_of

            kind_of(os.path.abspath(os.path.expanduser(images)))
        out = Path(get_out())
        return choose_for(GRID.config, out, config["variant"], config["batch_size"])
    except UserError as error:
        sys.exit(f"vitbench: {error}")


def get_out():
    """Folder of the job of `classify`."""
    return os.path.expanduser(config["out"] or "classified")


def get_grids():
    """The grid that is measured, and then the one of what labels, where images to be labelled were named.

    Nobody who only measures gets as far as that one, and is told what is wrong with these images.
    """
    yield GRID
    if is_classifying():
        yield get_chosen().grid


def get_pretrained(wildcards):
    """The grid and cell whose variant finds its model under this name in John Snow Labs' hub."""
    return next(
        (grid, cell)
        for grid in get_grids()
        for cell in grid.cells
        if grid.definition(cell).get("pretrained") == wildcards.name
    )


def get_pretrained_jars(wildcards):
    grid, cell = get_pretrained(wildcards)
    return str(grid.jars(cell))


def get_pretrained_engine(wildcards):
    grid, cell = get_pretrained(wildcards)
    return grid.definition(cell)["engine"]


def get_batch_sizes():
    """All batch sizes of the sweep."""
    return sorted({cell.batch_size for cell in GRID.sweep})


# What stands in the place of a set of jars where Spark is started without one.
PYTHON = "python"


def get_checked_jars(wildcards):
    """The jars that Spark is started with; none where its tasks run Python alone."""
    if wildcards.set == PYTHON:
        return []
    for grid in get_grids():
        folders = {grid.jars(cell) for cell in grid.sweep} - {None}
        if named := [str(one) for one in folders if one.name == wildcards.set]:
            return named
    return []


def get_spark_checks():
    """One start of Spark for each set of jars that is needed, and one for tasks that run Python alone."""
    needs = [GRID.needs(cell) for cell in GRID.sweep]
    sets = {one.jars or PYTHON for one in needs if one.spark}
    return [f"results/provenance/spark-{name}.json" for name in sorted(sets)]


def get_records(cells):
    """Records of every repeat of these cells, in the order of the configuration: tables and charts follow it."""
    return [
        str(GRID.record(cell, repeat))
        for cell in cells
        for repeat in range(GRID.repeats(cell.dataset))
    ]


def get_choices():
    return list(dict.fromkeys(str(GRID.choice(cell)) for cell in GRID.full))


def get_profiles():
    return [str(GRID.profile(cell)) for cell in GRID.profiles()]


def get_profiled(wildcards):
    """The profiles that a source's table of stages is made of."""
    return get_campaign_files(wildcards) if wildcards.source else get_profiles()


def get_records_of_cell(wildcards):
    """All repeats of a full cell, which come before its profile."""
    return get_records([get_cell(wildcards)])


def get_manifests():
    return [str(GRID.manifest(dataset)) for dataset in GRID.datasets]


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


def get_made():
    """Everything that any measurement needs: data sets, models in the form that is loaded, jars, packages."""
    parts = {
        part
        for cell in GRID.cells
        for part in (GRID.model_folder(cell), GRID.jars(cell), GRID.packages(cell))
        if part
    }
    return get_manifests() + sorted(map(str, parts))


def get_parts(wildcards):
    """What is made for measurements, and a line that says how long all of it takes.

    Snakemake asks for it only where something is to be prepared or measured; jobs that it starts ask again.
    """
    if workflow.is_main_process:
        announce_once()
    return get_made()


def name_cell(wildcards, batch_size):
    """A cell's name from the wildcards of its records' path; its variant stands there by its slug."""
    return Cell(
        get_dataset(wildcards),
        wildcards.framework,
        wildcards.variant,
        wildcards.device,
        wildcards.workers,
        batch_size,
    ).name


def get_cell(wildcards):
    """The cell that the path of a record names."""
    return GRID.find(get_dataset(wildcards), name_cell(wildcards, wildcards.batch_size))


def get_order(wildcards):
    """Priority of a repeat: the seeded order of the grid, what comes first highest."""
    return len(GRID.order) - GRID.places[get_cell(wildcards), int(wildcards.repeat)]


# Executors that send jobs to other machines of which a job may have one to itself. The second runs on that machine.
WHOLE_NODES = ("slurm", "slurm-jobstep")


def check_executor():
    """End the run where measurements would go to machines of which nobody knows what they are, or who else works there.

    On the machine itself, `check_ready` and each measurement look once more (vitbench.plan.readiness.check_here).
    """
    if workflow.local_exec:
        return
    if (name := workflow.executor_plugin.name) not in WHOLE_NODES:
        sys.exit(
            f"vitbench: the executor {name} was asked for, maybe by a profile: it sends jobs to other machines, and of "
            "those only Slurm's is known to give a measurement one of its own: leave it out (--executor local), or run "
            "Snakemake over there"
        )
    if config["machine"] == "auto":
        sys.exit(
            "vitbench: machine: auto is the machine that Snakemake runs on, and Slurm measures on another: set "
            "`machine` to that one's id (docs/slurm.md says how to ask for it)"
        )


def get_measured_parts(wildcards):
    """What one repeat needs besides `check_ready`; the run ends where nobody could vouch for the machine.

    Snakemake knows its executor only when it looks at the jobs.
    """
    check_executor()
    cell = get_cell(wildcards)
    parts = [GRID.manifest(cell.dataset), GRID.model_folder(cell)]
    parts += [GRID.jars(cell), GRID.packages(cell)]
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


def get_classified(wildcards):
    """What labelling needs besides the images: the model as the variant loads it, its logits checked, jars, packages,
    those that read an object store, and Spark started once.
    """
    chosen = get_chosen()
    grid, needs = chosen.grid, chosen.grid.needs(chosen.cell)
    parts = [
        grid.model_folder(chosen.cell),
        grid.jars(chosen.cell),
        grid.packages(chosen.cell),
    ]
    found = {"parts": [str(part) for part in parts if part]}
    if is_url(config["images"]):
        found["reader"] = f"resources/environments/{LOCK}"
    if needs.export:
        folder = f"resources/models/{grid.model.slug}"
        found["logits"] = f"{folder}/logits-{needs.export}.json"
    if needs.spark:
        found["spark"] = f"results/provenance/spark-{needs.jars or PYTHON}.json"
    return found


def get_classify_options(wildcards):
    """The options of classify_images.py; what labels was chosen here, where records can be read."""
    chosen = get_chosen()
    keys = ("images", "most_refused", "part_images")
    options = {key: config[key] for key in keys if config[key] is not None}
    options |= {"out": get_out(), "variant": chosen.variant, "why": chosen.why}
    options |= {"device": chosen.cell.device, "batch-size": chosen.cell.batch_size}
    return [
        word
        for key, value in options.items()
        for word in (f"--{key.replace('_', '-')}", str(value))
    ]
