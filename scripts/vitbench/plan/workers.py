"""Spark's workers: who gets more than one, what each of them has, and what of it is part of what a record's path names.

Frameworks that declare themselves `clustered` run on a cluster as soon as `workers` names more than one, or
`spark: master` a cluster: with one worker, too, for only then is one against two a matter of workers. All others are
measured on one node.
"""

from __future__ import annotations

import re
from typing import Any

from vitbench import machine
from vitbench.cells import Cell
from vitbench.errors import UserError
from vitbench.files import digest
from vitbench.frameworks import FRAMEWORKS
from vitbench.frameworks.declaration import SPARK

# Spark inside its driver, with a slot a core.
LOCAL = "local[*]"
# Spark's trial of a cluster: executors of their own processes below one master in the driver.
_LOCAL_CLUSTER = re.compile(r"local-cluster\[(\d+),(\d+),(\d+)\]")
# What other keys say, so that nothing in a record contradicts them.
_SAID_ELSEWHERE = {
    "spark.master": "master",
    "spark.executor.cores": "worker_cores",
    "spark.executor.memory": "worker_memory_gb",
    "spark.executor.instances": "workers",
    "spark.cores.max": "workers",
    "spark.dynamicAllocation.enabled": "workers",
    "spark.task.cpus": "the variant",
    "spark.default.parallelism": "workers",
    "spark.jsl.settings.onnx.intraOpNumThreads": "the variant",
    # A worker of Python that is begun anew for each task would load the model in every pass.
    "spark.python.worker.reuse": "the framework",
}
# Variables of executors that a variant says: those of TensorFlow.
_SAID_BY_VARIANT = re.compile(r"spark\.executorEnv\.TF_")
# Settings whose values Spark itself hides in its logs (spark.redaction.regex), and keys of Azure's and Google's stores.
_SECRET = re.compile(r"secret|password|token|(access|account|private)[.]?key|(^|[.])sas([.]|$)", re.IGNORECASE)
# MB of 2^20 bytes. Heap of an executor, which in Spark NLP holds the model (about 4 GB to load a ViT) and in Python's
# tasks next to nothing; never more than one node's.
_LEAST = {True: 4096, False: 1024}
_MOST = 16384


def most(config: dict[str, Any]) -> int:
    """The largest number of workers."""
    return max(config["workers"])


def _clustered(framework: str) -> bool:
    """Whether a framework can run on a cluster; no for one that there is not, which others refuse."""
    return framework in FRAMEWORKS and FRAMEWORKS[framework].clustered


def wanted(config: dict[str, Any]) -> bool:
    """Whether there is a cluster, for frameworks that can run on one."""
    return most(config) > 1 or config["spark"]["master"] not in (None, LOCAL)


def on_cluster(config: dict[str, Any], framework: str) -> bool:
    """Whether a framework is measured on a cluster, with one worker too."""
    return wanted(config) and FRAMEWORKS[framework].clustered


def of_framework(config: dict[str, Any], framework: str) -> list[int]:
    """The numbers of workers with which a framework is measured."""
    return config["workers"] if FRAMEWORKS[framework].clustered else [1]


def check(config: dict[str, Any]) -> None:
    """Check what the keys `workers` and `spark` say together, whatever the machine.

    Raises:
        UserError: the master has fewer workers, nothing says what each of them has, they would share a GPU, a setting
            is not free, or a variant would be compared with nothing.
    """
    spark = config["spark"]
    master, named = spark["master"], ("worker_cores", "worker_memory_gb")
    if master == LOCAL and most(config) > 1:
        raise UserError(
            f"spark: master: {LOCAL} is one node, and workers names {most(config)}: leave the master out (null), and a "
            "cluster is started here"
        )
    if found := master and _LOCAL_CLUSTER.fullmatch(master):
        if most(config) > int(found[1]):
            raise UserError(f"workers: {most(config)} is more than the {found[1]} of spark: master: {master}")
        if stated := [name for name in named if spark[name] is not None]:
            raise UserError(f"spark: {stated[0]}: {master} says it already; leave it out (null)")
    elif master not in (None, LOCAL) and (missing := [name for name in named if spark[name] is None]):
        raise UserError(
            f"spark: {missing[0]}: nothing says what each worker of {master.partition('://')[0]} has; add it"
        )
    baseline = config["baseline"].partition("/")[0]
    alone = [one for one in config["frameworks"] if not _clustered(one.partition("/")[0])]
    if alone and _clustered(baseline) and 1 not in config["workers"]:
        raise UserError(
            f"workers: 1 is missing, and {', '.join(alone)}, which run on one node, would be compared with nothing: "
            f"the baseline {config['baseline']} runs on the cluster; add 1, or leave them out"
        )
    here = master is None or _LOCAL_CLUSTER.fullmatch(master)
    if here and most(config) > 1 and "gpu" in config["devices"]:
        raise UserError(
            "workers: several workers of one machine would share its GPU: leave gpu out of `devices`, or name a "
            "cluster (`spark: master`)"
        )
    if not wanted(config) and (unread := [name for name in (*named, "hadoop") if spark[name] is not None]):
        raise UserError(f"spark: {unread[0]}: there is no cluster to have it: name more `workers`, or a master")
    for key in spark["settings"]:
        if said := _SAID_ELSEWHERE.get(key) or (_SAID_BY_VARIANT.match(key) and "the variant"):
            raise UserError(f"spark: settings: {key} is said by {said}; leave it out")
        if _SECRET.search(key):
            raise UserError(
                f"spark: settings: {key} is a secret, and the configuration is kept beside the records: give it by the "
                "environment (AWS_SECRET_ACCESS_KEY) or by Hadoop's credential providers"
            )


