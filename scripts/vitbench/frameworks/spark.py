"""A Spark session that keeps its files in one folder: on this machine only, to which it binds, or on a cluster.

It has Spark NLP's jars, or none where its tasks run Python alone.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench import environment
from vitbench.errors import UserError
from vitbench.inputs.java import Java, find_java, how_to_get_java
from vitbench.machine import memory_bytes

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from vitbench.frameworks.cluster import Executors


_SCALA_LIBRARY = re.compile(r"scala-library-(\d+\.\d+)")
_SPARK_NLP = re.compile(r"spark-nlp(?:-[a-z-]+)?_(\d+\.\d+)-")

# Options of Java, of the driver and of executors.
JAVA_OPTIONS = (DRIVERS_OPTIONS, EXECUTORS_OPTIONS) = (
    "spark.driver.extraJavaOptions",
    "spark.executor.extraJavaOptions",
)

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


# Switches oneDNN on (1) or off (0) in TensorFlow's native library, which reads it once.
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
# Threads of one of TensorFlow's operations, and how many operations run at a time in the whole process.
WITHIN, AMONG = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"


def engine_environment(
    engine: str, onednn: bool, threads: int | None = None, slots: int | None = None
) -> dict[str, str]:
    """Variables that the JVM must inherit, since its native engines read them at start.

    Args:
        threads: of one task's products, in so many `slots`; None where TensorFlow decides.
    """
    if engine != "tensorflow":
        return {}
    pools = {WITHIN: str(threads), AMONG: str(slots)} if threads else {}
    return {ONEDNN: "1" if onednn else "0", "TF_CPP_MIN_LOG_LEVEL": "2"} | pools


def start_session(
    jars: list[Path],
    temporary: Path,
    master: str,
    natives: Path,
    settings: dict[str, str] | None = None,
    hadoop: Path | None = None,
    engine: dict[str, str] | None = None,
    spark_nlp: bool = True,
    executors: Executors | None = None,
) -> SparkSession:
    """Start Spark with its driver in a JVM of this process's own.

    Args:
        jars: the class path of Spark NLP and its engine, protobuf first where there is one that must win; none for a
            session whose tasks run Python alone.
        temporary: the folder for everything that Spark, the JVM and Python write meanwhile; the caller removes it.
        master: as Spark spells it, `local[*]` for the single node of the article; not looked at with `executors`.
        natives: folder in which JavaCPP keeps the libraries that it unpacks from jars, kept between runs as
            `~/.javacpp` would be.
        settings: more Spark settings, which win over those that are made here; options of Java stand behind ours.
        hadoop: folder with the configuration of a Hadoop cluster, for a session that is to use one; without it, files
            are those of this machine, whatever HADOOP_CONF_DIR says.
        engine: variables that the JVM inherits, since its native engine reads them at start.
        spark_nlp: whether Spark NLP's classes must be there.
        executors: those of a cluster, which know its master or start one; the session is up when all have registered.
            None on one node.

    Raises:
        UserError: Java, Scala, memory or network do not let Spark start, Spark NLP's classes are not there, or not all
            executors registered.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    environment.adopt(temporary)
    # After the user's own were left out: what the engine is meant to have.
    os.environ.update(engine or {})
    if problem := environment.spark_problem(temporary):
        raise UserError(problem)
    java = Java(*find_java())
    os.environ.update(JAVA_HOME=str(java.home))
    cluster = executors.cluster if executors else None
    here = cluster is None or cluster.here
    hadoop = Path(cluster.hadoop) if cluster and cluster.hadoop else hadoop
    if here:
        os.environ.update(SPARK_LOCAL_IP="127.0.0.1")
    check_scala(jars)
    java_options = [
        f"-Djava.io.tmpdir={temporary}",
        f"-Dorg.bytedeco.javacpp.cachedir={natives}",
        f"-Dderby.system.home={temporary}",
        "-Dfile.encoding=UTF-8",
        "-Dsun.jnu.encoding=UTF-8",
        f"-Duser.home={os.path.expanduser('~')}",
        "-XX:-UsePerfData",  # no file in the system's temporary folder
        f"-XX:ErrorFile={temporary / 'java_error.log'}",
    ]
    if executors and here:
        # What they took is counted by thread there, and a thread that ends between two passes would take it along.
        # (Java 8 has no such option, and ends no such thread.)
        java_options += ["-XX:+IgnoreUnrecognizedVMOptions", "-XX:-UseDynamicNumberOfCompilerThreads"]
    log4j = temporary / "log4j2.properties"
    log4j.write_text(LOG4J)
    java_options.append(f"-Dlog4j2.configurationFile={log4j.as_uri()}")
    builder = (
        SparkSession.builder.appName("vitbench")
        .config("spark.driver.memory", f"{heap_gigabytes()}g")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.local.dir", str(temporary))
        .config("spark.sql.warehouse.dir", str(temporary / "warehouse"))
        .config(DRIVERS_OPTIONS, shlex.join(java_options))
        .config("spark.jars", ",".join(path.as_uri() for path in jars))
        .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
        .config("spark.kryoserializer.buffer.max", "2000M")
        .config("spark.driver.maxResultSize", "0")
        .config("spark.jsl.settings.pretrained.cache_folder", str(temporary / "pretrained"))
        .config("spark.jsl.settings.storage.cluster_tmp_dir", str(temporary / "storage"))
        .config("spark.jsl.settings.annotator.log_folder", str(temporary / "logs"))
    )
    if hadoop:
        os.environ["HADOOP_CONF_DIR"] = str(hadoop)
    if cluster or not hadoop:
        # On a cluster too, images, model and jars lie on paths that all nodes see.
        builder = builder.config("spark.hadoop.fs.defaultFS", "file:///")
    first = [str(path) for path in jars if path.name.startswith("protobuf-java-3.19")]
    if first:
        # Spark's own protobuf 2.5 and the jars' order would win otherwise; TensorFlow 2.7 needs 3.19.
        builder = builder.config("spark.driver.extraClassPath", first[0])
        builder = builder.config("spark.executor.extraClassPath", first[0])
    with ExitStack() as begun:
        if executors:
            # Should it not come up: say why, then leave nothing.
            begun.callback(executors.stop)
            begun.callback(executors.tell)
            builder = builder.master(executors.master(temporary / "cluster"))
            for key, value in executors.cluster.settings(executors.threads, engine or {}).items():
                builder = builder.config(key, value)
        else:
            builder = builder.master(master)
        if here:
            builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
        if executors and here:
            # Folders of this machine, which a node elsewhere need not have.
            builder = builder.config(EXECUTORS_OPTIONS, shlex.join(java_options))
        for key, value in (settings or {}).items():
            if key in JAVA_OPTIONS and (here or key == DRIVERS_OPTIONS):
                value = f"{shlex.join(java_options)} {value}"
            builder = builder.config(key, value)
        try:
            spark = builder.getOrCreate()
        except (Py4JError, PySparkException, OSError) as error:
            if line := explain(str(error), java):
                raise UserError(line) from error
            raise
        if spark_nlp:
            _check_classes(spark, jars)
        if executors:
            executors.join(spark)
        begun.pop_all()
    return spark


