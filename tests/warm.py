"""Snakemake in a process that has imported it already: each run is a fork of it, which saves a second a run.

As a program: reads a JSON line for each run (its folder, arguments, environment, and the file for its output), answers
with the exit status. It imports nothing of ours: which library a run finds is for the Snakefile to say.
"""

import json
import os
import sys


def run(folder: str, arguments: list[str], environment: dict[str, str], output: str) -> None:
    """Become `python -m snakemake` with these arguments; ends the process."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, output, os.O_WRONLY | os.O_TRUNC)):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(1, 2)
    from snakemake import cli

    sys.argv = [os.path.join(os.path.dirname(cli.__file__), "__main__.py"), *arguments]
    cli.main()


def serve() -> None:
    """Run what the lines of standard input say, one after another."""
    for line in iter(sys.stdin.readline, ""):
        if (child := os.fork()) == 0:
            run(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    sys.path[0] = ""  # as with -m
    import snakemake.cli
    import snakemake.dag
    import snakemake.scheduling.job_scheduler
    import snakemake.script
    import snakemake.workflow  # noqa: F401 - what every run imports

    serve()
