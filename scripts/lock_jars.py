"""Resolve every set of jars in envs/jars anew: `python scripts/lock_jars.py` (a part of `make lock`)."""

from pathlib import Path

from vitbench.inputs.jars import lock


def main() -> None:
    for spec in sorted((Path(__file__).parent.parent / "envs" / "jars").glob("*/jgo.toml")):
        print(f"resolving {spec.parent.name}")
        lock(spec.parent)


if __name__ == "__main__":
    main()
