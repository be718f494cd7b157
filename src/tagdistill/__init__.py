"""Structure-level knowledge distillation of multilingual sequence taggers (Wang et al., ACL 2020)."""

from importlib import import_module
from importlib.metadata import version

__all__ = ["Tagger", "__version__"]
__version__ = version("tagdistill")  # of pyproject.toml


def __getattr__(name: str) -> object:
    # By name: no stage of the workflow runs it, and what every module imports is part of every job's key.
    if name == "Tagger":
        return import_module("tagdistill.tagger.tagger").Tagger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
