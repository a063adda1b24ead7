"""Spark NLP: images read by Spark, ImageAssembler, ViTForImageClassification, as the article runs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from vitbench import machine
from vitbench.frameworks import Prediction, Task
from vitbench.frameworks.cluster import Cluster, Executors
from vitbench.frameworks.declaration import COLLECT, PARQUET
from vitbench.frameworks.inside_spark import InsideSpark
from vitbench.frameworks.spark import (
    ONEDNN,
    batches_of,
    driver_outlives,
    engine_environment,
    rows_of_partitions,
    start_session,
    virtual_machine,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Adapter(InsideSpark):
    def __init__(self, task: Task) -> None:
        self.task = task
        self.engine = task.variant["engine"]
        self.sink = task.variant.get("sink", COLLECT)
        self.answers = str(Path(task.temporary) / "answers")
        self.threads = task.variant.get(f"{self.engine}_threads")
        cluster = Cluster.of(task)
        # What the engine takes beyond a core is Spark NLP's default, and no matter of Spark's, here as on one node.
        self.executors = Executors(cluster, min(self.threads or 1, cluster.cores)) if cluster else None
        cores = cluster.cores if cluster else task.threads
        # Tasks that the node, or an executor, runs at a time; None: one a core.
        self.at_a_time = max(1, cores // self.threads) if self.threads else None
        # The article's own words where it may use all cores.
        some = task.threads if task.threads < machine.cores() else None
        self.local = f"local[{self.at_a_time or some or '*'}]"
        self.place = cluster.words if cluster else self.local
        self._name_files()

    def _name_files(self) -> None:
        # Spark reports where an image came from, not which image it is.
        self.id_of_file = {Path(path).name: image for image, path in self.task.images}

    def start(self) -> None:
        settings, onednn = {}, self.task.variant.get("onednn", False)
        if self.threads and self.engine == "onnx":
            settings["spark.jsl.settings.onnx.intraOpNumThreads"] = str(self.threads)
        self.spark = start_session(
            [Path(jar) for jar in self.task.jars],
            Path(self.task.temporary),
            self.local,
            Path(self.task.natives),
            settings | self.task.spark.get("settings", {}),
            engine=engine_environment(self.engine, onednn, self.threads, self.at_a_time),
            executors=self.executors,
        )

    def load(self) -> None:
        from pyspark.ml import PipelineModel
        from sparknlp.annotator import ViTForImageClassification
        from sparknlp.base import ImageAssembler

        # Spark NLP takes no absolute path with a blank in it; the process works in its temporary folder.
        Path("annotator").symlink_to(self.task.model)
        assembler = ImageAssembler().setInputCol("image").setOutputCol("image_assembler")
        classifier = (
            ViTForImageClassification.load("annotator")
            .setInputCols(["image_assembler"])
            .setOutputCol("class")
            .setBatchSize(self.task.batch_size)
        )
        # Both stages are ready to transform; fitting a Pipeline would only copy them.
        self.pipeline = PipelineModel([assembler, classifier])

    def give(self, images: list[tuple[str, str]], folder: str, contents: str | None = None) -> None:
        super().give(images, folder, contents)
        self._name_files()

    def images(self, where: list[str] | None = None) -> DataFrame:
        """The images in these files; None: the task's."""
        return self.spark.read.format("image").option("dropInvalid", True).load(where or self.task.images_folder)

    def run(self, where: list[str] | None = None) -> list[Any]:
        """One pass over `images(where)`.

        Returns:
            Rows of origin, labels and metadata; none where the answers are written to the folder `answers` instead.
        """
        answers = self.pipeline.transform(self.images(where))
        with driver_outlives(self.spark):
            if self.sink == COLLECT:
                return answers.select("image.origin", "class.result", "class.metadata").collect()
            from pyspark.sql.functions import col, explode, expr

            # As `classify` finds it.
            score = expr("answer.metadata[concat('Some(', answer.result, ')')]").cast("double").alias("score")
            each = answers.select(col("image.origin").alias("id"), explode("class").alias("answer"))
            each.select("id", col("answer.result").alias("label"), score).write.parquet(self.answers)
            return []

    def short_pass(self) -> int:
        few = [path for _, path in self.task.images[: self._slots()]]
        self.run(few)
        self.forget()
        return len(few)

    def classify(self) -> Iterator[Prediction]:
        for origin, labels, metadata in self.run():
            image = self._id_of(origin)
            for label, scores in zip(labels, metadata, strict=True):
                # The annotation carries the scores of ten labels at most, under a Scala Option's name for them.
                score = scores.get(f"Some({label})")
                yield Prediction(image, label, None if score is None else float(score))

    def written(self) -> Iterator[Prediction]:
        if self.sink == PARQUET:
            for origin, label, score in self.read_back():
                yield Prediction(self._id_of(origin), label, score)

    def _id_of(self, origin: str) -> str:
        """The image whose file's address Spark reports; the address itself where it is none of ours."""
        return self.id_of_file.get(unquote(origin.rsplit("/", 1)[-1]), origin)

    def describe(self) -> dict[str, Any]:
        import pyspark
        import sparknlp

        rows = rows_of_partitions(self.images())
        # Nothing tells what the engine gets: Spark NLP groups the rows of a partition by the batch size.
        sizes = batches_of(rows, self.task.batch_size)
        precision = "int8" if "quantization" in self.task.variant else "float32"
        jvm = self.spark.sparkContext._jvm
        # What the engine found when it started, not what was asked for.
        onednn = "oneDNN on" if jvm.java.lang.System.getenv(ONEDNN) == "1" else "oneDNN off"
        default = jvm.com.johnsnowlabs.util.ConfigLoader.getConfigStringValue(
            "spark.jsl.settings.onnx.intraOpNumThreads"
        )
        threads = self.threads or (default or "default" if self.engine == "onnx" else None)
        a_task = f", {threads} thread{'' if threads == 1 else 's'} a task" if threads else ""
        quantised = f", {precision} ({self.task.variant['quantization']})" if precision == "int8" else ""
        engine = {"tensorflow": f"TensorFlow, {onednn}", "onnx": "ONNX Runtime"}[self.engine] + quantised + a_task
        return {
            # Spark NLP falls back to the CPU in silence, and does not say what it used.
            "accelerator": "cpu" if self.task.device == "cpu" else "gpu asked for, not confirmed",
            # As the file has it that the annotator holds: nothing tells what the engine made of it.
            "precision": precision,
            "setting": f"{engine}, {self.place}",
            "threads": self.threads or (int(default) if self.engine == "onnx" and default else None),
            "slots": self._slots(),
            "partitions": len(rows),
            "partition_rows": {str(count): times for count, times in sorted(Counter(rows).items())},
            "effective_batch_sizes": {str(size): count for size, count in sorted(sizes.items())},
            "batches": "computed",
            "sink": self.sink,
            "versions": {
                "spark-nlp": sparknlp.version(),
                "pyspark": pyspark.__version__,
                "java": jvm.java.lang.System.getProperty("java.version"),
            },
            "environment": {"jvm": virtual_machine(self.spark)},
            "cluster": self.executors.describe() if self.executors else None,
        }

    def _slots(self) -> int:
        """Tasks that Spark runs at a time."""
        if self.executors:
            return self.executors.cluster.slots(self.executors.threads)
        return self.spark.sparkContext.defaultParallelism

    def profile(self, passes: int) -> dict[str, Any]:
        from vitbench.frameworks.sparknlp import profiler as sparknlp

        return sparknlp.profile(self, passes)
