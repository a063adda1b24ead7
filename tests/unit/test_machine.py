"""What the machine is: read from made-up files of systems that are not here, and from this one."""

import json

import pytest

from vitbench import machine
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
    found = machine.processor(tmp_path)
    assert (found["logical"], found["physical"], found["sockets"], found["numa_nodes"]) == (8, 4, 2, 2)
    assert (found["vendor"], found["family"], found["model"], found["stepping"]) == ("GenuineIntel", "6", "143", "8")
    assert found["microcode"] == "0x2b000571" and "amx_bf16" in found["flags"].split()
    assert found["caches"] == {"L1d": "48K, cpu 0,4", "L2": "2048K, cpu 0,4", "L3": "60M, cpu 0,4"}
    assert found["smt"] == "1" and found["virtual"] is False and found["boost"] is None


def test_an_arm_processor_says_it_in_other_words(tmp_path):
    write(
        tmp_path / "proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"
    )
    found = machine.processor(tmp_path)
    assert (found["vendor"], found["model"], found["flags"]) == ("0x41", "0xd40", "fp asimd")
    assert found["logical"] == 1 and found["physical"] is None


def test_a_system_without_such_files_tells_little(tmp_path):
    found = machine.processor(tmp_path)
    assert found["logical"] >= 1 and found["microcode"] is None and found["caches"] == {}


def test_the_fingerprint_is_of_this_machine_and_fits_a_record(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")  # each variant sets it
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/somewhere")
    monkeypatch.setenv("MY_SECRET", "hush")
    found = machine.fingerprint()
    assert json.loads(json.dumps(found)) == found
    assert found["id"] == machine.machine_id() and found["machine"] == machine.describe()
    assert found["variables"]["OMP_NUM_THREADS"] == "3" and found["variables"]["TF_NUM_INTRAOP_THREADS"] == "1"
    assert not {"TF_CLI_CONFIG_FILE", "MY_SECRET", "TF_ENABLE_ONEDNN_OPTS"} & found["variables"].keys()
    # What others read.
    assert {"platform", "python", "cores", "memory_bytes", "gpus", "load_before", "packages"} <= found.keys()


def test_another_machine_is_refused_by_both_names():
    machine.check_configured(machine.machine_id())
    with pytest.raises(UserError, match=rf"machine: xeon-2 is configured, this machine is {machine.machine_id()};"):
        machine.check_configured("xeon-2")
