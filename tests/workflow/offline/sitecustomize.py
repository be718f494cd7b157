"""Python reads this file at its start where the folder is on its path: no connection leaves the process, none unseen.

Each process says in the file OFFLINE_LOG as it ends what it was, and each attempt to reach the network that it was
made: a library may swallow the error and go on. (As it starts, a forked job does not know yet what it will be.)
"""

import atexit
import os
import socket
import sys

LOG = os.environ["OFFLINE_LOG"]
connect = socket.socket.connect


def write(line):
    with open(LOG, "a", encoding="utf-8") as file:  # noqa: PTH123 (nothing is imported that a process would not import)
        file.write(line + "\n")


def refuse(*address):
    write(f"attempt {address}")
    raise OSError("the network is off")


def checked(self, address):
    return connect(self, address) if self.family == socket.AF_UNIX else refuse(address)


socket.socket.connect = socket.socket.connect_ex = checked
socket.getaddrinfo = socket.gethostbyname = refuse
atexit.register(lambda: write("ended " + " ".join(sys.orig_argv)[:400].replace("\n", " ")))
