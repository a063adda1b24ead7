"""The jars of Spark NLP: resolved and downloaded by jgo, each checked against the lock file of its set.

A set is `<engine>-<device>` (onnx-cpu, tensorflow-gpu, ...) and lives in `envs/jars/<set>/`: `jgo.toml` says what is
wanted, `jgo.lock.toml` what that resolved to, with the SHA-256 of each jar.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import tomllib
from pathlib import Path

from vitbench.errors import UserError
from vitbench.files import sha256, staged
from vitbench.machine import platform_name

# Seconds to wait before another try when the network fails in the middle of hundreds of megabytes.
PAUSES = (2, 10)

# Jars whose classifier names a platform hold its native code; the others are fetched everywhere.
PLATFORMS = ("linux-x86_64", "linux-arm64", "macosx-x86_64", "macosx-arm64", "windows-x86_64")


def lock(folder: Path) -> None:
    """Resolve `folder/jgo.toml` and write `folder/jgo.lock.toml`, unless that would say the same again.

    The version that is named in jgo.toml stands; for everything else, the one nearest in the tree, as in Maven.
    """
    from jgo.env import EnvironmentBuilder, EnvironmentSpec
    from jgo.env._lockfile import LockFile, compute_spec_hash
    from jgo.maven import MavenContext

    context = MavenContext(timeout=60)
    spec_path, lock_path = folder / "jgo.toml", folder / "jgo.lock.toml"
    spec = EnvironmentSpec.load_or_error(spec_path)
    named, transitive = context.resolver.resolve(EnvironmentBuilder(context=context).spec_to_dependencies(spec))
    of_named = {(dep.groupId, dep.artifactId) for dep in named}
    wanted = {
        str(dep.artifact): dep
        for dep in [*named, *transitive]
        if dep.scope in ("compile", "runtime") and (dep in named or (dep.groupId, dep.artifactId) not in of_named)
    }
    new = LockFile.from_resolved_dependencies(
        [wanted[name] for name in sorted(wanted)], environment_name=spec.name, spec_hash=compute_spec_hash(spec_path)
    )
    if lock_path.exists():
        old = LockFile.load(lock_path)
        locked_before = [dependency.to_dict() for dependency in old.dependencies]
        if old.spec_hash == new.spec_hash and locked_before == [one.to_dict() for one in new.dependencies]:
            return
    with staged(lock_path) as temporary:
        new.save(temporary)


def locked(folder: Path) -> list[dict]:
    """The jars of a set that this platform needs, as its lock file lists them, in the order of the class path.

    protobuf comes first: Spark brings an older one that TensorFlow cannot read its graphs with.
    """
    path = folder / "jgo.lock.toml"
    if not path.exists():
        raise UserError(f"no lock file {path} for the jars of this engine and device: run `make lock`")
    jars = [
        jar
        for jar in tomllib.loads(path.read_text())["dependencies"]
        if not any(name in jar.get("classifier", "") for name in PLATFORMS) or platform_name() in jar["classifier"]
    ]
    return sorted(jars, key=lambda jar: jar["artifactId"] != "protobuf-java")


def file_name(jar: dict) -> str:
    """Name of a locked jar's file, as Maven would call it."""
    classifier = f"-{jar['classifier']}" if jar.get("classifier") else ""
    return f"{jar['artifactId']}-{jar['version']}{classifier}.{jar['packaging']}"


def fetch(set_folder: Path, folder: Path) -> None:
    """Fill `folder` with the jars of the set locked in `set_folder`; each is checked against its SHA-256.

    Jars that the local Maven repository (M2_REPO, else ~/.m2/repository) holds are linked, others are downloaded into
    it, by way of a temporary folder, so that a cut download is never taken for a jar.

    Raises:
        UserError: a jar cannot be downloaded, or is not the one that was locked.
    """
    from jgo.maven import MavenContext

    repository = MavenContext().repo_cache
    with staged(folder) as temporary:
        temporary.mkdir()
        for jar in locked(set_folder):
            name = file_name(jar)
            kept = repository.joinpath(*jar["groupId"].split("."), jar["artifactId"], jar["version"], name)
            if not kept.exists():
                _download(jar, kept, set_folder)
            _check(kept, jar["sha256"], set_folder)
            try:
                os.link(kept, temporary / name)
            except OSError:  # another file system
                shutil.copyfile(kept, temporary / name)


def verify(set_folder: Path, folder: Path) -> list[Path]:
    """Paths of the jars of a set in `folder`, in the order of the class path.

    Raises:
        UserError: one is missing or differs from the lock file.
    """
    paths = []
    for jar in locked(set_folder):
        path = folder / file_name(jar)
        if not path.exists():
            raise UserError(f"{path} is missing: remove {folder} and run again to fetch the jars anew")
        _check(path, jar["sha256"], set_folder)
        paths.append(path)
    return paths


def _check(path: Path, expected: str, set_folder: Path) -> None:
    found = sha256(path)
    if found != expected:
        raise UserError(
            f"{path} is not the jar that was locked: sha256 {found[:12]}…, {set_folder / 'jgo.lock.toml'} has "
            f"{expected[:12]}…; remove the file to fetch it again, or run `make lock` if the change is wanted"
        )


def _download(jar: dict, target: Path, set_folder: Path) -> None:
    import requests
    from jgo.maven import MavenContext

    target.parent.mkdir(parents=True, exist_ok=True)
    for pause in (*PAUSES, None):
        with tempfile.TemporaryDirectory(prefix=".vitbench-", dir=target.parent) as folder:
            context = MavenContext(repo_cache=Path(folder), timeout=60)
            component = context.project(jar["groupId"], jar["artifactId"]).at_version(jar["version"])
            try:
                path = component.artifact(jar.get("classifier", ""), jar["packaging"]).resolve()
            except (requests.RequestException, RuntimeError) as error:
                # A server's "no" is an answer (RuntimeError); a lookup or a connection that fails may come back.
                if pause is None or not isinstance(error, requests.RequestException):
                    raise UserError(
                        f"cannot download {file_name(jar)} ({error}): check the network or proxy, or put the file at "
                        f"{target}"
                    ) from error
            else:
                _check(path, jar["sha256"], set_folder)
                os.replace(path, target)
                return
        time.sleep(pause)
