"""What the user's shell, id, disk and folders bring: left out, set, passed on and recorded, or one line."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import pyspark
import pytest
from example_records import example_repeat
from surroundings import MAY_MOUNT, MOUNTED

from vitbench import environment, machine
from vitbench.errors import UserError, disk_problem
from vitbench.files import HOME
from vitbench.frameworks import ADAPTERS
from vitbench.measure import supervisor

HERE = Path(__file__).parent


@pytest.fixture
def other_pyspark(tmp_path) -> Path:
    """A folder for PYTHONPATH with packages that have the names of ours, as `$SPARK_HOME/python` has."""
    for name in ("pyspark", "numpy", "psutil"):
        (tmp_path / "spark/python" / name).mkdir(parents=True)
        (tmp_path / "spark/python" / name / "__init__.py").write_text("__version__ = '3.4.4'\n")
    return tmp_path / "spark/python"


# --- what is left out, set, passed on ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("PYTHONHOME", "PYTHONSTARTUP", "PYTHONOPTIMIZE", "SPARK_HOME", "SPARK_CONF_DIR", "SPARK_LOCAL_DIRS"),
        *("SPARK_DAEMON_MEMORY", "PYSPARK_SUBMIT_ARGS", "PYSPARK_PYTHON", "HADOOP_CONF_DIR", "HADOOP_OPTS"),
        *("YARN_CONF_DIR", "HIVE_CONF_DIR", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH"),
        *("USE_TORCH", "TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    ],
)
def test_what_would_change_what_is_measured_is_left_out_and_named(name):
    base = {name: "-Xmx1m", "HOME": "/tmp"}
    assert name not in environment.variables(base=base)
    assert environment.named_left_out(base) == [name]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "HTTPS_PROXY",
            "no_proxy",
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "LANG",
            "TZ",
            "JAVA_HOME",
            "LD_LIBRARY_PATH",
        ),
        *("HF_HOME", "CUDA_VISIBLE_DEVICES", "PATH", "AWS_PROFILE", "PYTHONDONTWRITEBYTECODE", "PYTHON_VERSION"),
        *("OMP_NUM_THREADS", "KMP_AFFINITY", "MKL_NUM_THREADS", "LD_PRELOAD", "SLURM_JOB_ID"),
    ],
)
def test_what_a_site_or_a_person_needs_passes(name):
    base = {name: "as it was", "HOME": "/tmp"}
    assert environment.variables(base=base)[name] == "as it was"
    assert environment.named_left_out(base) == []


@pytest.mark.parametrize("name", ["LD_PRELOAD", "KMP_AFFINITY", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "TORCHINDUCTOR_X"])
def test_what_changes_how_fast_it_is_stands_in_the_record(name, monkeypatch):
    monkeypatch.setenv(name, f"{Path.home()}/lib:/opt/lib")
    monkeypatch.setenv("HOME", str(Path.home()))
    assert machine.fingerprint()["variables"][name] == "~/lib:/opt/lib"


def test_what_is_left_out_is_not_recorded():
    base = dict.fromkeys(["JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "TF_ENABLE_ONEDNN_OPTS", "HTTPS_PROXY"], "secret")
    assert environment.recorded(base) == {}


def test_of_javas_options_proxies_and_certificates_remain():
    proxy, store = "-Dhttps.proxyHost=proxy.site", "-Djavax.net.ssl.trustStore=/etc/my store"
    base = {"_JAVA_OPTIONS": f"-Xmx512m {proxy}", "JAVA_TOOL_OPTIONS": f"'{store}' -Dfile.encoding=ISO-8859-1"}
    made = environment.variables(base=base | {"JDK_JAVA_OPTIONS": "an open 'quotation", "HOME": "/tmp"})
    assert made["JAVA_TOOL_OPTIONS"] == f"'{store}' {proxy}"
    assert environment.named_left_out(made) == [] and environment.variables(base=made) == made


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LANG": "POSIX"}, {"LC_CTYPE": "de_DE.ISO-8859-1"}, {}])
def test_every_process_speaks_utf_8(locale, tmp_path):
    code = "import sys, locale; print(sys.getfilesystemencoding(), locale.getpreferredencoding(False), '\\u00fc')"
    made = environment.variables(base={"PATH": os.environ["PATH"], "HOME": "/tmp"} | locale)
    done = subprocess.run([sys.executable, "-c", code], env=made, capture_output=True)
    assert done.stdout.decode().lower().split() == ["utf-8", "utf-8", "ü"]
    # What is no Python looks at the locale alone.
    assert subprocess.run(["locale", "charmap"], env=made, capture_output=True, text=True).stdout.strip() == "UTF-8"


# --- a repeat's own process -------------------------------------------------------------------------------------------


@pytest.fixture
def looked(tmp_path, monkeypatch):
    """What the child of a repeat is given, in a shell that has these variables."""

    def looked(**variables: str) -> dict:
        monkeypatch.setitem(ADAPTERS, "fake", lambda definition: "fake_adapter")
        monkeypatch.delenv(supervisor.ORDERED_BY, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [variables.get("PYTHONPATH"), str(HERE)])))
        repeat = example_repeat(tmp_path, {"at": {"load": ["look", str(tmp_path / "told")]}})
        record = supervisor.measure(repeat, tmp_path / "measurements" / "rep0.json")
        assert record["status"] == "ok", record["reason"]
        return json.loads((tmp_path / "told").read_text())

    return looked


def test_a_repeat_gets_the_locked_packages_whatever_pythonpath_says(looked, other_pyspark):
    told = looked(PYTHONPATH=str(other_pyspark), SPARK_HOME=str(other_pyspark.parent), PYTHONUSERBASE="/elsewhere")
    assert told["pyspark"] == [pyspark.__version__, pyspark.__file__]
    assert str(other_pyspark) not in told["path"] and str(HOME / "scripts") in told["path"]
    assert not {"SPARK_HOME", "PYTHONUSERBASE"} & told["variables"].keys()


def test_a_repeat_without_a_usable_home_has_its_own_folder_for_one(looked):
    told = looked(HOME="/no/such/home", LD_BIND_NOW="1")["variables"]
    assert told["HOME"] == told["TMPDIR"] and told["HOME"].endswith(".repeat")
    assert told["LD_BIND_NOW"] == "1"


def test_a_repeat_asks_no_hub_whatever_the_shell_says(looked):
    told = looked(HF_HUB_OFFLINE="0")["variables"]
    assert told["HF_HUB_OFFLINE"] == "1" and told["HF_HUB_DISABLE_TELEMETRY"] == "1"


ENTRY = """
import sys
{before}
from vitbench.errors import exit_with_user_errors
def main():
    import pyspark, numpy
    print(pyspark.__version__, pyspark.__file__)
