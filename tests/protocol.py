"""The lock of the measuring sources: what a time means must not change unnoticed.

`python tests/protocol.py --no-effect-on-timing` writes tests/protocol.lock anew: after a change that leaves timings as
they were, or after `protocol` in config/config.yaml was raised because it does not.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import yaml

# As a command, this file has no path to the library.
sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from vitbench.files import HOME  # noqa: E402
from vitbench.sources import measuring  # noqa: E402

LOCK = HOME / "tests" / "protocol.lock"


def current() -> dict:
    """The protocol number and the SHA-256 of each measuring source, as they are now."""
    # What a variant means decides, too; a record names that by its own digest.
    files = sorted([*measuring(), HOME / "resources" / "variants.yaml"])
    return {
        "protocol": yaml.safe_load((HOME / "config" / "config.yaml").read_text())["protocol"],
        "sources": {path.relative_to(HOME).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
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
