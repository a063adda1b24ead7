# Scaling, cost and the plan of a job. In: the tables of <results>/{source}, live or of a campaign, resources/published/
# and resources/prices.tsv, that of the working directory before this checkout's. Out: <results>/{source}scaling.csv and
# scaling_fits.csv (what more workers bring, the published curves by the same code), cost.csv (hours and money for a
# million images), and by the target `plan` plan.csv and <reports>/{source}plan.md with its chart (how many machines
# finish so many images in time). Measures nothing itself; the targets `scaling` and `plan` ask for the live records, so
# what is missing of them is measured first, unless `campaign` names others for the plan. Cost: seconds. Made again
# whenever a table, a price, or a module that makes them, changes.


rule tabulate_scaling:
    input:
        published=get_published_data(),
        runs="<results>/{source}runs.csv",
        physics="<results>/{source}physics.csv",
        lib=library("tabulate_scaling"),
    output:
        table="<results>/{source}scaling.csv",
        fits="<results>/{source}scaling_fits.csv",
    log:
        "<logs>/{source}tabulate_scaling.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "tabulating what more workers bring"
    script:
        "../scripts/tabulate_scaling.py"


rule tabulate_cost:
    input:
        published=get_published_data(),
        runs="<results>/{source}runs.csv",
        parity="<results>/{source}parity.csv",
        physics="<results>/{source}physics.csv",
        total_time="<results>/{source}total_time.csv",
        prices=get_prices(),
        lib=library("tabulate_cost"),
    output:
        "<results>/{source}cost.csv",
    log:
        "<logs>/{source}tabulate_cost.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "tabulating hours and money"
    script:
        "../scripts/tabulate_cost.py"


rule tabulate_plan:
    input:
        runs="<results>/{source}runs.csv",
        parity="<results>/{source}parity.csv",
        physics="<results>/{source}physics.csv",
        total_time="<results>/{source}total_time.csv",
        prices=get_prices(),
        lib=library("tabulate_plan"),
    output:
        "<results>/{source}plan.csv",
    log:
        "<logs>/{source}tabulate_plan.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        images=get_planned_images,
        deadline=get_deadline,
    message:
        "planning {params.images} images in {params.deadline} hours"
    script:
        "../scripts/tabulate_plan.py"


rule write_plan:
    input:
        plan="<results>/{source}plan.csv",
        scaling="<results>/{source}scaling.csv",
        context="<results>/{source}provenance/context.json",
        lib=library("write_plan"),
    output:
        "<reports>/{source}plan.md",
    log:
        "<logs>/{source}write_plan.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "writing the plan"
    script:
        "../scripts/write_plan.py"


rule scaling:
    input:
        get_charts("scaling"),
    localrule: True


rule plan:
    input:
        get_plan,
    localrule: True
