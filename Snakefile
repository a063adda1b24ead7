# vitbench: Vision Transformer image classification with Hugging Face and Spark NLP, measured and compared.
# The stages follow each other as the includes do; each rule file opens with what it takes, makes and costs.
from snakemake.utils import min_version

min_version("9.27")


configfile: workflow.source_path("config/config.yaml")


report: "reports/captions/workflow.rst"


include: "rules/checkout.smk"
include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/sources.smk"
include: "rules/dataset.smk"
include: "rules/model.smk"
include: "rules/measure.smk"
include: "rules/analyse.smk"
include: "rules/profile.smk"
include: "rules/figures.smk"
include: "rules/advice.smk"
include: "rules/workbook.smk"
include: "rules/notebook.smk"
include: "rules/published.smk"
include: "rules/replication.smk"
include: "rules/scaling.smk"
include: "rules/campaigns.smk"
include: "rules/page.smk"
include: "rules/compare.smk"
include: "rules/classify.smk"


rule all:
    default_target: True
    input:
        rules.figures.input,
        rules.workbook.input,
        rules.notebook.input,
        rules.report.input,
        # Named here, since Snakemake makes no missing file again that only stands between others that are up to date.
        str(GRID.peak),
        get_records(GRID.cells),
        get_profiles(),
        get_size_charts(),
        "<results>/stages.csv",
        "<results>/physics.csv",
        "<results>/summary.txt",
    localrule: True


rule prepare:
    input:
        "<results>/provenance/ready.json",
    localrule: True


rule sweep:
    input:
        str(GRID.peak),
        get_records(GRID.sweep),
    localrule: True


rule full:
    input:
        str(GRID.peak),
        get_records(GRID.full),
    localrule: True
