# Campaigns. In: what was measured here, or in a folder that comes from elsewhere (`records`). Out: a packed campaign,
# resources/campaigns/NAME/, in the working directory; from campaigns, its own and this checkout's, tables under
# <results>/campaigns/NAME/ and charts under <reports>/campaigns/NAME/, by the rules that draw live records.
# Measures nothing, and needs no model, jar or image. Cost: seconds. What is packed stays: no rule has it as its output,
# so that no job can delete or overwrite it; the charts are drawn again whenever it, or a module
# that draws them, changes.


rule unpack_campaign:
    input:
        get_campaign_files,
        lib=library("unpack_campaign"),
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
        # No command reads these two. Snakemake keeps them, and imports again when one of them is another.
        state=get_imported_state,
        there=get_imported_presence,
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
        get_all_campaign_products,
    localrule: True
