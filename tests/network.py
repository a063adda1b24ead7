"""A network that consists of the loopback interface alone, in which the kernel counts who wanted to go further."""

import subprocess
import sys

# Packets without a route, and questions to a name server on this machine that nobody answers. Without anybody's proxy:
# one on this machine would be asked in place of the network.
COUNTED = """
import os, subprocess, sys
def count():
    lines = [line.split() for line in open("/proc/net/snmp")]
    four = {names[0] + name: int(value) for names, values in zip(lines[::2], lines[1::2])
            for name, value in zip(names[1:], values[1:])}
    six = dict(line.split() for line in open("/proc/net/snmp6"))
    return four["Ip:OutNoRoutes"] + four["Udp:NoPorts"] + int(six["Ip6OutNoRoutes"]) + int(six["Udp6NoPorts"])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
before = count()
status = subprocess.run(sys.argv[1:], env=clean).returncode
print("asked the network", count() - before, "times")
sys.exit(status)
"""
CUT_OFF = ("unshare", "--map-root-user", "--net", sys.executable, "-c", COUNTED)
NOBODY_ASKED = "asked the network 0 times"


def may_be_cut() -> bool:
    """Whether this system lets anybody make a network of their own."""
    try:
        return subprocess.run([*CUT_OFF, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
