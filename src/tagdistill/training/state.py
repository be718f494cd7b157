"""What a training resumes from: weights, optimiser, learning rates, the log so far, and each process's random numbers.

All of it is tensors in safetensors and JSON: nothing that could run code when it is read.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tagdistill.artifacts.files import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from tagdistill.models.model import Model
    from tagdistill.training.optimizer import Schedule
    from tagdistill.training.processes import Processes

MODEL, OPTIMIZER, PROGRESS = "model.safetensors", "optimizer.safetensors", "progress.json"
PROCESS = "process-{}.safetensors"


def save_state(folder: Path, model: Model, schedule: Schedule, progress: dict[str, Any]) -> None:
    """Write what all processes share; `progress` is JSON."""
    state = schedule.optimizer.state_dict()["state"]
    tensors = {f"{number}.{name}": value for number, values in state.items() for name, value in values.items()}
    save_file(model.own_state(), folder / MODEL)
    save_file(tensors, folder / OPTIMIZER)
    write_json(folder / PROGRESS, {**progress, "rates": schedule.rates, "schedule": schedule.state()})


def load_state(folder: Path, model: Model, schedule: Schedule) -> dict[str, Any]:
    """Load what `save_state` wrote, and return the progress."""
    model.load_own_state(load_file(folder / MODEL))
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for place, value in load_file(folder / OPTIMIZER).items():
        number, _, name = place.partition(".")
        state[int(number)][name] = value
    schedule.optimizer.load_state_dict({**schedule.optimizer.state_dict(), "state": dict(state)})
    progress = dict(read_json(folder / PROGRESS))
    schedule.load(progress["schedule"], progress["rates"])
    return progress


def save_process(folder: Path, processes: Processes, device: str, record: dict[str, Any]) -> None:
    """Write the state of a process's random numbers, and a record of its own."""
    random = {"cpu": torch.get_rng_state()}
    if device == "cuda":
        random["cuda"] = torch.cuda.get_rng_state()
    save_file(random, folder / PROCESS.format(processes.rank), metadata={"record": json.dumps(record)})


def load_process(folder: Path, processes: Processes) -> dict[str, Any]:
    """Restore the random numbers of a process, and return its record."""
    file = folder / PROCESS.format(processes.rank)
    with safe_open(file, framework="pt") as opened:
        record: dict[str, Any] = json.loads(opened.metadata()["record"])
    random = load_file(file)
    torch.set_rng_state(random["cpu"])
    if "cuda" in random:
        torch.cuda.set_rng_state(random["cuda"])
    return record
