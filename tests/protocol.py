"""The lock of the measuring sources: what a time means must not change unnoticed.

`python tests/protocol.py --no-effect-on-timing` writes tests/protocol.lock anew: after a change that leaves timings as
they were, or after `protocol` in config/config.yaml was raised because it does not.
"""

import argparse
import hashlib
import json
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "tests" / "protocol.lock"
SOURCES = (
    "scripts/measure.py",
    "scripts/vitbench/measure/energy.py",
    "scripts/vitbench/measure/quiet.py",
    "scripts/vitbench/measure/harness.py",
    "scripts/vitbench/measure/processes.py",
    "scripts/vitbench/steady.py",
    "scripts/vitbench/measure/supervisor.py",
    "scripts/vitbench/frameworks/**/*.py",
    "resources/variants.yaml",
)


def current() -> dict:
    """The protocol number and the SHA-256 of each measuring source, as they are now."""
    files = sorted(path for pattern in SOURCES for path in ROOT.glob(pattern))
    return {
        "protocol": yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["protocol"],
        "sources": {path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }


def changed() -> list[str]:
    """Sources that differ from the lock, if the protocol number is still the lock's."""
    locked, now = json.loads(LOCK.read_text()), current()
    if locked["protocol"] != now["protocol"]:
        return ["protocol"]
    every = locked["sources"].keys() | now["sources"].keys()
    return sorted(name for name in every if locked["sources"].get(name) != now["sources"].get(name))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-effect-on-timing", action="store_true", required=True)
    parser.parse_args()
    LOCK.write_text(json.dumps(current(), indent=1) + "\n")
