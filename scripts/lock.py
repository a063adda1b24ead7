"""`make lock`: every lock and what is derived from it (conda files, sizes); a second run changes nothing.

envs/*.in and beside.toml -> envs/*.txt (hashes for all platforms, no address), envs/jars/*/jgo.toml -> jgo.lock.toml,
then envs/downloads.json (bytes by platform) and the conda files envs/*.yaml.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from lock_jars import main as lock_jars
from packaging import tags
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import sha256, write_atomically
from vitbench.inputs.jars import PLATFORMS as JAR_PLATFORMS
from vitbench.inputs.jars import file_name

PYTHON = "3.11"
UNIVERSAL = ("--universal", "--python-version", PYTHON)
WITHOUT_ADDRESSES = ("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header")
# What every first run installs; and what no run needs: MkDocs.
FIRST, DOCS = ("default", "tensorflow-export"), "docs"

# Platform, by its name in vitbench.machine: what markers see there.
PLATFORMS = {
    "linux-x86_64": ("linux", "Linux", "x86_64"),
    "linux-arm64": ("linux", "Linux", "aarch64"),
    "macosx-arm64": ("darwin", "Darwin", "arm64"),
    "macosx-x86_64": ("darwin", "Darwin", "x86_64"),
}

# What each conda environment names; everything else follows from these. `pip` is what conda-forge does not have.
CONDA = {
    "huggingface": {
        "conda": [
            *("torch", "torchvision", "transformers", "safetensors", "pillow", "numpy"),
            *("psutil", "nvidia-ml-py", "pyyaml", "jsonschema", "archspec", "duckdb", "tqdm"),
        ],
        "pip": ["simplejpeg"],
    },
    "onnxruntime": {
        "conda": [
            *("onnxruntime", "onnx", "torch", "torchvision", "transformers", "safetensors", "pillow", "numpy"),
            *("psutil", "nvidia-ml-py", "pyyaml", "jsonschema", "archspec", "duckdb", "tqdm"),
        ],
        "pip": ["simplejpeg"],
    },
    # OpenVINO itself comes from a lock of its own (envs/beside.toml).
    "openvino": {
        "conda": [
            *("onnx", "torch", "torchvision", "transformers", "safetensors", "pillow", "numpy"),
            *("psutil", "nvidia-ml-py", "pyyaml", "jsonschema", "archspec", "duckdb", "tqdm"),
        ],
        "pip": ["simplejpeg"],
    },
    "spark-huggingface": {
        "extra": ["openjdk=17"],
        "conda": [
            *("pyspark", "torch", "torchvision", "transformers", "safetensors", "pillow", "numpy"),
            *("psutil", "nvidia-ml-py", "pyyaml", "jsonschema", "archspec", "duckdb", "tqdm"),
        ],
        "pip": ["simplejpeg"],
    },
    "spark-onnxruntime": {
        "extra": ["openjdk=17"],
        "conda": [
            *("pyspark", "onnxruntime", "onnx", "torch", "torchvision", "transformers", "safetensors", "pillow"),
            *("numpy", "psutil", "nvidia-ml-py", "pyyaml", "jsonschema", "archspec", "duckdb", "tqdm"),
        ],
        "pip": ["simplejpeg"],
    },
    # OpenVINO as above.
    "spark-openvino": {
        "extra": ["openjdk=17"],
        "conda": [
            *("pyspark", "onnx", "torch", "torchvision", "transformers", "safetensors", "pillow"),
            *("numpy", "psutil", "nvidia-ml-py", "pyyaml", "jsonschema", "archspec", "duckdb", "tqdm"),
        ],
        "pip": ["simplejpeg"],
    },
    "sparknlp": {
        "extra": ["openjdk=17"],
        "conda": [
            "pyspark",
            "numpy",
            "pillow",
            "psutil",
            "nvidia-ml-py",
            "pyyaml",
            "jsonschema",
            "archspec",
            "requests",
            "duckdb",
            "tqdm",
        ],
        "pip": ["spark-nlp", "jgo", "simplejpeg"],
    },
    "model": {
        "conda": [
            *("torch", "torchvision", "transformers", "safetensors", "pillow", "numpy", "scipy"),
            *("scikit-image", "scikit-learn", "onnx", "onnxruntime", "uv", "psutil", "pyyaml", "jsonschema"),
            *("duckdb", "requests", "tqdm", "archspec"),
        ],
        "pip": ["simplejpeg"],
    },
    "report": {
        "conda": [
            *("pandas", "numpy", "scipy", "matplotlib", "seaborn", "xlsxwriter", "openpyxl", "pillow"),
            *("psutil", "pyyaml", "jsonschema", "fastjsonschema", "jinja2", "pygments"),
            *("nbformat", "nbclient", "nbconvert", "ipykernel"),
        ]
    },
}
CONDA_NAMES = {"torch": "pytorch", "duckdb": "python-duckdb"}
NEVER_SOLVED = "# Never solved here: no conda channel could be reached where this was written."


def compile_locks(root: Path, upgrade: bool) -> dict[Path, str]:
    """New text of each envs/*.txt: with `upgrade` the newest versions that fit, else what the .in files force."""
    answer, apart = {}, beside(root)
    with tempfile.TemporaryDirectory() as temporary:
        for name in (*FIRST, *apart, DOCS):
            target = root / "envs" / f"{name}.txt"
            new = Path(temporary, target.name)
            if target.exists():
                new.write_bytes(target.read_bytes())
            more = ["--upgrade"] if upgrade else []
            if name in apart:
                more += _beside(apart[name]["without"], Path(temporary), answer[root / "envs" / "default.txt"])
            _uv(root, "pip", "compile", *UNIVERSAL, *WITHOUT_ADDRESSES, *more, f"envs/{name}.in", "-o", new)
            answer[target] = new.read_text()
        # The uv that installs is the uv that is installed.
        constraint, new = Path(temporary, "constraint.txt"), Path(temporary, "uv.txt")
        constraint.write_text(f"uv=={versions(answer[root / 'envs' / 'default.txt'])['uv']}\n")
        options = (*UNIVERSAL, *WITHOUT_ADDRESSES, "--no-annotate", "-c", constraint)
        _uv(root, "pip", "compile", *options, "envs/uv.in", "-o", new)
        answer[root / "envs" / "uv.txt"] = new.read_text()
    return answer


def beside(root: Path) -> dict[str, dict]:
    """envs/beside.toml: name of a lock beside the default one → its `title`, and what it is `without`."""
    return tomllib.loads((root / "envs" / "beside.toml").read_text(encoding="utf-8"))


def _beside(without: list[str], temporary: Path, default: str) -> list[str]:
    """Options that leave these packages out of a lock, and those of the default lock, whose text is `default`: its
    versions hold for both.
    """
    constraint = temporary / "default.txt"
    constraint.write_text(default)
    left_out = {*without, *names(default)}
    return ["-c", str(constraint), *(f"--no-emit-package={each}" for each in sorted(left_out))]


def names(lock: str) -> set[str]:
    """The packages that a lock's text pins on any platform."""
    return set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))


def versions(lock: str) -> dict[str, str]:
    """Version of each package that a lock's text pins for the Python that is needed, on Linux x86-64."""
    here = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0", "sys_platform": "linux"}
    here["platform_machine"] = "x86_64"
    found = {}
    for line in re.findall(r"^[a-z0-9-]+==[^\\\n]+", lock, re.MULTILINE):
        wanted = Requirement(line)
        if not wanted.marker or wanted.marker.evaluate(here):
            found[wanted.name] = str(wanted.specifier).removeprefix("==")
    return found


def conda_file(name: str, pinned: dict[str, str]) -> str:
    """Text of envs/<name>.yaml, each version as `pinned`."""
    table = CONDA[name]
    lines = [NEVER_SOLVED, "# Written by `make lock` from envs/default.txt.", f"name: vitbench-{name}"]
    lines += ["channels:", "  - conda-forge", "  - nodefaults", "dependencies:", f"  - python={PYTHON}"]
    lines += [f"  - {line}" for line in table.get("extra", [])]
    lines += [f"  - {CONDA_NAMES.get(each, each)}=={pinned[each]}" for each in sorted(table["conda"])]
    if "pip" in table:
        lines += ["  - pip", "  - pip:", *(f"      - {each}=={pinned[each]}" for each in sorted(table["pip"]))]
    return "\n".join(lines) + "\n"


def chosen_files(pylock: dict, platform: str) -> list[dict] | None:
    """The file of each package that an installer takes on `platform`, or None if one has nothing for it."""
    sys_platform, system, machine = PLATFORMS[platform]
    environment = {
        "sys_platform": sys_platform,
        "platform_system": system,
        "platform_machine": machine,
        "os_name": "posix",
        "python_version": PYTHON,
        "python_full_version": f"{PYTHON}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    rank = {tag: place for place, tag in enumerate(supported_tags(platform))}
    answer = []
    for package in pylock["packages"]:
        if "marker" in package and not Marker(package["marker"]).evaluate(environment):
            continue
        best = None
        for wheel in package.get("wheels", []):
            fitting = [rank[tag] for tag in parse_wheel_filename(_name(wheel))[3] if tag in rank]
            if fitting and (best is None or min(fitting) < best[0]):
                best = (min(fitting), wheel)
        file = best[1] if best else package.get("sdist")
        if file is None:
            return None
        answer.append({"package": package["name"], "version": package["version"], "file": _name(file)} | file)
    return answer


def supported_tags(platform: str) -> Iterator[tags.Tag]:
    """Wheel tags that fit `platform`, best first: glibc 2.28, macOS 14."""
    machine = PLATFORMS[platform][2]
    if platform.startswith("macosx"):
        platforms = list(tags.mac_platforms((14, 0), machine))
    else:
        older = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
        platforms = []
        for minor in range(28, 4, -1):
            platforms.append(f"manylinux_2_{minor}_{machine}")
            platforms += [f"{older[minor]}_{machine}"] if minor in older else []
        platforms.append(f"linux_{machine}")
    version = tuple(map(int, PYTHON.split(".")))
    yield from tags.cpython_tags(version, platforms=platforms)
    yield from tags.compatible_tags(version, interpreter="cp311", platforms=platforms)


def package_sizes(root: Path, name: str) -> dict[str, str | int]:
    """Bytes of the files of one lock by platform (none where it does not fit), and the lock's digest.

    The registry states sizes or it does not; where not, the files are fetched with pip into a temporary folder.
    """
    lock = root / "envs" / f"{name}.txt"
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary, "pylock.toml")
        _uv(
            root,
            *("pip", "compile", *UNIVERSAL, "--format", "pylock.toml", "-c", lock, f"envs/{name}.in", "-o", target),
        )
        pylock = tomllib.loads(target.read_text())
    # What a lock beside the default one leaves out is not fetched for it.
    locked = names(lock.read_text())
    pylock["packages"] = [package for package in pylock["packages"] if package["name"] in locked]
    chosen = {platform: files for platform in PLATFORMS if (files := chosen_files(pylock, platform)) is not None}
    known: dict[str, int] = {}
    for platform, files in chosen.items():
        known |= {file["file"]: file["size"] for file in files if "size" in file}
        unknown = [file for file in files if file["file"] not in known]
        if unknown:
            known |= fetched_sizes(unknown, platform)
    sizes = {platform: sum(known[file["file"]] for file in files) for platform, files in chosen.items()}
    return {"lock": sha256(lock)} | sizes


def fetched_sizes(files: list[dict], platform: str) -> dict[str, int]:
    """Sizes of `files` by name, by fetching them with pip (each checked against its hash)."""
    print(f"the registry does not state the sizes of {len(files)} files for {platform}: fetching them with pip")
    platforms = dict.fromkeys(tag.platform for tag in supported_tags(platform) if tag.platform != "any")
    abis = ("cp311", "abi3", "none")
    with tempfile.TemporaryDirectory() as temporary:
        wanted = Path(temporary, "wanted.txt")
        wanted.write_text(
            "".join(
                f"{file['package']}=={file['version']} --hash=sha256:{file['hashes']['sha256']}\n" for file in files
            )
        )
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-cache-dir",
            "--require-hashes",
        ]
        command += ["--python-version", PYTHON, "--implementation", "cp", *(f"--abi={abi}" for abi in abis)]
        command += [*(f"--platform={each}" for each in platforms), "--dest", temporary, "-r", str(wanted)]
        if subprocess.run(command).returncode != 0:
            raise UserError(f"pip could not fetch the files for {platform} (see above): check the network or proxy")
        return {file["file"]: Path(temporary, file["file"]).stat().st_size for file in files}


def jar_sizes(set_folder: Path, repository: Path) -> dict[str, int] | None:
    """Bytes of a set of jars by platform (none where it has no natives), as they lie in the local Maven repository.

    None if one of them is not there.
    """
    jars = tomllib.loads((set_folder / "jgo.lock.toml").read_text())["dependencies"]
    sizes = []
    for jar in jars:
        path = repository.joinpath(*jar["groupId"].split("."), jar["artifactId"], jar["version"], file_name(jar))
        if not path.exists():
            return None
        classifier = jar.get("classifier", "")
        sizes.append(([name for name in JAR_PLATFORMS if name in classifier], path.stat().st_size))
    native = {name for names, _ in sizes for name in names}
    return {
        platform: sum(size for names, size in sizes if not names or platform in names)
        for platform in PLATFORMS
        if not native or platform in native
    }


def downloads(root: Path, old: dict) -> dict:
    """Content of envs/downloads.json; what belongs to an unchanged lock is taken from `old`."""
    from jgo.maven import MavenContext

    answer, apart = {}, beside(root)
    for name in (*FIRST, *apart):
        unchanged = old.get(name, {}).get("lock") == sha256(root / "envs" / f"{name}.txt")
        answer[name] = old[name] if unchanged else package_sizes(root, name)
        if name in apart:
            answer[name] = answer[name] | {"title": apart[name]["title"]}
    for spec in sorted((root / "envs" / "jars").glob("*/jgo.lock.toml")):
        found = jar_sizes(spec.parent, MavenContext().repo_cache) or old.get(spec.parent.name)
        if found:
            answer[spec.parent.name] = found
    return answer


