"""The settings of a variant as a program of one's own: see `Framework.snippet`."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks.declaration import Setting, as_a_program

PROGRAM = """\
import os

from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession
from sparknlp.annotator import ViTForImageClassification
from sparknlp.base import ImageAssembler

# The jars of Spark NLP and of its engine ({jars}), with commas between them.
JARS = "path/to/spark-nlp.jar,path/to/engine.jar"
IMAGES, BATCH_SIZE = "path/to/images", {batch_size}
{model}{onednn}
spark = (
    SparkSession.builder.master("local[{slots}]")
    .config("spark.jars", JARS)
    .config("spark.driver.memory", "8g")
    .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
    .config("spark.kryoserializer.buffer.max", "2000M")
{settings}    .getOrCreate()
)
assembler = ImageAssembler().setInputCol("image").setOutputCol("image_assembler")
classifier = (
    {loaded}
    .setInputCols(["image_assembler"])
    .setOutputCol("class")
    .setBatchSize(BATCH_SIZE)
)
images = spark.read.format("image").option("dropInvalid", True).load(IMAGES)
answers = PipelineModel([assembler, classifier]).transform(images).select("image.origin", "class.result")
for path, labels in answers.collect():
    print(path, *labels, sep="\\t")
spark.stop()
"""

TENSORFLOW = """\
# TensorFlow's own jars (tensorflow-core-api) need this one before Spark's; with John Snow Labs' leave it out.
PROTOBUF = "path/to/protobuf-java-3.19.4.jar"
# Read by TensorFlow when the virtual machine starts.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "{switch}"
"""
POOLS = """\
os.environ["TF_NUM_INTRAOP_THREADS"] = "{threads}"
os.environ["TF_NUM_INTEROP_THREADS"] = "{slots}"
"""
QUANTISED = """\
# loadSavedModel(...) of your model's ONNX graph with MatMul and Gemm in int8, their weights by channel
# (onnxruntime.quantization.quantize_dynamic or quantize_static), saved
ANNOTATOR = "path/to/annotator"
"""
PLAIN = 'ANNOTATOR = "path/to/annotator"  # loadSavedModel(...) of your model, saved\n'


def snippet(definition: dict[str, Any], setting: Setting) -> str | None:
    """A program that classifies a folder as this variant does: see `Framework.snippet`."""
    if not as_a_program(definition):
        return None
    engine, pretrained = definition["engine"], definition.get("pretrained")
    threads = definition.get(f"{engine}_threads")
    slots = max(1, setting.cores // threads) if threads else "*"
    settings = {"spark.jsl.settings.onnx.intraOpNumThreads": f'"{threads}"'} if threads and engine == "onnx" else {}
    settings |= {"spark.driver.extraClassPath": "PROTOBUF"} if engine == "tensorflow" else {}
    variables = TENSORFLOW.format(switch=int(definition.get("onednn", False))) if engine == "tensorflow" else ""
    variables += POOLS.format(threads=threads, slots=slots) if threads and engine == "tensorflow" else ""
    text = PROGRAM.format(
        jars=f"{engine}, {setting.device}",
        batch_size=setting.batch_size,
        model="" if pretrained else QUANTISED if "quantization" in definition else PLAIN,
        onednn=variables,
        slots=slots,
        settings="".join(f'    .config("{key}", {value})\n' for key, value in settings.items()),
        loaded=f"ViTForImageClassification.pretrained({pretrained!r})"
        if pretrained
        else "ViTForImageClassification.load(ANNOTATOR)",
    )
    return text if engine == "tensorflow" else text.removeprefix("import os\n\n")