@contextmanager
def driver_outlives(spark: SparkSession) -> Iterator[None]:
    """UserError, in one line, where the driver's JVM ends while the block works with it."""
    from py4j.protocol import Py4JError, Py4JJavaError

    try:
        yield
    except Py4JJavaError:
        raise  # it lives, and says what is wrong
    except (Py4JError, OSError, EOFError) as error:
        driver = spark.sparkContext._gateway.proc
        try:
            status = driver.wait(timeout=5)
        except subprocess.TimeoutExpired:
            raise error from None
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise UserError(f"Spark's driver, its Java virtual machine, died while it worked ({how})") from error


def compiling_seconds(spark: SparkSession) -> float:
    """What the JVM's compilers have taken since it started."""
    with driver_outlives(spark):
        beans = spark.sparkContext._jvm.java.lang.management.ManagementFactory
        return beans.getCompilationMXBean().getTotalCompilationTime() / 1000


def collecting_seconds(spark: SparkSession) -> float:
    """What the JVM's garbage collectors have taken since it started."""
    with driver_outlives(spark):
        beans = spark.sparkContext._jvm.java.lang.management.ManagementFactory
        return sum(bean.getCollectionTime() for bean in beans.getGarbageCollectorMXBeans()) / 1000


def virtual_machine(spark: SparkSession) -> dict[str, Any]:
    """Which virtual machine runs, with what flags (but those that only name places) and collectors.

    Properties (-D) are no flags of it, and those that a site brings may hold a password (`vitbench.environment`).
    """
    jvm = spark.sparkContext._jvm
    beans, properties = jvm.java.lang.management.ManagementFactory, jvm.java.lang.System
    runtime = jvm.java.lang.Runtime.getRuntime()
    given = beans.getRuntimeMXBean().getInputArguments()
    return {
        "name": f"{properties.getProperty('java.vm.name')} {properties.getProperty('java.vm.version')}",
        "flags": [flag for flag in given if not flag.startswith("-D") and "/" not in flag],
        "collectors": [bean.getName() for bean in beans.getGarbageCollectorMXBeans()],
        "processors": runtime.availableProcessors(),
        "heap_bytes": runtime.maxMemory(),
    }