exit_with_user_errors(main)
"""


@pytest.mark.parametrize("before", ["", "import psutil"])
def test_an_entry_point_takes_the_locked_package_or_refuses(other_pyspark, before):
    """Packages that were loaded before anybody could object are named."""
    path = os.pathsep.join([str(other_pyspark), str(HOME / "scripts")])
    command = [sys.executable, "-c", ENTRY.format(before=before)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    if not before:
        assert done.returncode == 0 and done.stdout.split(maxsplit=1) == [
            pyspark.__version__,
            f"{pyspark.__file__}\n",
        ], done.stderr
    else:
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1 and line.startswith("vitbench: PYTHONPATH brings another psutil")


def test_our_own_packages_in_pythonpath_are_no_strangers(tmp_path):
    """The environment's own folder, or one around it, is on many a PYTHONPATH."""
    own = Path(pyspark.__file__).parents[1]
    path = os.pathsep.join([str(own), str(own.parent), str(HOME / "scripts")])
    command = [sys.executable, "-c", ENTRY.format(before="import psutil")]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.split(maxsplit=1)[1].strip() == pyspark.__file__, done.stderr


# --- a JVM ------------------------------------------------------------------------------------------------------------

SESSION = """
import json, sys
from pathlib import Path
from vitbench.errors import exit_with_user_errors
from vitbench.frameworks import spark
spark._check_classes = lambda *_: None
folder = Path(sys.argv[1])
def main():
    # A site's core-site.xml may also lie on the class path, where no variable leads to it.
    settings = {"spark.driver.extraClassPath": str(folder / "hadoop"), "spark.driver.extraJavaOptions": "-Dmine=yes"}
    hadoop = Path(sys.argv[2]) if sys.argv[2] else None
    settings = {} if hadoop else settings
    session = spark.start_session([], folder, "local[1]", folder, settings, hadoop, engine={spark.ONEDNN: "1"})
    jvm, context = session._jvm, session.sparkContext
    told = {name: jvm.java.lang.System.getProperty(name) for name in ("file.encoding", "sun.jnu.encoding", "user.home")}
    told["mine"] = jvm.java.lang.System.getProperty("mine")
    told["onednn"] = jvm.java.lang.System.getenv(spark.ONEDNN)
    told["heap"] = jvm.java.lang.Runtime.getRuntime().maxMemory()
    told["default"] = context._jsc.hadoopConfiguration().get("fs.defaultFS")
    told["master"] = context.master
    told["hadoop"] = context._jsc.hadoopConfiguration().get("site.wide")
    # As Java itself reads, by its default; Spark's own reader is always UTF-8.
    told["read"] = jvm.java.io.BufferedReader(jvm.java.io.FileReader(str(folder / "für.txt"))).readLine()
    told["lines"] = [row.value for row in session.read.text(str(folder / "für.txt")).collect()]
    # Shuffled, so that Spark writes where it keeps blocks.
    told["count"] = session.range(100).repartition(3).groupBy().count().collect()[0][0]
    told["blocks"] = [str(path) for path in folder.glob("blockmgr-*")]
    (folder / "told.json").write_text(json.dumps(told))
    session.stop()
exit_with_user_errors(main)
"""


