"""Spark that does not start: what Java, Scala, ports, network and memory say, made one line with what to do.

That it says so is in tests/unit/test_bad_inputs.py, and that the user's own Spark is left out in test_environment.py.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.frameworks import FRAMEWORKS, Task, plans_each_pass, spark
from vitbench.frameworks.sparknlp import adapter
from vitbench.inputs.java import Java

JAVA = Java(Path("/opt/java"), "17.0.9", "PATH")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            "java.net.BindException: Can't assign requested address: Service 'sparkDriver' failed after 16 retries (on "
            "a random free port)! Consider explicitly setting the appropriate binding address",
            ("'sparkDriver' failed", "VPN", "127.0.0.1"),
        ),
        (
            "java.net.BindException: Address already in use: Service 'sparkDriver' failed after 16 retries",
            ("port", "taken"),
        ),
        (
            "java.lang.IllegalArgumentException: requirement failed: Can only call getServletHandlers on a running "
            "MetricsSystem",
            ("master does not answer", "spark: master"),
        ),
        ("java.net.UnknownHostException: laptop: laptop: Name or service not known", ("/etc/hosts", "VPN")),
        ("[Errno 101] Network is unreachable", ("loopback",)),
        (
            "java.lang.UnsupportedClassVersionError: org/apache/spark/launcher/Main : Unsupported major.minor version",
            ("Java 17.0.9 (/opt/java)", "JAVA_HOME"),
        ),
        (
            "java.lang.IllegalAccessError: class org.apache.spark.storage.StorageUtils$ cannot access class "
            "sun.nio.ch.DirectBuffer (in module java.base)",
            ("Java 17.0.9", "JAVA_HOME"),
        ),
        ("[JAVA_GATEWAY_EXITED] Java gateway process exited before sending its port number.", ("Java 17.0.9", "heap")),
        ("java.lang.NoSuchMethodError: 'scala.collection.mutable.ArrayOps scala.Predef$.refArrayOps'", ("Scala",)),
        ("java.lang.NoClassDefFoundError: scala/Serializable", ("Scala", "make")),
        ("java.lang.ClassNotFoundException: scala.Product$class", ("Scala", "make")),
    ],
)
def test_what_spark_says_is_one_line_with_the_remedy(error, words):
    line = spark.explain(f"An error occurred while calling None.JavaSparkContext.\n: {error}\n\tat org.x", JAVA)
    assert line and "\n" not in line
    for word in words:
        assert word in line


def test_what_is_not_known_stays_what_it_is():
    assert spark.explain("java.lang.IllegalStateException: at scala.collection.Iterator", JAVA) is None


def test_another_scala_is_named_before_java_starts(tmp_path):
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "scala-library-2.13.8.jar").touch()
    with pytest.raises(UserError, match=r"pyspark has Scala 2\.13, Spark NLP's jar is for Scala 2\.12"):
        spark.check_scala([Path("x/spark-nlp_2.12-5.5.3.jar")], tmp_path)
    spark.check_scala([Path("x/spark-nlp_2.13-6.0.0.jar")], tmp_path)


def test_the_installed_spark_fits_the_locked_jars():
    spark.check_scala([Path("spark-nlp_2.12-5.5.3.jar")])
    with pytest.raises(UserError, match="Scala"):
        spark.check_scala([Path("spark-nlp-gpu_2.11-5.5.3.jar")])


def test_what_runs_inside_spark_and_nothing_else_plans_each_pass():
    """Or its repeats would be timed while the virtual machine still compiles Spark's planner."""
    defined = yaml.safe_load((HOME / "resources" / "variants.yaml").read_text())
    for name, variants in defined.items():
        for definition in variants.values():
            assert FRAMEWORKS[name].needs(definition, "cpu").spark == plans_each_pass(name)


def test_tensorflows_pools_are_slots_and_their_threads_where_a_variant_says_so():
    plain = spark.engine_environment("tensorflow", onednn=True)
    tuned = spark.engine_environment("tensorflow", onednn=True, threads=2, slots=4)
    assert tuned == plain | {"TF_NUM_INTRAOP_THREADS": "2", "TF_NUM_INTEROP_THREADS": "4"}
    assert spark.engine_environment("onnx", onednn=False, threads=2, slots=4) == {}


@pytest.mark.parametrize(("threads", "settings", "master"), [(2, {}, "local[*]"), (1, {}, "local[1]"),
                                                             (4, {"onnx_threads": 2}, "local[2]")])  # fmt: skip
def test_a_session_takes_no_more_cores_than_it_is_given(monkeypatch, threads, settings, master):
    monkeypatch.setattr(adapter.machine, "cores", lambda: max(2, threads))
    task = Task({"engine": "onnx"} | settings, "cpu", 1, 8, threads, [], "", "model", [], "natives", "temporary")
    assert adapter.Adapter(task).local == master


def test_a_record_has_the_flags_of_the_virtual_machine_and_no_property_of_it():
    """JAVA_TOOL_OPTIONS brings a site's proxy and its password, which count as arguments of the machine's own."""
    given = [
        *("-Xmx8g", "-XX:-UsePerfData", "-XX:ErrorFile=/tmp/repeat/java_error.log", "-Dfile.encoding=UTF-8"),
        *("-Dhttps.proxyHost=proxy.site", "-Dhttps.proxyUser=me", "-Dhttps.proxyPassword=secret", "-Dhttp.proxyPort=1"),
        *("-Djavax.net.ssl.trustStorePassword=secret", "-XX:+UseG1GC"),
    ]
    beans = SimpleNamespace(
        getRuntimeMXBean=lambda: SimpleNamespace(getInputArguments=lambda: given),
        getGarbageCollectorMXBeans=lambda: [SimpleNamespace(getName=lambda: "G1 Young Generation")],
    )
    runtime = SimpleNamespace(availableProcessors=lambda: 2, maxMemory=lambda: 2**33)
    lang = SimpleNamespace(
        management=SimpleNamespace(ManagementFactory=beans),
        System=SimpleNamespace(getProperty=lambda name: name),
        Runtime=SimpleNamespace(getRuntime=lambda: runtime),
    )
    jvm = SimpleNamespace(java=SimpleNamespace(lang=lang))
    found = spark.virtual_machine(SimpleNamespace(sparkContext=SimpleNamespace(_jvm=jvm)))
    assert found["flags"] == ["-Xmx8g", "-XX:-UsePerfData", "-XX:+UseG1GC"]
    assert (found["collectors"], found["processors"]) == (["G1 Young Generation"], 2)
