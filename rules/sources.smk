# What the rules that tabulate and draw take: functions `get_*` of a source, which is what is measured here, the published
# numbers, a packed campaign, or two sets of records.


def get_archive(wildcards):
    """Where a source's records, predictions and manifests are read from (`vitbench.records.archive`)."""
    return get_campaign_folder(wildcards) if wildcards.source else "."


def get_measured(wildcards):
    """The records that a source's runs table is made of."""
    if wildcards.source:
        return get_campaign_files(wildcards)
    return get_records(GRID.cells)


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
            one
            for place in places
            if os.path.isdir(place)
            for one in os.listdir(place)
            if os.path.isdir(os.path.join(place, one))
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


def get_prices():
    """What an hour of a machine costs: the working directory's own table, or that of this checkout."""
    own = os.path.join("resources", "prices.tsv")
    return own if os.path.exists(own) else checkout(own)


def get_planned_images(wildcards):
    """Images of the job that is planned; the run ends where `images` names something else than how many."""
    images = config["images"] or projection.IMAGES
    if not isinstance(images, int):
        sys.exit(
            f"vitbench: images: {images} is no number; say how many, snakemake plan --config images=40000000 deadline_hours=48"
        )
    return images


def get_deadline(wildcards):
    """Hours until which they are to be done."""
    return config["deadline_hours"] or projection.DEADLINE


def get_plan(wildcards):
    """The plan of a job, by what is measured here or by the campaign that is named; the run ends if there is none."""
    name = config["campaign"]
    if name and name not in get_campaigns():
        sys.exit(
            f"vitbench: campaign: there is no {name} to plan by; there is {', '.join(get_campaigns()) or 'none'} in "
            "resources/campaigns/"
        )
    source = f"campaigns/{name}/" if name else ""
    return [f"<reports>/{source}plan.{form}" for form in ("md", "png", "svg")]


def get_size_charts():
    """The charts of the data sets of several sizes; none where the configuration names none."""
    return get_charts("sizes") if GRID.sizes else []


def get_campaign_products(name):
    """Everything that is drawn of a campaign."""
    return expand(
        "<reports>/campaigns/{name}/{chart}.{form}",
        name=name,
        chart=[name for name, chart in CHARTS.items() if not chart.of_sets],
        form=["png", "svg"],
    ) + [
        f"<reports>/campaigns/{name}/{product}"
        for product in ("benchmark.xlsx", "report.html", "analysis.html", "advice.md")
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


# Folders of a working directory that hold what is made of records.
DERIVED = ("results", "reports", "logs")


def get_state(folder):
    """What changes when any record, or what says what they are, does in a folder from elsewhere.

    Of a working directory that is not what is made of them there: a comparison with `.` would change it itself.
    """
    paths = [
        os.path.join(folder, "results", "provenance", name)
        for name in ("config.yaml", "grid.json")
    ]
    for place, below, names in os.walk(folder):
        made = DERIVED if place == folder else ()
        # A repeat that is being measured has hidden folders.
        below[:] = [
            name for name in below if not name.startswith(".") and name not in made
        ]
        paths += [
            os.path.join(place, name)
            for name in names
            if name.endswith((".json", ".jsonl", ".csv", ".yaml"))
        ]
    return digest(
        [
            [path, os.stat(path).st_mtime_ns]
            for path in sorted(paths)
            if os.path.exists(path)
        ]
    )


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


def get_published_data():
    """The tables of the series as it was published."""
    names = ("runs", "claims", "partitions", "hardware")
    tables = [checkout("resources", "published", f"{name}.csv") for name in names]
    more = ("figures.yaml", "series.yaml")
    return tables + [checkout("resources", "published", name) for name in more]


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
        for name in (*MEASURED_ALONE, "disagreements", "replication", "slowest_stage")
    }
    more |= {
        name: f"<results>/{wildcards.source}provenance/{name}.json"
        for name in ("grid", "checks")
    }
    return get_sheets(wildcards) | get_published_runs(wildcards) | more


# Tables that page and workbook take of what was measured, and that the published numbers have not.
MEASURED_ALONE = ("data_set_sizes", "total_time", "scaling", "scaling_fits", "cost")


def get_templates():
    """The templates of the page, which no import names."""
    folder = os.path.join(HOME, "scripts/vitbench/present/page/templates")
    return [
        checkout("scripts/vitbench/present/page/templates", name)
        for name in sorted(os.listdir(folder))
    ]


def get_workbook_tables(wildcards):
    """What the workbook is written of besides the tables that every source has."""
    names = ("disagreements", "replication", "replication_curves", "sustained")
    names += MEASURED_ALONE
    more = {name: f"<results>/{wildcards.source}{name}.csv" for name in names}
    return get_sheets(wildcards) | ({} if wildcards.source == "published/" else more)


def get_sheets(wildcards):
    """Tables of workbook and page that only the published numbers have, or only what was measured."""
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
