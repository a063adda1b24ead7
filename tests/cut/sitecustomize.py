"""Notes each attempt of a Python process to reach another machine, or to find its address, and refuses it."""

import os
import sys


def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        with open(os.environ["ATTEMPTS"], "a") as handle:
            print(event, arguments, file=handle)
        raise OSError("the network is cut")


sys.addaudithook(refuse)