def start(folder: Path, brought: dict[str, str], hadoop: str = "", default: str = "hdfs://no.such.host:8020") -> dict:
    """What a real session says, of a folder that holds a text and a Hadoop configuration, in a shell that has these."""
    (folder / "hadoop").mkdir(parents=True)
    entry = "<property><name>{}</name><value>{}</value></property>"
    site = entry.format("fs.defaultFS", default) + entry.format("site.wide", "yes")
    (folder / "hadoop" / "core-site.xml").write_text(f"<configuration>{site}</configuration>")
    (folder / "hadoop" / "spark-defaults.conf").write_text("spark.master yarn\n")
    (folder / "für.txt").write_text("Grün", encoding="utf-8")
    command = [sys.executable, "-c", SESSION, str(folder), hadoop]
    clean = os.environ | {"PYTHONPATH": str(HOME / "scripts")}
    done = subprocess.run(command, env=clean | brought, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "told.json").read_text()) | {"folder": str(folder)}


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> dict:
    """What one real session says, in a shell that holds all that is known to change one."""
    folder = tmp_path_factory.mktemp("session") / "mit Ü % & ;"
    brought = {
        **dict.fromkeys(["HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_CONF_DIR"], str(folder / "hadoop")),
        "JAVA_TOOL_OPTIONS": "-Dfile.encoding=ISO-8859-1",
        "_JAVA_OPTIONS": "-Xmx512m",
        "JDK_JAVA_OPTIONS": "-Xmx256m",
        "SPARK_LOCAL_DIRS": str(folder / "not ours"),
        "PYSPARK_SUBMIT_ARGS": "--master yarn pyspark-shell",
        "SPARK_HOME": "/no/such/spark",
        "LC_ALL": "C",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "HOME": "/no/such/home",
    }
    return start(folder, brought)


@pytest.mark.jvm
def test_a_local_session_reads_local_files_whatever_hadoop_is_set_up_for(session):
    assert session["default"] == "file:///" and session["master"] == "local[1]" and session["hadoop"] == "yes"
    assert session["count"] == 100


@pytest.mark.jvm
def test_options_of_java_that_are_given_stand_beside_ours(session):
    assert session["mine"] == "yes" and session["file.encoding"] == "UTF-8"


