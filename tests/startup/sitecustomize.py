"""What a process of a test begins with, where its PYTHONPATH names this folder.

Between two tries of a download it waits for a hundredth of the time. With a file in ATTEMPTS its network is cut: each
attempt to reach another machine, or to find its address, is noted there and refused.
"""

import os
import sys
import time

sleep = time.sleep


def wait_less(seconds):
    sleep(seconds / 100 if seconds >= 1 else seconds)


def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        with open(os.environ["ATTEMPTS"], "a") as handle:
            print(event, arguments, file=handle)
        raise OSError("the network is cut")


time.sleep = wait_less
if "ATTEMPTS" in os.environ:
    sys.addaudithook(refuse)