def _name(file: dict) -> str:
    return file.get("name") or file["url"].rsplit("/", 1)[1]


def _uv(root: Path, *arguments: str | Path) -> None:
    command = [Path(sys.executable).with_name("uv"), *arguments, "--quiet"]
    if subprocess.run(command, cwd=root, stdout=subprocess.DEVNULL).returncode != 0:
        raise UserError("uv could not resolve the environment (see above): correct envs/*.in, or check the network")


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        write_atomically(path, text)
        print(f"changed: {path.name}")


def main() -> None:
    """Refresh everything in the checkout that this file lies in."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="change no version that the envs/*.in files still allow")
    parser.add_argument("--no-jars", action="store_true", help="leave the jars' locks as they are")
    options = parser.parse_args()
    root = Path(__file__).resolve().parent.parent
    envs = root / "envs"
    for path, text in compile_locks(root, upgrade=not options.keep).items():
        _write(path, text)
    pinned = versions((envs / "default.txt").read_text())
    for name in CONDA:
        _write(envs / f"{name}.yaml", conda_file(name, pinned))
    if not options.no_jars:
        lock_jars()
    sizes = envs / "downloads.json"
    old = json.loads(sizes.read_text()) if sizes.exists() else {}
    _write(sizes, json.dumps(downloads(root, old), indent=1) + "\n")


if __name__ == "__main__":
    exit_with_user_errors(main)