@pytest.mark.jvm
def test_a_session_that_is_told_to_uses_the_cluster_that_hadoop_is_set_up_for(tmp_path):
    told = start(tmp_path / "on purpose", {}, str(tmp_path / "on purpose" / "hadoop"), default="file:///")
    assert told["hadoop"] == "yes"


@pytest.mark.jvm
def test_the_jvm_has_what_the_variant_wants_of_its_engine_not_what_the_shell_says(session):
    assert session["onednn"] == "1"


@pytest.mark.jvm
def test_names_and_contents_with_umlauts_survive_a_locale_that_has_none(session):
    assert session["file.encoding"] == session["sun.jnu.encoding"] == "UTF-8"
    assert session["lines"] == [session["read"]] == ["Grün"]


@pytest.mark.jvm
def test_the_users_java_options_do_not_set_the_heap(session):
    assert session["heap"] > 3 * 2**30


@pytest.mark.jvm
def test_spark_writes_in_the_repeats_folder_only(session):
    assert session["blocks"] and session["user.home"] == session["folder"]
    assert not Path(session["folder"], "not ours").exists()


# --- user, disk, folder -----------------------------------------------------------------------------------------------


def as_nobody(monkeypatch, home: str | None = None) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    for name in ("USER", "LOGNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home:
        monkeypatch.setenv("HOME", home)


def test_a_user_id_without_a_name_is_named_with_the_remedy(monkeypatch, tmp_path):
    assert environment.user_problem() == ""
    as_nobody(monkeypatch)
    assert "user id 3999999999 has no name" in environment.spark_problem(tmp_path)
    assert "/etc/passwd" in environment.user_problem()
    assert environment.home_problem() == "HOME is not set"
    assert environment.variables(tmp_path)["LOGNAME"] == "uid3999999999"


@pytest.mark.parametrize("home", ["/no/such/home", "/etc/hostname", "/dev/null"])
def test_a_home_that_cannot_be_used_is_named(monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    assert home in environment.home_problem()


@pytest.mark.parametrize("letter", list(",?[]{}*#\\:") + ["\n"])
def test_a_folder_whose_name_spark_reads_otherwise_is_refused_first(tmp_path, letter):
    folder = tmp_path / f"a{letter}b" / "inside"
    folder.mkdir(parents=True)
    problem = environment.spark_problem(folder)
    assert "in a folder's name" in problem and "\n" not in problem


@pytest.mark.parametrize("name", ["a b", "für", "日本", "100%", "it's", 'a"b', "a;b", "a&b", "a+b", "$HOME", "a=b"])
def test_other_names_are_names(tmp_path, name):
    (tmp_path / name).mkdir()
    assert environment.spark_problem(tmp_path / name) == ""


@pytest.mark.parametrize(("name", "plain"), [("a b", False), ("a,b", False), ("[a]", False), ("für", True)])
def test_links_for_spark_lie_in_a_plain_folder_whatever_tmpdir_is_called(tmp_path, monkeypatch, name, plain):
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    assert environment.plain_temporary() == (str(tmp_path / name) if plain else "/tmp")


CHECK = """
import pathlib, sys
from vitbench import environment
print(environment.spark_problem(pathlib.Path(sys.argv[1])))
"""


@MAY_MOUNT
def test_a_disk_that_forbids_to_run_anything_is_named(tmp_path):
    command = [sys.executable, "-c", CHECK, str(tmp_path)]
    clean = os.environ | {"PYTHONPATH": str(HOME / "scripts")}
    for options, expected in (("noexec", f"the disk at {tmp_path} is mounted noexec"), ("size=1m", "")):
        mounted = [*MOUNTED, str(tmp_path), options, *command]
        done = subprocess.run(mounted, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().startswith(expected) and bool(expected) == bool(done.stdout.strip())


MEASURE = """
import pickle, sys
from pathlib import Path
from vitbench import frameworks
from vitbench.errors import exit_with_user_errors
from vitbench.measure import supervisor
frameworks.ADAPTERS["fake"] = lambda definition: "fake_adapter"
out = Path(sys.argv[2])
def main():
    out.parent.mkdir(exist_ok=True)
    (out.parent / "before.json").write_text("{}")
    try:
        supervisor.measure(pickle.loads(Path(sys.argv[1]).read_bytes()), out)
    finally:
        print(sorted(path.name for path in out.parent.iterdir()))
exit_with_user_errors(main)
"""


@MAY_MOUNT
@pytest.mark.parametrize("step", ["start", "load", "pass 1"])
def test_a_disk_that_fills_midway_is_one_line_and_no_record(tmp_path, step):
    (tmp_path / "disk").mkdir()
    repeat = example_repeat(tmp_path / "disk", {"at": {step: ["fill"]}})
    repeat.task.images[:] = [(name, str(tmp_path / Path(path).name)) for name, path in repeat.task.images]
    for name, path in repeat.task.images:
        Path(path).write_text(name)
    (tmp_path / "repeat").write_bytes(pickle.dumps(repeat))
    out = tmp_path / "disk/measurements/rep0.json"
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "repeat"), str(out)]
    clean = os.environ | {"PYTHONPATH": os.pathsep.join([str(HOME / "scripts"), str(HERE)])}
    clean.pop(supervisor.ORDERED_BY, None)
    mounted = [*MOUNTED, str(tmp_path / "disk"), "size=3m", *command]
    done = subprocess.run(mounted, env=clean, capture_output=True, text=True)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("vitbench: "))
    assert done.returncode == 1 and "is full: free some room" in line, done.stderr
    assert done.stdout.splitlines()[-1] == "['before.json']"