def identity(config: dict[str, Any], framework: str) -> dict[str, Any]:
    """What of `workers` and `spark` decides what is measured of a framework, under the key SPARK; {} if nothing does.

    It becomes part of the variant's definition, and thereby of the path of each record. A master is named without its
    address, by a digest, as are settings, which may hold one; a worker's share of the machine is named by the largest
    number of workers, for the machine is in the path already.
    """
    spark, found = config["spark"], {}
    if not FRAMEWORKS[framework].clustered:
        return {}
    if wanted(config):
        master, stated = spark["master"], {key: spark[key] for key in ("worker_cores", "worker_memory_gb")}
        found["master"] = _named(master, spark["hadoop"])
        found |= {key: value for key, value in stated.items() if value is not None}
        if master is None and None in stated.values():
            found["most_workers"] = most(config)
    if spark["settings"]:
        found["settings"] = digest(_settings(config))
    return {SPARK: found} if found else {}


def task(config: dict[str, Any], cell: Cell, spark_nlp: bool, cores: int) -> dict[str, Any]:
    """What the adapter of a cell is told of Spark (`vitbench.frameworks.Task.spark`).

    Args:
        spark_nlp: whether executors hold Spark NLP's model.
        cores: that the measurement may use.
    """
    if not FRAMEWORKS[cell.framework].clustered:
        return {}
    cluster = {"cluster": _cluster(config, cell.workers, spark_nlp, cores)} if wanted(config) else {}
    return {"settings": _settings(config)} | cluster


def to_check(config: dict[str, Any], spark_nlp: bool) -> dict[str, Any]:
    """With what Spark is started once before the first measurement, in the form of `task`: the extra settings and, if a
    cluster is configured, that one with all its workers.

    One of our own is not started then: nobody would stop it, should Snakemake be killed.
    """
    given = config["spark"]["master"] is not None and wanted(config)
    cluster = {"cluster": _cluster(config, most(config), spark_nlp, machine.cores())} if given else {}
    return {"settings": _settings(config)} | cluster


def _cluster(config: dict[str, Any], number: int, spark_nlp: bool, cores: int) -> dict[str, Any]:
    return {
        "master": config["spark"]["master"],
        "workers": number,
        "cores": cores_of_each(config, cores),
        "memory_mb": memory_of_each(config, spark_nlp),
        "hadoop": config["spark"]["hadoop"],
    }


def cores_of_each(config: dict[str, Any], cores: int) -> int:
    """Cores of a worker: what is stated, or the part of this machine's `cores` that most workers leave, 1 at least."""
    master, stated = config["spark"]["master"], config["spark"]["worker_cores"]
    if found := master and _LOCAL_CLUSTER.fullmatch(master):
        return int(found[2])
    return max(1, cores // most(config)) if stated is None else stated


def memory_of_each(config: dict[str, Any], spark_nlp: bool) -> int:
    """Heap of a worker's executor, MB of 2^20 bytes: what is stated, or its part of half of this machine's memory."""
    master, stated = config["spark"]["master"], config["spark"]["worker_memory_gb"]
    if found := master and _LOCAL_CLUSTER.fullmatch(master):
        return int(found[3])
    if stated is not None:
        return int(stated * 1024)
    return max(_LEAST[spark_nlp], min(_MOST, machine.memory_bytes() // 2**21 // most(config)))


def check_room(config: dict[str, Any], spark_nlp: bool, cores: int) -> None:
    """Check that this machine can be all the workers that are processes of its own.

    Args:
        spark_nlp: whether any executor holds Spark NLP's model.
        cores: that a measurement may use.

    Raises:
        UserError: it has too few cores, or too little memory.
    """
    master = config["spark"]["master"]
    if not wanted(config) or (master is not None and not _LOCAL_CLUSTER.fullmatch(master)):
        return
    number, each = most(config), cores_of_each(config, cores)
    if number * each > cores:
        raise UserError(
            f"workers: {number} workers of {each} core{'' if each == 1 else 's'} each are more than the {cores} cores "
            "of this machine: name fewer, or a cluster (`spark: master`)"
        )
    # Half of the memory is the executors'; the driver's heap, which loads the model, and the system have the rest.
    heap = number * memory_of_each(config, spark_nlp) * 2**20
    if heap > machine.memory_bytes() / 2:
        raise UserError(
            f"workers: the heaps of {number} workers are {heap / 1e9:.1f} GB, more than half of the "
            f"{machine.memory_bytes() / 1e9:.1f} GB of this machine: name fewer, or less for each (`spark: "
            "worker_memory_gb`)"
        )


def share_of_machine(config: dict[str, Any], cell: Cell, cores: int) -> float:
    """What a cell uses of the machine's cores, as a share; 1 on one node, and more where a cluster is larger."""
    return cell.workers * cores_of_each(config, cores) / cores if on_cluster(config, cell.framework) else 1.0


def _named(master: str | None, hadoop: str | None) -> str:
    """A master for a path and a record: no address, and two of them apart."""
    if master is None:
        return "standalone"
    if _LOCAL_CLUSTER.fullmatch(master):
        return master
    return f"{master.partition('://')[0]}-{digest([master, hadoop])}"


def _settings(config: dict[str, Any]) -> dict[str, str]:
    """The extra settings as Spark takes them: words."""
    return {key: _word(value) for key, value in config["spark"]["settings"].items()}


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
