# Models. In: a definition (resources/models.yaml or `define`). Out, under <resources>/models/<name>-<digest>/: the
# checkpoint, from that one checkpoint the ONNX file and the TensorFlow SavedModel, and what Spark NLP imports of either;
# or what John Snow Labs' hub has ready-made of it. For ONNX Runtime and OpenVINO, the ONNX file as it is, or quantised.
# Cost: a minute or two; downloads Spark NLP's jars (and the small environment that writes SavedModels) once.
# Made again when its definition changes: its path does.


wildcard_constraints:
    export="onnx|tensorflow",
    # A set of jars, as a framework's `needs` names it; natives/ lies beside them.
    set="(?!natives)[a-z0-9-]+",


rule build_checkpoint:
    output:
        directory("<resources>/models/{model}/checkpoint"),
    log:
        "<logs>/build_checkpoint/{model}.log",
    conda:
        "../envs/model.yaml"
    threads: 10_000
    resources:
        machine=SHARED,
    params:
        definition=get_model_definition,
    message:
        "making the checkpoint of {wildcards.model}"
    script:
        "../scripts/build_checkpoint.py"


rule export_onnx:
    input:
        "<resources>/models/{model}/checkpoint",
    output:
        directory("<resources>/models/{model}/onnx"),
    log:
        "<logs>/export_onnx/{model}.log",
    conda:
        "../envs/model.yaml"
    threads: 10_000
    resources:
        machine=SHARED,
    message:
        "exporting {wildcards.model} to ONNX"
    script:
        "../scripts/export_onnx.py"


rule prepare_onnxruntime:
    input:
        checkpoint="<resources>/models/{model}/checkpoint",
        export="<resources>/models/{model}/onnx",
    output:
        directory("<resources>/models/{model}/onnxruntime-{weights}"),
    log:
        "<logs>/prepare_onnxruntime/{model}.{weights}.log",
    wildcard_constraints:
        weights="float32|dynamic|static",
    conda:
        "../envs/model.yaml"
    threads: 10_000
    resources:
        machine=SHARED,
    message:
        "preparing {wildcards.model} for ONNX Runtime ({wildcards.weights})"
    script:
        "../scripts/prepare_onnxruntime.py"


# uv gets the folder by --target. It would otherwise ask the environment's Python, and if somebody removes the
# environment meanwhile, that names the user's own folder.
rule install_tensorflow:
    input:
        checkout("envs", "tensorflow-export.txt"),
    output:
        directory("<resources>/environments/tensorflow-export"),
    log:
        "<logs>/install_tensorflow.log",
    conda:
        "../envs/model.yaml"
    resources:
        machine=SHARED,
    message:
        "installing the environment that writes SavedModels"
    shell:
        '{{ uv venv --quiet --clear --python "$(command -v python)" {output:q}'
        " && uv pip sync --quiet --require-hashes --python {output:q}/bin/python"
        " --target {output:q}/lib/python3.11/site-packages {input:q}"
        ' || {{ echo "vitbench: the packages of envs/tensorflow-export.txt cannot be installed, see above:'
        " check network and proxy,"
        " set UV_DEFAULT_INDEX to a mirror, or put their wheels into a folder and set UV_FIND_LINKS to it"
        '" >&2; false; }}; }} > {log:q} 2>&1'


# What the environment has not, for the variants that need it; nothing of it is fetched for others.
rule install_packages:
    input:
        get_packages_lock,
    output:
        directory("<resources>/environments/{packages}"),
    log:
        "<logs>/install_packages/{packages}.log",
    wildcard_constraints:
        packages="(?!tensorflow-export)[a-z0-9-]+",
    conda:
        "../envs/model.yaml"
    resources:
        machine=SHARED,
    message:
        "installing {wildcards.packages} beside the environment"
    script:
        "../scripts/install_packages.py"


rule export_tensorflow:
    input:
        checkpoint="<resources>/models/{model}/checkpoint",
        environment="<resources>/environments/tensorflow-export",
    output:
        directory("<resources>/models/{model}/tensorflow"),
    log:
        "<logs>/export_tensorflow/{model}.log",
    conda:
        "../envs/model.yaml"
    threads: 10_000
    resources:
        machine=SHARED,
    message:
        "exporting {wildcards.model} to a TensorFlow SavedModel"
    shell:
        '{input.environment:q}/bin/python "$VITBENCH_HOME"/scripts/export_tensorflow.py'
        " --checkpoint {input.checkpoint:q} --out {output:q} > {log:q} 2>&1"


