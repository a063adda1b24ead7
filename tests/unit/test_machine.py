"""What the machine is: read from made-up files of systems that are not here, and from this one."""

import json
import re

import pytest

from vitbench import machine, processor
from vitbench.errors import UserError

X86 = """\
processor\t: {number}
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R)
stepping\t: 8
microcode\t: 0x2b000571
physical id\t: {socket}
core id\t\t: {core}
flags\t\t: fpu avx512f amx_bf16

"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_processor_with_two_sockets_and_hyperthreads(tmp_path):
    places = [(socket, core) for socket in range(2) for core in range(2)] * 2
    blocks = [X86.format(number=number, socket=socket, core=core) for number, (socket, core) in enumerate(places)]
    write(tmp_path / "proc/cpuinfo", "".join(blocks))
    system = tmp_path / "sys/devices/system"
    for number, (level, kind, size) in enumerate([(1, "Data", "48K"), (2, "Unified", "2048K"), (3, "Unified", "60M")]):
        folder = system / f"cpu/cpu0/cache/index{number}"
        for name, text in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", "0,4")):
            write(folder / name, f"{text}\n")
    for node in range(2):
        (system / f"node/node{node}").mkdir(parents=True)
    write(system / "cpu/smt/active", "1\n")
    found = processor.read(tmp_path)
    assert (found["logical"], found["physical"], found["sockets"], found["numa_nodes"]) == (8, 4, 2, 2)
    assert (found["vendor"], found["family"], found["model"], found["stepping"]) == ("GenuineIntel", "6", "143", "8")
    assert found["microcode"] == "0x2b000571" and "amx_bf16" in found["flags"].split()
    assert found["caches"] == {"L1d": "48K, cpu 0,4", "L2": "2048K, cpu 0,4", "L3": "60M, cpu 0,4"}
    assert found["smt"] == "1" and found["virtual"] is False and found["boost"] is None


def test_an_arm_processor_says_it_in_other_words(tmp_path):
    write(
        tmp_path / "proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"
    )
    found = processor.read(tmp_path)
    assert (found["vendor"], found["model"], found["flags"]) == ("0x41", "0xd40", "fp asimd")
    assert found["logical"] == 1 and found["physical"] is None


def test_a_system_without_such_files_tells_little(tmp_path):
    found = processor.read(tmp_path)
    assert found["logical"] >= 1 and found["microcode"] is None and found["caches"] == {}


def test_the_fingerprint_is_of_this_machine_and_fits_a_record(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    # Each variant sets these two.
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/somewhere")
    monkeypatch.setenv("MY_SECRET", "hush")
    found = machine.fingerprint()
    assert json.loads(json.dumps(found)) == found
    assert found["id"] == machine.machine_id() and found["machine"] == machine.describe()
    assert found["variables"]["OMP_NUM_THREADS"] == "3"
    left_out = {"TF_CLI_CONFIG_FILE", "MY_SECRET", "TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS"}
    assert not left_out & found["variables"].keys()
    # What others read.
    assert {"platform", "python", "cores", "memory_bytes", "gpus", "load_before", "packages"} <= found.keys()


def test_another_machine_is_refused_by_both_names():
    machine.check_configured(machine.machine_id())
    with pytest.raises(UserError, match=rf"machine: xeon-2 is configured, this machine is {machine.machine_id()};"):
        machine.check_configured("xeon-2")


# --- which processor it is

SKYLAKE = "fpu sse4_2 avx avx2 fma f16c bmi2 avx512f avx512dq avx512bw avx512cd avx512vl"
ICELAKE = f"{SKYLAKE} avx512ifma avx512vbmi avx512_vbmi2 avx512_vnni avx512_bitalg avx512_vpopcntdq"
RAPIDS = f"{ICELAKE} avx_vnni avx512_bf16 avx512_fp16 amx_bf16 amx_tile amx_int8"
ZEN2 = "fpu sse4_2 avx avx2 fma f16c bmi2 clwb rdpid"
# A hypervisor shows neither sse4a nor avx512_vp2intersect, by which archspec would know a Zen.
ZEN4 = f"{ICELAKE} avx512_bf16"
ZEN5 = f"{ZEN4} avx_vnni"
GRAVITON3 = "fp asimd evtstrm aes fphp asimdhp asimddp sve bf16 i8mm svebf16"


def x86(vendor, family, model, stepping, flags):
    numbers = f"vendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\nstepping\t: {stepping}\n"
    return f"processor\t: 0\n{numbers}model name\t: A processor\nflags\t\t: {flags}\n\n"


def arm(implementer, *parts, features):
    return "".join(
        f"processor\t: {number}\nFeatures\t: {features}\nCPU implementer\t: {implementer}\nCPU part\t: {part}\n\n"
        for number, part in enumerate(parts)
    )


PROCESSORS = {
    "zen2": (x86("AuthenticAMD", 23, 49, 0, ZEN2), "zen2-avx2"),
    "zen": (x86("AuthenticAMD", 23, 1, 2, ZEN2), "zen-avx2"),
    "zen4": (x86("AuthenticAMD", 25, 17, 1, ZEN4), "zen4-avx512bf16"),
    "zen5": (x86("AuthenticAMD", 26, 2, 1, ZEN5), "zen5-avx512bf16"),
    "zen4 without its AVX-512": (x86("AuthenticAMD", 25, 17, 1, ZEN2), "zen4-avx2"),
    "an AMD of tomorrow": (x86("AuthenticAMD", 27, 5, 0, ZEN5), "zen4-27-5-avx512bf16"),
    "sapphirerapids": (x86("GenuineIntel", 6, 143, 8, RAPIDS), "sapphirerapids-amx"),
    "graniterapids": (x86("GenuineIntel", 6, 173, 1, f"{RAPIDS} amx_fp16"), "graniterapids-amx"),
    "a model number that is a disguise": (x86("GenuineIntel", 6, 106, 6, RAPIDS), "sapphirerapids-6-106-amx"),
    "skylake server": (x86("GenuineIntel", 6, 85, 4, SKYLAKE), "skylake-avx512"),
    "cascadelake": (x86("GenuineIntel", 6, 85, 7, f"{SKYLAKE} avx512_vnni"), "cascadelake-avx512vnni"),
    "cascadelake's first stepping": (
        x86("GenuineIntel", 6, 85, 5, f"{SKYLAKE} avx512_vnni"),
        "cascadelake-avx512vnni",
    ),
    "cooperlake": (x86("GenuineIntel", 6, 85, 11, f"{SKYLAKE} avx512_vnni avx512_bf16"), "cooperlake-avx512bf16"),
    "skylake client": (x86("GenuineIntel", 6, 94, 3, ZEN2), "skylake-avx2"),
    "an Intel that has no line": (x86("GenuineIntel", 6, 158, 10, ZEN2), "skylake-6-158-avx2"),
    "a maker nobody knows": (x86("NewCompany", 7, 1, 0, ZEN2), "x86-64-v3-7-1-avx2"),
    "graviton3": (arm("0x41", "0xd40", "0xd40", features=GRAVITON3), "neoverse-v1-svebf16"),
    "graviton2": (arm("0x41", "0xd0c", features="fp asimd fphp asimdhp"), "neoverse-n1-asimd"),
    "m1 with both kinds of cores": (
        arm("0x61", "0x022", "0x023", features="fp asimd fphp asimdhp asimddp"),
        "m1-asimd",
    ),
}


def facts(tmp_path, cpuinfo, **more):
    write(tmp_path / "proc/cpuinfo", cpuinfo)
    return {"processor": processor.read(tmp_path), "cores": 2, "memory_bytes": 25276502016, "gpus": []} | more


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_id_names_the_microarchitecture_and_the_widest_instructions(tmp_path, name):
    cpuinfo, expected = PROCESSORS[name]
    assert machine.identify(facts(tmp_path, cpuinfo), ["cpu"]) == f"{expected}-2c-24g"


def test_two_generations_under_one_name_have_two_ids(tmp_path):
    """The two processors that both came out as amd-epyc-2c-24g."""
    one, two = (facts(tmp_path / name, PROCESSORS[name][0]) for name in ("zen4", "zen5"))
    assert machine.identify(one, ["cpu"]) != machine.identify(two, ["cpu"])
    assert processor.line(one) != processor.line(two)


@pytest.mark.parametrize(
    ("sets", "multiplies"),
    [
        (["avx512_bf16", "avx512f"], True),
        (["amx_bf16", "amx_tile"], True),
        (["asimd", "bf16"], True),
        (["avx2", "fma"], False),
        ([], False),
    ],
)
def test_bfloat16_is_multiplied_where_x86_or_arm_say_so(monkeypatch, sets, multiplies):
    monkeypatch.setattr(processor, "read", lambda: {"instruction_sets": sets})
    assert processor.multiplies_bfloat16() == multiplies


def test_two_arm_processors_that_archspec_does_not_know_have_two_ids(tmp_path):
    ids = {
        machine.identify(facts(tmp_path / part, arm("0x99", part, features=GRAVITON3)), ["cpu"])
        for part in ("0x001", "0x002")
    }
    assert len(ids) == 2 and all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*", one) and len(one) < 60 for one in ids)


def test_a_system_without_flags_is_named_by_archspec(monkeypatch):
    """macOS tells the name alone."""
    from archspec import cpu

    monkeypatch.setattr(cpu, "host", lambda: cpu.TARGETS["m1"])
    assert processor.microarchitecture([]) == "m1"
    chip = {"microarchitecture": "m1", "instruction_sets": [], "name": "Apple M1 Pro"}
    known = {"processor": chip, "cores": 8, "memory_bytes": 2**34, "gpus": ["Apple M1 Pro GPU (mps)"]}
    assert machine.identify(known, ["cpu"]) == "m1-8c-16g"


def test_the_accelerator_stands_in_the_id_where_a_run_uses_it(tmp_path):
    known = facts(tmp_path, PROCESSORS["zen4"][0], gpus=["NVIDIA H100 80GB HBM3"] * 2)
    assert machine.identify(known, ["cpu"]) == "zen4-avx512bf16-2c-24g"
    assert machine.identify(known, ["cpu", "gpu"]) == "zen4-avx512bf16-2c-24g-nvidia-h100-80gb-hbm3"


@pytest.mark.parametrize(
    ("least", "most", "gib"), [(7.5, 7.9, 8), (23.4, 24.04, 24), (30.9, 31.9, 32), (61.5, 63.9, 64), (248, 256, 256)]
)
def test_what_the_kernel_keeps_of_the_memory_does_not_change_the_id(least, most, gib):
    assert machine.memory_gib(int(least * 2**30)) == machine.memory_gib(int(most * 2**30)) == gib


def test_a_line_of_the_processor_changes_with_what_decides_speed_and_not_with_microcode(tmp_path):
    cpuinfo = PROCESSORS["zen4"][0]
    line = processor.line(facts(tmp_path, cpuinfo))
    assert line.startswith("zen4 (AuthenticAMD 25.17.1, ")
    assert processor.line(facts(tmp_path, cpuinfo.replace("stepping", "microcode\t: 0x1\nstepping"))) == line
    assert processor.line(facts(tmp_path, cpuinfo.replace("flags\t\t: fpu", "flags\t\t: fpu pku"))) == line
    assert processor.line(facts(tmp_path, cpuinfo.replace("stepping\t: 1", "stepping\t: 2"))) != line
    assert processor.line(facts(tmp_path, cpuinfo.replace(" avx512_bf16", ""))) != line
    assert processor.line({"machine": "AMD EPYC, 2 cores"}) is None  # a record of protocol 2


# --- what of it this process may use


@pytest.fixture
def control_group(tmp_path, monkeypatch):
    """Puts this process, on a machine of eight cores, into a control group with these files."""

    def enter(**files: str) -> None:
        for name, text in files.items():
            write(tmp_path / name.replace("__", "."), text + "\n")
        monkeypatch.setattr(
            machine, "_cgroup_files", lambda _, name: [tmp_path / name] if (tmp_path / name).exists() else []
        )
        monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    return enter


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu__max": "max 100000"}, 8),
        ({"cpu__max": "250000 100000"}, 2),
        ({"cpu__max": "50000 100000"}, 1),
        ({"cpu__cfs_quota_us": "-1", "cpu__cfs_period_us": "100000"}, 8),
        ({"cpu__cfs_quota_us": "300000", "cpu__cfs_period_us": "100000"}, 3),
    ],
)
def test_a_quota_limits_the_cores_and_none_limits_nothing(control_group, files, cores):
    control_group(**files)
    assert machine.cores() == cores


@pytest.mark.parametrize("name", ["memory__max", "memory__limit_in_bytes"])
def test_a_limit_of_memory_counts_where_it_is_below_the_machines(control_group, name):
    whole = machine.os.sysconf("SC_PAGE_SIZE") * machine.os.sysconf("SC_PHYS_PAGES")
    control_group(**{name: str(2**63 - 4096)})  # how version 1 writes that there is none
    assert machine.memory_bytes() == whole
    control_group(**{name: str(2**29)})
    assert machine.memory_bytes() == 2**29


@pytest.mark.parametrize(
    ("told", "seconds"), [("throttled_usec 2500000", 2.5), ("throttled_time 2500000000", 2.5), ("nr_periods 4", None)]
)
def test_throttled_time_is_in_seconds_whatever_the_version_counts_in(control_group, told, seconds):
    control_group(cpu__stat=f"nr_throttled 3\n{told}")
    assert machine.throttled_seconds() == seconds


def test_what_groups_within_each_other_were_held_back_for_is_added(tmp_path, monkeypatch):
    """The outer one may have been held back for long before this began, and tells nothing of the inner one."""
    files = [tmp_path / name for name in ("inner", "outer")]
    files[1].write_text("throttled_usec 900000000\n")
    monkeypatch.setattr(machine, "_cgroup_files", lambda *_: files)
    seen = []
    for inner in (0, 3_000_000):
        files[0].write_text(f"throttled_usec {inner}\n")
        seen.append(machine.throttled_seconds())
    assert seen[1] - seen[0] == pytest.approx(3)


def test_the_start_of_a_node_has_a_name_of_its_own_that_stays(monkeypatch):
    assert machine.fingerprint()["boot"] == machine.boot()
    names = set()
    for drawn in ("one", "another", "another"):
        monkeypatch.setattr(processor, "text_of", lambda file, drawn=drawn: drawn if file.name == "boot_id" else None)
        names.add(machine.boot())
    assert len(names) == 2 and {len(name) for name in names} == {8}
    monkeypatch.setattr(processor, "text_of", lambda file: None)
    assert machine.boot() is None
