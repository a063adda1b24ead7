"""The article's Spark NLP notebook as a plain script: FOLDER MODEL BATCH_SIZE PASSES JARS; seconds of each pass."""

import sys
import time
from pathlib import Path

from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

folder, model, batch_size, passes, jars = (
    sys.argv[1],
    sys.argv[2],
    int(sys.argv[3]),
    int(sys.argv[4]),
    Path(sys.argv[5]),
)
protobuf = str(next(jars.glob("protobuf-java-3*.jar")))
spark = (
    SparkSession.builder.master("local[*]")
    .config("spark.driver.memory", "12g")
    .config("spark.jars", ",".join(str(path) for path in jars.glob("*.jar")))
    .config("spark.driver.extraClassPath", protobuf)
    .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
    .config("spark.kryoserializer.buffer.max", "2000M")
    .getOrCreate()
)
from sparknlp.annotator import ViTForImageClassification  # noqa: E402
from sparknlp.base import ImageAssembler  # noqa: E402

assembler = ImageAssembler().setInputCol("image").setOutputCol("image_assembler")
classifier = ViTForImageClassification.load(model).setInputCols(["image_assembler"]).setOutputCol("class")
pipeline = PipelineModel([assembler, classifier.setBatchSize(batch_size)])
for _ in range(passes):
    begin = time.perf_counter()
    images = spark.read.format("image").option("dropInvalid", True).load(folder)
    answers = pipeline.transform(images).select("image.origin", "class.result").collect()
    print(time.perf_counter() - begin, len(answers))
spark.stop()