rule check_logits:
    input:
        checkpoint="<resources>/models/{model}/checkpoint",
        exports=expand("<resources>/models/{{model}}/{export}", export=GRID.exports()),
    output:
        "<resources>/models/{model}/logits.json",
    log:
        "<logs>/check_logits/{model}.log",
    conda:
        "../envs/model.yaml"
    threads: 10_000
    resources:
        machine=SHARED,
    message:
        "comparing the logits of {wildcards.model} in every form that it was exported to"
    script:
        "../scripts/check_logits.py"


# The same of one form, for whoever labels with it and needs no other.
rule check_export:
    input:
        checkpoint="<resources>/models/{model}/checkpoint",
        exports=["<resources>/models/{model}/{export}"],
    output:
        "<resources>/models/{model}/logits-{export}.json",
    log:
        "<logs>/check_export/{model}.{export}.log",
    conda:
        "../envs/model.yaml"
    threads: 10_000
    resources:
        machine=SHARED,
    message:
        "comparing the logits of {wildcards.model}, exported to {wildcards.export}"
    script:
        "../scripts/check_logits.py"


rule fetch_jars:
    input:
        get_jar_lock,
    output:
        directory("<resources>/jars/{set}"),
    log:
        "<logs>/fetch_jars/{set}.log",
    conda:
        "../envs/sparknlp.yaml"
    resources:
        machine=SHARED,
    message:
        "fetching the jars of Spark NLP for {wildcards.set}"
    script:
        "../scripts/fetch_jars.py"


rule import_annotator:
    input:
        source="<resources>/models/{model}/{export}",
        jars="<resources>/jars/{export}-cpu",
    output:
        directory("<resources>/models/{model}/sparknlp-{export}"),
    log:
        "<logs>/import_annotator/{model}.{export}.log",
    conda:
        "../envs/sparknlp.yaml"
    threads: 10_000
    resources:
        machine=SHARED,
    message:
        "importing {wildcards.model} into Spark NLP ({wildcards.export})"
    script:
        "../scripts/import_annotator.py"


rule import_quantised:
    input:
        source="<resources>/models/{model}/onnxruntime-{weights}",
        export="<resources>/models/{model}/onnx",
        jars="<resources>/jars/onnx-cpu",
    output:
        directory("<resources>/models/{model}/sparknlp-onnx-{weights}"),
    log:
        "<logs>/import_quantised/{model}.{weights}.log",
    wildcard_constraints:
        weights="dynamic|static",
    conda:
        "../envs/sparknlp.yaml"
    threads: 10_000
    resources:
        machine=SHARED,
    message:
        "importing {wildcards.model} into Spark NLP, quantised ({wildcards.weights})"
    script:
        "../scripts/import_annotator.py"


rule fetch_pretrained:
    input:
        jars=get_pretrained_jars,
    output:
        directory("<resources>/models/{model}/sparknlp-pretrained-{name}"),
    log:
        "<logs>/fetch_pretrained/{model}.{name}.log",
    wildcard_constraints:
        name="[a-z0-9_]+",
    conda:
        "../envs/sparknlp.yaml"
    threads: 10_000
    resources:
        machine=SHARED,
    params:
        engine=get_pretrained_engine,
    message:
        "downloading {wildcards.name} from John Snow Labs' hub"
    script:
        "../scripts/fetch_pretrained.py"


# Spark is started once, in about ten seconds: what would fail in each measurement that Spark makes fails here.
rule check_spark:
    input:
        get_checked_jars,
    output:
        "<results>/provenance/spark-{set}.json",
    log:
        "<logs>/check_spark/{set}.log",
    conda:
        "../envs/sparknlp.yaml"
    threads: 10_000
    resources:
        machine=SHARED,
    params:
        # The check is made again for another Java.
        java_home=os.environ.get("JAVA_HOME", ""),
        # Without jars, Spark runs Python alone.
        spark=lambda wildcards: to_check(GRID.config, wildcards.set != PYTHON),
    message:
        "starting Spark once ({wildcards.set})"
    script:
        "../scripts/check_spark.py"
