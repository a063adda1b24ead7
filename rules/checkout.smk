# Finds this checkout, also when it is a module of another workflow, so that this process and all jobs find its library.
import os
import sys
import tarfile
import tempfile


def unpack_checkout(source):
    """Folder of the checkout that holds a rule file; of one from afar, `github(…)`, a copy under .snakemake/.

    From afar, Snakemake fetches single files out of a clone that it keeps. Our library is a folder, and jobs need it.
    """
    if not hasattr(source, "hosted_repo"):
        return os.path.dirname(source.get_path_or_uri(secret_free=True))
    commit = source.hosted_repo.repo.commit(source.ref)
    folder = os.path.abspath(f".snakemake/vitbench-{commit.hexsha[:12]}")
    if not os.path.isdir(folder):
        os.makedirs(".snakemake", exist_ok=True)
        with tempfile.TemporaryDirectory(dir=".snakemake") as partial:
            with tempfile.TemporaryFile() as packed:
                source.hosted_repo.repo.archive(packed, commit.hexsha)
                packed.seek(0)
                with tarfile.open(fileobj=packed) as archive:
                    archive.extractall(f"{partial}/whole", filter="data")
            os.rename(f"{partial}/whole", folder)
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if f"{folder}/scripts" not in known:
        paths = filter(None, [*known, f"{folder}/scripts"])
        os.environ.update(PYTHONPATH=os.pathsep.join(paths))
    return folder


# As a module of another workflow, not the folder of the Snakefile that was started.
HOME = unpack_checkout(workflow.current_basedir)

sys.path.insert(0, os.path.join(HOME, "scripts"))
