"""Stands in for Slurm's commands, by the name under which it is called: its one node has one core of this machine.

`sbatch` runs the job before it returns, and notes in $STAND_IN_NOTES what it was asked for and how the job ended; the
others tell what is noted there. Only what the executor plugin and vitbench ask is answered.
"""

import json
import os
import subprocess
import sys
from itertools import count
from pathlib import Path

NOTES = Path(os.environ["STAND_IN_NOTES"])


def jobs() -> list[dict]:
    return [json.loads(note.read_text()) for note in sorted(NOTES.glob("*.json"), key=lambda note: int(note.stem))]


def note(job: dict) -> None:
    (NOTES / f"{job['id']}.new").write_text(json.dumps(job))
    (NOTES / f"{job['id']}.new").rename(NOTES / f"{job['id']}.json")


def free_number() -> str:
    """A number that no other call takes, though several run at once."""
    for number in map(str, count(1)):
        try:
            (NOTES / f"{number}.taken").touch(exist_ok=False)
            return number
        except FileExistsError:
            continue


def option(asked: list[str], name: str) -> str:
    """The value of an option, given as `--name value` or `--name=value`."""
    for place, word in enumerate(asked):
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
        if word == name:
            return asked[place + 1]
    raise SystemExit(f"stand-in: no {name} among {asked}")


def sbatch(asked: list[str]) -> None:
    job = {"id": free_number(), "name": option(asked, "--job-name"), "asked": asked, "state": "RUNNING"}
    note(job)
    log = Path(option(asked, "--output").replace("%j", job["id"]))
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as output:
        done = subprocess.run(
            ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), "sh", "-c", option(asked, "--wrap")],
            cwd=option(asked, "-D"),
            env=os.environ | {"SLURM_JOB_ID": job["id"]},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    note(job | {"state": "FAILED" if done.returncode else "COMPLETED"})
    print(job["id"])


def srun(asked: list[str]) -> None:
    command = next(place for place, word in enumerate(asked) if not word.startswith("-"))
    os.execvp(asked[command], asked[command:])


def squeue(asked: list[str]) -> None:
    (job,) = (job for job in jobs() if job["id"] == option(asked, "--jobs"))
    print("NO" if "--exclusive" in job["asked"] else "OK")


def sacct(asked: list[str]) -> None:
    if "--name" in asked:  # not the question for the account that was used last
        for job in jobs():
            if job["name"] == option(asked, "--name"):
                print(f"{job['id']}|{job['state']}")


def main() -> None:
    command, *asked = sys.argv
    match Path(command).name:
        case "sbatch":
            sbatch(asked)
        case "srun":
            srun(asked)
        case "squeue":
            squeue(asked)
        case "sacct":
            sacct(asked)
        case "sinfo":
            print("PARTITION\nbatch*")
        case "scontrol":
            print("MaxArraySize = 1001\nMinJobAge = 300 sec")
        case "sacctmgr" | "sshare" | "scancel":
            pass
        case other:
            raise SystemExit(f"stand-in: nobody asked for {other} before")


if __name__ == "__main__":
    main()
