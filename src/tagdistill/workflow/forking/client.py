"""What Snakemake starts for a job: it has the fork server run the job, and ends as the job ends.

    python -IS client.py SOCKET PROGRAM ARGUMENT...

PROGRAM is run with the arguments where there is no server any more, or one with another environment: libraries read
variables as they are loaded. Where it is empty the server is asked in any case.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OF_EACH_PROCESS = {b"_", b"SHLVL", b"PWD", b"OLDPWD", b"TMPDIR", b"TMP", b"TEMPDIR", b"TEMP"}  # not read by libraries


def environment(process: int | str) -> set[bytes]:
    """Return the variables with which a process began, but for those of each."""
    with open(f"/proc/{process}/environ", "rb") as file:  # noqa: PTH123 (an import of pathlib takes as long as the rest)
        return {each for each in file.read().split(b"\0") if each.partition(b"=")[0] not in OF_EACH_PROCESS}


def connected(path: str, in_any_case: bool) -> socket.socket | None:
    """Return a connection to the server, None where the job is to run on its own."""
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(path)
        process, _, _ = struct.unpack("3i", server.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return server if in_any_case or environment("self") == environment(process) else None
    except OSError:
        if in_any_case:
            raise
        return None


def run(server: socket.socket, arguments: list[str]) -> int | None:
    """Have a job run with this process's arguments, folder, environment and streams; return how it ended.

    None where it did not begin: the server has ended.
    """
    variables = [b"%s=%s" % pair for pair in os.environb.items()]
    parts = [b"%d" % len(arguments), os.getcwdb(), *map(os.fsencode, arguments), *variables]  # noqa: PTH109
    asked = b"\0".join(parts)
    try:
        socket.send_fds(server, [struct.pack("Q", len(asked))], [0, 1, 2])
        server.sendall(asked)
    except OSError:
        return None
    with server.makefile("r") as answers:
        job = int(answer(answers) or 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if job and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, _: pass_on(job, number))
        if status := answer(answers):
            return os.waitstatus_to_exitcode(int(status))
    if not job:
        return None
    sys.stderr.write("error: the process that jobs are forked from was killed, and this job with it: run again\n")
    return 1


def answer(answers: Any) -> str:
    """Return the next line from the server; none where it has ended, also before it read what it was asked."""
    try:
        line: str = answers.readline()
        return line
    except ConnectionResetError:
        return ""


def pass_on(job: int, number: int) -> None:
    """Send a job the signal that this process got."""
    try:  # noqa: SIM105 (an import of contextlib takes longer)
        os.kill(job, number)
    except ProcessLookupError:  # it has ended, and how will be told
        pass


def main() -> None:
    """Run the job, or become it."""
    path, program, *arguments = sys.argv[1:]
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:  # the streams exist: no socket takes the place of one
        pass
    os.close(null)
    server = connected(path, in_any_case=not program)
    code = run(server, arguments) if server else None
    if code is None:
        os.execv(program, [program, *arguments])
    if code < 0:  # the job ended by a signal, and so does this process
        if -code not in (signal.SIGKILL, signal.SIGSTOP):  # which have no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
