"""What a page of measurements says of the machine and the libraries that made it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """Return the processor, the load beside the measurement, and the versions."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def processor() -> str:
    """Return the processor's name, as the system gives it."""
    file = Path("/proc/cpuinfo")
    if file.exists():
        for line in file.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()


def versions_in(folder: Path) -> dict[str, str]:
    """Return the versions of what was installed into a folder."""
    found = {one.metadata["Name"]: one.version for one in distributions(path=[str(folder)])}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))
