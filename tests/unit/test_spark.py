"""Spark that does not start: what Java, Scala, ports, network and memory say, made one line with what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.frameworks import spark
from vitbench.inputs.java import Java

JAVA = Java(Path("/opt/java"), "17.0.9", "PATH")

# Starts a session in the folder that is its first argument, as an entry point does; the rest is run before that.
START = """
import sys
from pathlib import Path
from vitbench.errors import exit_with_user_errors
from vitbench.frameworks.spark import start_session
folder, prelude = Path(sys.argv[1]), sys.argv[2]
settings = {}
exec(prelude)
exit_with_user_errors(lambda: start_session([], folder, "local[1]", folder, settings) and None)
"""


def start(folder: Path, prelude: str = "", before: tuple[str, ...] = ()) -> str:
    """The line of vitbench that a real start of Spark without any jar ends in."""
    command = [*before, sys.executable, "-c", START, str(folder), prelude]
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOME / "scripts")}, capture_output=True, text=True
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("vitbench: ")]
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.mark.jvm
def test_without_spark_nlps_jars_the_java_package_is_explained(tmp_path):
    line = start(tmp_path)
    assert "'JavaPackage' object is not callable" in line and "remove that folder and run again" in line


@pytest.mark.jvm
def test_a_port_that_is_taken_is_explained(tmp_path):
    line = start(
        tmp_path,
        "import socket; taken = socket.create_server(('127.0.0.1', 0));"
        "settings = {'spark.driver.port': str(taken.getsockname()[1]), 'spark.port.maxRetries': '0'}",
    )
    assert "a port that Spark wants is taken" in line


@pytest.mark.jvm
def test_a_java_that_cannot_have_its_memory_is_explained(tmp_path):
    line = start(tmp_path, before=("bash", "-c", 'ulimit -v 5000000; exec "$@"', "-"))
    assert "ended before Spark was up" in line and "memory" in line and "heap is" in line


@pytest.mark.jvm
def test_the_users_own_spark_and_its_settings_are_left_out(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text("spark.master yarn\n")
    line = start(
        tmp_path,
        f"import os; os.environ.update(SPARK_HOME='/no/such/spark', SPARK_CONF_DIR={str(tmp_path / 'conf')!r},"
        " PYSPARK_SUBMIT_ARGS='--master yarn pyspark-shell')",
    )
    assert "'JavaPackage'" in line  # so Spark itself came up


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
