"""Build the compiled kernel with this machine's C++ compiler, once for each source, compiler and processor.

The library stands in the cache folder under a name that is a hash of all it was made from, so a stale one is never
found. It is written under another name first: two builds at once make the same file, and neither is seen half done.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tagdistill.artifacts.files import cache_folder
from tagdistill.errors import TagdistillError

log = logging.getLogger(__name__)

FOLDER = Path(__file__).with_name("source")
SOURCE = "interface.cpp"
# No -ffast-math: infinities and the order of sums are part of being exact. -fwrapv: exponents are shifted in integers.
FLAGS = (
    *("-O3", "-march=native", "-std=c++17", "-ffp-contract=fast", "-fwrapv"),
    *("-fPIC", "-shared", "-pthread", "-Wno-psabi"),
)


def build() -> Path:
    """Return the compiled kernel, built now if there is none for this source, compiler and processor."""
    compiler = find_compiler()
    # A path in full: of a bare name the loader would look in the system's folders.
    target = cache_folder().absolute() / f"tagdistill-kernel-{_key(compiler)}.so"
    try:
        if not target.exists():  # raises where the folder must not be looked into
            log.info("building the compiled kernel: %s", target)
            _compile(compiler, target)
    except OSError as error:
        raise TagdistillError(
            f"cannot be written: {error.strerror or error}",
            where=str(target),
            hint="Set TAGDISTILL_CACHE to a folder of yours, or use `kernel: torch`.",
        ) from error
    return target


def find_compiler() -> str:
    """Return the C++ compiler: what the variable CXX names, or c++, g++ or clang++."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    for name in names:
        if found := shutil.which(name):
            return found
    raise TagdistillError(
        f"the compiled kernel needs a C++ compiler, and there is none: {', '.join(names)}",
        where="kernel",
        hint="Install one (Debian, Ubuntu: apt install g++; conda: conda install cxx-compiler; macOS: "
        "xcode-select --install), name one in CXX, or use `kernel: torch`.",
    )


def _key(compiler: str) -> str:
    """Return a hash of the source, the flags, and what the compiler says of itself and of this processor."""
    seen = _run([compiler, *FLAGS, "-dM", "-E", "-x", "c++", os.devnull])
    parts = [" ".join(FLAGS).encode(), seen.encode()]
    for file in sorted(FOLDER.iterdir()):
        parts += [file.name.encode(), file.read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _compile(compiler: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".kernel-") as scratch:
        made = Path(scratch) / target.name
        _run([compiler, *FLAGS, str(FOLDER / SOURCE), "-o", str(made)])
        made.replace(target)


def _run(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise TagdistillError(
            f"the C++ compiler failed: {said.strip()[-2000:]}",
            where=" ".join(command),
            hint="Name another compiler in CXX, or use `kernel: torch`.",
        ) from error
