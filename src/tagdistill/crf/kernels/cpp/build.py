"""Build the compiled kernel with this machine's C++ compiler, once for each source, compiler and processor.

The library is kept in the cache folder under a name that is a hash of all that it is made from, so a stale one is never
loaded. It is written under another name first: two builds at once make the same file, and neither is seen half done.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tagdistill.crf.errors import KernelError

log = logging.getLogger(__name__)

FOLDER = Path(__file__).with_name("source")
SOURCE = "interface.cpp"
# No -ffast-math: infinities and the order of sums are part of being exact. -fwrapv: exponents are shifted in integers.
FLAGS = (
    *("-O3", "-march=native", "-std=c++17", "-ffp-contract=fast", "-fwrapv"),
    *("-fPIC", "-shared", "-pthread", "-Wno-psabi"),
)


def build() -> Path:
    """Return the library of the compiled kernel, built if there is none for this source, compiler and processor.

    Raises KernelError without a compiler, where the compiler fails, and for a cache folder that cannot be written.
    """
    compiler = find_compiler()
    # A path in full: of a bare name the loader would look in the system's folders.
    target = _cache().absolute() / f"tagdistill-kernel-{_key(compiler)}.so"
    try:
        if not target.exists():  # raises where the folder must not be looked into
            log.info("building the compiled kernel: %s", target)
            _compile(compiler, target)
    except OSError as error:
        raise KernelError(
            f"cannot be written: {error.strerror or error}",
            where=str(target),
            hint="Set TAGDISTILL_CACHE to a folder of yours, or use `kernel: torch`.",
        ) from error
    return target


def _cache() -> Path:
    """Return the folder that libraries are kept in: TAGDISTILL_CACHE, or the user's cache."""
    if folder := os.environ.get("TAGDISTILL_CACHE"):
        return Path(folder)
    import pooch

    return Path(pooch.os_cache("tagdistill"))


def find_compiler() -> str:
    """Return the C++ compiler: what the variable CXX names, or c++, g++ or clang++. Raises KernelError without one."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    for name in names:
        if found := shutil.which(name):
            return found
    raise KernelError(
        f"the compiled kernel needs a C++ compiler, and there is none: {', '.join(names)}",
        where="kernel",
        hint="Install one (Debian, Ubuntu: apt install g++; conda: conda install cxx-compiler; macOS: "
        "xcode-select --install), name one in CXX, or use `kernel: torch`.",
    )


def _key(compiler: str) -> str:
    """Return a hash of the source, the flags, and the compiler's macros, which tell it and this processor."""
    macros = _run([compiler, *FLAGS, "-dM", "-E", "-x", "c++", os.devnull])
    parts = [" ".join(FLAGS).encode(), macros.encode()]
    for file in sorted(FOLDER.iterdir()):
        parts += [file.name.encode(), file.read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _compile(compiler: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".kernel-") as scratch:
        library = Path(scratch) / target.name
        _run([compiler, *FLAGS, str(FOLDER / SOURCE), "-o", str(library)])
        with library.open("rb") as file:  # else a power cut may leave the whole name on a part of it
            os.fsync(file.fileno())
        library.replace(target)


def _run(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stderr", None) or str(error)
        raise KernelError(
            f"the C++ compiler failed: {output.strip()[-2000:]}",
            where=" ".join(command),
            hint="Name another compiler in CXX, or use `kernel: torch`.",
        ) from error
