"""Was all measured on the machine that the records name, and could that machine do it?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from vitbench import machine
from vitbench.analysis import physics
from vitbench.campaigns.checks import NotChecked, Record, probes
from vitbench.errors import UserError
from vitbench.frameworks import multiplies_with, precision, precisions_of
from vitbench.records import peak_file

if TYPE_CHECKING:
    from vitbench.campaigns.evidence import Evidence

# By how much the best library at the model's shapes may beat the canary's GEMM at its fastest. On a Zen 4 it did 1.2
# times as much, beside seven busy neighbours 2.5 times; a machine of many cores, which the canary's small matrices do
# not fill, may show several times that.
PEAK_OVER_CANARY = 12
# A SHA-256 of 64 digits in which fewer than this many kinds of digits occur was typed, not computed.
KINDS_OF_DIGITS = 8


def check_machine(evidence: Evidence) -> Iterable[str]:
    """The machine's id follows from processor, cores, memory and accelerators of the fingerprint."""
    nameless = []
    for path, record in evidence.records.items():
        facts = record["environment"]
        if not _whole(facts):
            nameless.append(path)
            continue
        devices = ["gpu"] if record["device"] == "gpu" else ["cpu", "gpu"]
        expected = list(dict.fromkeys(machine.identify(facts, [device]) for device in devices))
        if record["machine"] not in expected or facts.get("id", record["machine"]) != record["machine"]:
            yield f"{path}: machine {record['machine']}, expected {' or '.join(expected)} by its fingerprint"
    if nameless:
        more = f" (and {len(nameless) - 1} more)" if len(nameless) > 1 else ""
        yield (
            f"{nameless[0]}{more}: the fingerprint does not name the processor's microarchitecture, expected a record "
            "of protocol 3 or later; what was measured before has to be measured again"
        )


def _whole(facts: dict[str, Any]) -> bool:
    """Whether a fingerprint holds what the machine's id is made of."""
    chip, sizes = facts.get("processor"), (facts.get("cores"), facts.get("memory_bytes"))
    if not isinstance(chip, dict) or not isinstance(chip.get("microarchitecture"), str):
        return False
    words = [chip.get("instruction_sets"), facts.get("gpus")]
    named = all(isinstance(one, list) and all(isinstance(word, str) for word in one) for one in words)
    return named and all(isinstance(size, int) and size > 0 for size in sizes)


def check_software(evidence: Evidence) -> Iterable[str]:
    """Versions are those of the fingerprint, and hashes could be hashes."""
    for path, record in evidence.good.items():
        packages = record["environment"].get("packages") or {}
        for name, version in record["versions"].items():
            # A wheel's own version says how it was built: 2.15.0+cu132.
            if name in packages and str(version).partition("+")[0] != str(packages[name]).partition("+")[0]:
                yield f"{path}: {name} {version}, expected {packages[name]} as in its fingerprint"
        for name, digest in record["hashes"].items():
            if digest is not None and not _computed(digest):
                yield f"{path}: hash of {name} {str(digest)[:12]}, expected a SHA-256"
        if "measuring_code" not in record["hashes"]:
            yield f"{path}: no hash of the measuring code, expected one"


def _computed(digest: Any) -> bool:
    digits = set(digest) if isinstance(digest, str) and len(digest) == 64 else set()
    return digits <= set("0123456789abcdef") and len(digits) >= KINDS_OF_DIGITS


def check_precision(evidence: Evidence) -> Iterable[str]:
    """What the products were seen to run in is what the record says that they ran in, and what its variant declares."""
    for path, record in evidence.good.items():
        declared = precisions_of(record["framework"], record["identity"].get("definition") or {}, record["device"])
        if declared and record["precision"] not in (None, *declared):
            yield f"{path}: precision {record['precision']}, expected {' or '.join(sorted(declared))} of that variant"
    seen = {path: record for path, record in evidence.good.items() if record.get("executed")}
    for path, record in seen.items():
        if problem := precision.disagreement(record["precision"], record["executed"]):
            yield f"{path}: {problem}; expected precision {record['precision']}"
    if not seen:
        raise NotChecked("no record says what its products were seen to run in")


def check_physics(evidence: Evidence) -> Iterable[str]:
    """Nothing is faster than the machine's arithmetic, and that is about what the canaries say."""
    files: dict[str, dict[str, Any]] = {}
    for place in filter(peak_file.is_peak, evidence.archive.paths()):
        try:
            peak = evidence.archive.document(place)
        except UserError as error:
            yield str(error)
            continue
        if found := peak_file.problems(peak):
            yield from (f"{place}: {one}; expected what peak.schema.yaml says" for one in found)
        else:
            files[place] = peak
    by_folder: dict[str, list[dict[str, Any]]] = {}
    for place, peak in files.items():
        by_folder.setdefault(_folder(place), []).append(peak)
    peaks = {folder: peak_file.together(several) for folder, several in by_folder.items()}
    below: dict[str, list[Record]] = {folder: [] for folder in peaks}
    for path, record in evidence.good.items():
        if record["precision"] not in (None, *peak_file.precisions()):
            yield f"{path}: precision {record['precision']}, expected {', '.join(peak_file.precisions())}"
        folder = next((str(one) for one in PurePosixPath(path).parents if str(one) in peaks), None)
        if folder is None:
            continue
        below[folder].append(record)
        if record["precision"] == "int8" and physics.peak_of(peaks[folder], record["device"], "int8") is None:
            yield f"{path}: precision int8, expected one that peak.json in {folder} holds a rate of: measure that again"
        elif bound := _bound(peaks[folder], record):
            flop = peaks[folder]["flop_per_image"]
            if physics.impossible(record["throughput"], flop, bound["gflops"]):
                yield (
                    f"{path}: {record['throughput']:.2f} images/s, expected at most "
                    f"{bound['gflops'] * 1e9 / flop:.2f}, which are all {bound['gflops']:.0f} GFLOP/s of this machine "
                    f"({bound['library']}, {bound['precision']})"
                )
    for place, peak in files.items():
        yield from _beyond_the_canaries(place, peak, below[_folder(place)])
    if not any(below.values()):
        raise NotChecked("no peak.json of this machine and model")


def _folder(place: str) -> str:
    return str(PurePosixPath(place).parent)


def _bound(peak: dict[str, Any], record: Record) -> dict[str, Any] | None:
    """The rate that bounds a record: that of its precision, else the highest of any on its device."""
    definition = record["identity"].get("definition") or {}
    _, ran_in = multiplies_with(record["framework"], definition, record["device"], record["precision"])
    of_device = [one for one in peak["peak"] if one["device"] == record["device"]]
    highest = max(of_device, key=lambda one: one["gflops"], default=None)
    return physics.peak_of(peak, record["device"], ran_in) or highest


def _beyond_the_canaries(place: str, peak: dict[str, Any], records: list[Record]) -> Iterable[str]:
    """A peak that the canaries' GEMM, on the same cores, makes incredible."""
    best = physics.peak_of(peak, "cpu", "float32")
    canaries = [found[when]["gemm_gflops"] for one in records if (found := probes(one)) for when in ("before", "after")]
    known = [one for one in canaries if one]
    if best and known and best["gflops"] > PEAK_OVER_CANARY * max(known):
        yield (
            f"{place}: {best['gflops']:.0f} GFLOP/s in float32, expected at most {PEAK_OVER_CANARY} times "
            f"the fastest canary's {max(known):.0f}"
        )