def rows_of_partitions(frame: DataFrame) -> list[int]:
    """Rows of each partition of a data frame, counted inside the JVM: Python workers would only cost time."""
    from pyspark.sql.functions import spark_partition_id

    counted = [row["count"] for row in frame.groupBy(spark_partition_id()).count().collect()]
    return counted + [0] * (frame.rdd.getNumPartitions() - len(counted))


def batches_of(rows: Iterable[int], batch_size: int) -> Counter[int]:
    """Size of a batch → how many, where the rows of each partition are grouped by the batch size."""
    sizes: Counter[int] = Counter()
    for count in rows:
        # What is left is the last group.
        sizes.update([batch_size] * (count // batch_size))
        sizes.update([count % batch_size] if count % batch_size else [])
    return sizes


def check_scala(jars: list[Path], pyspark: Path | None = None) -> None:
    """Raise UserError unless Spark (the installed pyspark, or that in this folder) has the Scala of Spark NLP's jar."""
    if pyspark is None:
        import pyspark as installed

        pyspark = Path(installed.__file__).parent
    of_spark = {m[1] for path in pyspark.glob("jars/scala-library-*.jar") if (m := _SCALA_LIBRARY.match(path.name))}
    wanted = {m[1] for path in jars if (m := _SPARK_NLP.match(path.name))}
    if of_spark and wanted - of_spark:
        raise UserError(
            f"the installed pyspark has Scala {min(of_spark)}, Spark NLP's jar is for Scala {min(wanted)}: install the "
            "locked environment again (`make`)"
        )


def explain(error: str, java: Java) -> str | None:
    """What an error of starting Spark means and what to do, in one line; None for one that is not known."""
    which = f"Java {java.version} ({java.home})"
    known = {
        "Address already in use": "a port that Spark wants is taken by another program: end that program or leave the "
        "choice to Spark (no `spark.driver.port` in its settings)",
        "'sparkDriver'": "Spark's driver cannot listen on 127.0.0.1 ('sparkDriver' failed): a VPN or firewall stands "
        "in the way, or the loopback interface is down; leave the VPN or exempt 127.0.0.1, then run again",
        "Network is unreachable": "Spark cannot reach 127.0.0.1: the loopback interface is down (`ip link set lo up`)",
        "UnknownHostException": "Spark cannot resolve this machine's name: add it to /etc/hosts beside 127.0.0.1, or "
        "leave the VPN",
        # What a session says that its master has given up.
        "getServletHandlers on a running MetricsSystem": "Spark's master does not answer (`spark: master`): see that "
        "it runs, that it is of this version of Spark, and that it can be reached from here",
        "JAVA_GATEWAY_EXITED": f"{which} ended before Spark was up, what it said stands above: if it could not get "
        f"memory, free some or raise the limit (Spark's heap is {heap_gigabytes()} GB); else {how_to_get_java()}",
        "UnsupportedClassVersionError": f"{which} does not fit Spark and Spark NLP: {how_to_get_java()}",
        "IllegalAccessError": f"{which} does not fit Spark and Spark NLP: {how_to_get_java()}",
        "scala": "Spark and Spark NLP's jars are for different versions of Scala: install the locked environment again "
        "(`make`)",
    }
    if not re.search(r"(NoClassDefFound|NoSuchMethod)Error: '?.*scala|ClassNotFoundException: scala", error):
        del known["scala"]
    return next((line for sign, line in known.items() if sign in error), None)


def _check_classes(spark: SparkSession, jars: list[Path]) -> None:
    """UserError where a call of Spark NLP would end in `'JavaPackage' object is not callable`."""
    from py4j.java_gateway import JavaClass

    if isinstance(spark._jvm.com.johnsnowlabs.nlp.annotators.cv.ViTForImageClassification, JavaClass):
        return
    folder = jars[0].parent if jars else "resources/jars"
    spark.stop()
    raise UserError(
        "Spark does not find Spark NLP's classes ('JavaPackage' object is not callable): the jars in "
        f"{folder} are missing or do not fit this Spark; remove that folder and run again to fetch them anew"
    )
