"""A local Spark session with Spark NLP's jars that binds to this machine only and keeps its files in one folder."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from vitbench.java import find_java
from vitbench.machine import memory_bytes

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


LOG4J = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %p %c: %m%n%ex
"""


def heap_gigabytes() -> int:
    """Heap for the one JVM of local mode: half the memory, from 4 to 16 GB (Spark NLP needs about 4 to load a ViT)."""
    return max(4, min(16, memory_bytes() // 2**31))


def engine_environment(engine: str, onednn: bool) -> dict[str, str]:
    """Variables that the JVM must inherit, since its native engines read them at start."""
    if engine == "tensorflow":
        return {"TF_ENABLE_ONEDNN_OPTS": "1" if onednn else "0", "TF_CPP_MIN_LOG_LEVEL": "2"}
    return {}


def start_session(
    jars: list[Path], temporary: Path, master: str, natives: Path, settings: dict[str, str] | None = None
) -> SparkSession:
    """Start Spark in this process's own JVM.

    Args:
        jars: the class path of Spark NLP and its engine, protobuf first where there is one that must win.
        temporary: the folder for everything that Spark, the JVM and Python write meanwhile; the caller removes it.
        master: as Spark spells it, `local[*]` for the single node of the article.
        natives: folder in which JavaCPP keeps the libraries that it unpacks from jars, kept between runs as
            `~/.javacpp` would be.
        settings: more Spark settings.
    """
    from pyspark.sql import SparkSession

    os.environ["JAVA_HOME"] = str(find_java()[0])
    # Both are read before the JVM starts. PYSPARK_SUBMIT_ARGS of the user's shell would change what is measured.
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ.pop("PYSPARK_SUBMIT_ARGS", None)
    java_options = [
        f"-Djava.io.tmpdir={temporary}",
        f"-Dorg.bytedeco.javacpp.cachedir={natives}",
        f"-Dderby.system.home={temporary}",
        "-XX:-UsePerfData",  # no file in the system's temporary folder
        f"-XX:ErrorFile={temporary / 'java_error.log'}",
    ]
    log4j = temporary / "log4j2.properties"
    log4j.write_text(LOG4J)
    java_options.append(f"-Dlog4j2.configurationFile={log4j.as_uri()}")
    builder = (
        SparkSession.builder.appName("vitbench")
        .master(master)
        .config("spark.driver.memory", f"{heap_gigabytes()}g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.local.dir", str(temporary))
        .config("spark.sql.warehouse.dir", str(temporary / "warehouse"))
        .config("spark.driver.extraJavaOptions", shlex.join(java_options))
        .config("spark.jars", ",".join(path.as_uri() for path in jars))
        .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
        .config("spark.kryoserializer.buffer.max", "2000M")
        .config("spark.driver.maxResultSize", "0")
        .config("spark.jsl.settings.pretrained.cache_folder", str(temporary / "pretrained"))
        .config("spark.jsl.settings.storage.cluster_tmp_dir", str(temporary / "storage"))
        .config("spark.jsl.settings.annotator.log_folder", str(temporary / "logs"))
    )
    first = [str(path) for path in jars if path.name.startswith("protobuf-java-3.19")]
    if first:
        # Spark's own protobuf 2.5 and the jars' order would win otherwise; TensorFlow 2.7 needs 3.19.
        builder = builder.config("spark.driver.extraClassPath", first[0])
        builder = builder.config("spark.executor.extraClassPath", first[0])
    for key, value in (settings or {}).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
