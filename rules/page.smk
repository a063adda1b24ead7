# The page. In: the tables of <results>/{source}, of the published numbers their figures too. Out:
# <reports>/{source}report.html, one file that asks for nothing from anywhere, for what is measured here, for the
# published numbers and for packed campaigns alike. Cost: seconds. Written again whenever a table, a template or a module
# that writes it changes. Its first line says what the record checker found, which it asks before.


rule write_page:
    input:
        unpack(get_page_tables),
        runs="<results>/{source}runs.csv",
        summary="<results>/{source}summary.csv",
        best="<results>/{source}best_batch_size.csv",
        parity="<results>/{source}parity.csv",
        speedup="<results>/{source}speedup.csv",
        context="<results>/{source}provenance/context.json",
        templates=get_templates(),
        lib=library("write_page"),
    output:
        "<reports>/{source}report.html",
    log:
        "<logs>/{source}write_page.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "writing the page"
    script:
        "../scripts/write_page.py"


# The checker reads all records, profiles, peak and manifests, so that it comes after these.
rule check_records:
    input:
        get_measured_peak,
        get_compared,
        get_profiled,
        runs="<results>/{source}runs.csv",
        lib=library("write_checks"),
    output:
        "<results>/{source}provenance/checks.json",
    log:
        "<logs>/{source}check_records.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        archive=get_archive,
    message:
        "checking the records"
    script:
        "../scripts/write_checks.py"


rule report:
    input:
        "<reports>/report.html",
    localrule: True