LOGGED = """
import sys
from pathlib import Path
from vitbench.errors import run_logged
from vitbench.files import write_atomically
folder = Path(sys.argv[1])
(folder / "whole").write_text("as it was")
def main():
    if sys.argv[2] == "all":  # not even the log has room
        with open(folder / "filling", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    write_atomically(folder / "whole", b"x" * 10_000_000)
try:
    run_logged(folder / "log", main)
finally:
    assert (folder / "whole").read_text() == "as it was"
"""


@MAY_MOUNT
@pytest.mark.parametrize("how", ["all", "file"])
def test_a_job_on_a_disk_that_fills_says_so_where_it_can_be_read(tmp_path, how):
    clean = os.environ | {"PYTHONPATH": str(HOME / "scripts")}
    command = [*MOUNTED, str(tmp_path), "size=200k", sys.executable, "-c", LOGGED, str(tmp_path), how]
    done = subprocess.run(command, env=clean, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("vitbench: No space left on device: free some room") and "Trace" not in done.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "No space left on device: free some room"),
        (OSError(30, "Read-only file system", "/x/results"), "/x/results: Read-only file system"),
        (PermissionError(13, "Permission denied", "/x/results"), "/x/results: Permission denied: give yourself"),
        (OSError(122, "Disk quota exceeded"), "free some of your quota"),
    ],
)
def test_what_a_disk_says_is_one_line_even_inside_another_error(error, words):
    try:
        try:
            raise error
        except OSError as cause:
            raise RuntimeError("a library failed") from cause
    except RuntimeError as wrapped:
        assert words in disk_problem(wrapped)
    assert disk_problem(error) == disk_problem(wrapped_again(error))


def wrapped_again(error: OSError) -> Exception:
    outer = ValueError("no idea")
    outer.__context__ = error
    return outer


@pytest.mark.parametrize("error", [OSError(2, "No such file", "/x"), PermissionError(1, "kill"), KeyError("x")])
def test_other_errors_are_not_the_disks(error):
    assert disk_problem(error) is None


def test_a_session_refuses_before_java_starts(tmp_path, monkeypatch):
    from vitbench.frameworks import spark

    monkeypatch.setattr(spark, "find_java", lambda: pytest.fail("Java was asked"))
    monkeypatch.setattr(environment, "adopt", lambda _: [])
    (tmp_path / "a,b").mkdir()
    with pytest.raises(UserError, match="folder's name"):
        spark.start_session([], tmp_path / "a,b", "local[1]", tmp_path)
