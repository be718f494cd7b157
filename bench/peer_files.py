"""Single files of peers whose packages, as a whole, want libraries that nothing here needs, or older ones.

The files are the peers' own, as they were installed; only the `__init__` of their packages are passed over.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path
from types import ModuleType

import torch


def flair_module(name: str) -> ModuleType:
    """Return a module of flair, such as `models.sequence_tagger_model`. Raises ImportError if something is missing."""
    if "flair" not in sys.modules:
        _stand_in_for_flair()
    return importlib.import_module(f"flair.{name}")


def supar_module(name: str) -> ModuleType:
    """Return a module of supar, such as `structs.linearchain`."""
    if "supar" not in sys.modules:
        folder = _folder("supar")
        for package in ("supar", "supar.structs", "supar.utils"):
            _package(package, folder.joinpath(*package.split(".")[1:]))
    return importlib.import_module(f"supar.{name}")


def _stand_in_for_flair() -> None:
    folder = _folder("flair")
    flair = _package("flair", folder)
    flair.__dict__.update(device=torch.device("cpu"), cache_root=Path("build/flair"), __version__="0.15.1", _arrow="→")
    exported = {
        "embeddings": ("Embeddings", "TokenEmbeddings"),
        "datasets": ("DataLoader", "FlairDatapointDataset"),
        "models": (),
    }
    for name, classes in exported.items():
        package = _package(f"flair.{name}", folder / name)
        setattr(flair, name, package)
        for each in classes:
            setattr(package, each, getattr(importlib.import_module(f"flair.{name}.base"), each))


def _folder(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise ImportError(f"No module named {name!r}")
    return Path(found.origin).parent


def _package(name: str, folder: Path) -> ModuleType:
    module = types.ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module
    return module
