# Campaigns. In: what was measured here, or in a folder that comes from elsewhere (`records`). Out: a packed campaign,
# resources/campaigns/NAME/, in the working directory; from campaigns, its own and this checkout's, tables under
# <results>/campaigns/NAME/ and charts under <reports>/campaigns/NAME/, by the rules that draw live records.
# Measures nothing, and needs no model, jar or image. Cost: seconds. What is packed stays: no rule has it as its output,
# so that no job can delete or overwrite it; the charts are drawn again whenever it or the library changes.


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


if workflow.is_main_process and "campaigns" in sys.argv[1:] and not get_campaigns():
    print(
        "vitbench: there is no campaign in resources/campaigns/: pack one with snakemake pack --config campaign=NAME",
        file=sys.stderr,
    )


def get_campaign_products(name):
    """Everything that is drawn of a campaign."""
    return expand(
        "<reports>/campaigns/{name}/{chart}.{form}",
        name=name,
        chart=[*CHARTS, "replication", "replication_curves"],
        form=["png", "svg"],
    ) + [f"<reports>/campaigns/{name}/benchmark.xlsx"]


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
    paths = [
        os.path.join(place, name)
        for place, _, names in os.walk(RECORDS)
        for name in names
        if name.endswith((".json", ".jsonl", ".csv", ".yaml"))
    ]
    return digest([[path, os.stat(path).st_mtime_ns] for path in sorted(paths)])


def get_import_products(wildcards):
    """Everything that is drawn of the records that come from elsewhere."""
    get_imported_state(wildcards)
    return get_campaign_products(IMPORTED)


rule unpack_campaign:
    input:
        get_campaign_files,
        lib=library(),
    output:
        config="<results>/{source}provenance/config.yaml",
        grid="<results>/{source}provenance/grid.json",
    log:
        "<logs>/{source}unpack_campaign.log",
    wildcard_constraints:
        source=CAMPAIGN,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        archive=get_archive,
    message:
        "reading {wildcards.source}"
    script:
        "../scripts/unpack_campaign.py"


rule pack:
    input:
        unpack(get_packed),
    log:
        "<logs>/pack.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        campaign=config["campaign"],
    message:
        "packing {params.campaign}"
    shell:
        'python "$VITBENCH_HOME"/scripts/pack_campaign.py --campaign {params.campaign:q} 2>&1 | tee {log:q}'


rule import_records:
    output:
        "<results>/campaigns/{campaign}/imported.txt",
    log:
        "<logs>/import_records/{campaign}.log",
    wildcard_constraints:
        campaign=re.escape(IMPORTED),
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        records=RECORDS,
        # Recorded only, so that what was changed there, or is no longer here, is taken in again.
        state=get_imported_state,
        there=os.path.isdir(os.path.join("resources", "campaigns", IMPORTED)),
    message:
        "checking and packing the records of {params.records}"
    shell:
        'python "$VITBENCH_HOME"/scripts/pack_campaign.py --records {params.records:q} --campaign {wildcards.campaign:q}'
        " --report {output:q} 2>&1 | tee {log:q}"


rule import:
    input:
        get_import_products,
    localrule: True


rule campaigns:
    input:
        [get_campaign_products(name) for name in get_campaigns()],
    localrule: True
