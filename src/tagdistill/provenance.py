"""Which code and which libraries made a result."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

import tagdistill

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "pyarrow", "snakemake", "seqeval")


def code_version(*rooms: str) -> str:
    """Return a hash of the sources of some rooms (folders or modules) of the package.

    Snakemake cannot see our sources: a rule that carries this as a parameter reruns when, and only when, they change.
    """
    root = Path(tagdistill.__file__).parent
    files = sorted(file for room in rooms for file in _sources(root, room))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _sources(root: Path, room: str) -> list[Path]:
    if (root / f"{room}.py").exists():
        return [root / f"{room}.py"]
    found = [file for file in (root / room).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    if not found:
        raise ValueError(f"the package has no room {room!r}")
    return found


def versions() -> dict[str, str]:
    """Return the versions of tagdistill, Python and the libraries that a result depends on."""
    return {
        "tagdistill": tagdistill.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }
