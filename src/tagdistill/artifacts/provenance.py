"""Which code and which libraries made a result."""

from __future__ import annotations

import platform
from importlib.metadata import version

import tagdistill

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "pyarrow", "snakemake", "seqeval")


def versions() -> dict[str, str]:
    """Return the versions of tagdistill, Python and the libraries that a result depends on."""
    return {
        "tagdistill": tagdistill.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }
