"""The optimiser of a training, and its learning rates from update to update."""

from __future__ import annotations

import json
from inspect import unwrap
from typing import TYPE_CHECKING

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from tagdistill.models.model import Model
    from tagdistill.settings.training import Training


# torch wraps methods of its optimisers for torch.compile: the first call of a wrapper imports a whole compiler, in as
# many seconds as torch itself takes. These are the methods without their wrappers.


class _Uncompiled(torch.optim.Optimizer):
    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)


class AdamW(_Uncompiled, torch.optim.AdamW):
    """torch's AdamW."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


class SGD(_Uncompiled, torch.optim.SGD):
    """torch's SGD."""

    step = torch.no_grad()(unwrap(torch.optim.SGD.step))


def make_optimizer(model: Model, settings: Training) -> torch.optim.Optimizer:
    """Return AdamW or SGD with separate learning rates for the head, the encoder and the transitions."""
    rates = {
        "head": settings.learning_rate,  # the first: the log shows it
        "encoder": settings.learning_rate_encoder,
        "transitions": settings.learning_rate_transitions,
    }
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[_group_of(name)].append(parameter)
    parameters = [
        {"params": group, "lr": rates[name], "weight_decay": 0.0 if name == "transitions" else settings.weight_decay}
        for name, group in groups.items()
        if group
    ]
    return (SGD if settings.optimizer == "sgd" else AdamW)(parameters)


def _group_of(parameter: str) -> str:
    if parameter in ("tagger.transitions", "tagger.start", "tagger.end"):
        return "transitions"
    return "encoder" if parameter.startswith("encoder.") else "head"


class Schedule:
    """Learning rates that follow the number of updates, or halve where the dev score does not rise."""

    def __init__(self, optimizer: torch.optim.Optimizer, settings: Training, updates: int) -> None:
        """Start at the first rates of the optimiser's groups, for a training of so many updates."""
        self.optimizer, self.updates = optimizer, updates
        self.full = [float(group["lr"]) for group in optimizer.param_groups]
        self.constant, self.warmup = settings.schedule == "constant", round(settings.warmup * updates)
        follows = settings.schedule == "plateau"
        self.plateau = ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=10) if follows else None
        self.after(0)

    @property
    def rates(self) -> list[float]:
        """The learning rate of each group of parameters in the next update; that of the head is the first."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def after(self, update: int) -> None:
        """Set the rates that follow an update, counted from 1."""
        if self.plateau is not None:
            return
        for group, full in zip(self.optimizer.param_groups, self.full, strict=True):
            group["lr"] = full * self._factor(update)

    def scored(self, score: float) -> None:
        """Take a dev score."""
        if self.plateau is not None:
            self.plateau.step(score)

    def state(self) -> str | None:
        """Return, as JSON, what the rates depend on beside the number of updates; None where that is nothing."""
        return json.dumps(self.plateau.state_dict()) if self.plateau is not None else None

    def load(self, state: str | None, rates: Sequence[float]) -> None:
        """Go on from a state and the rates of that time."""
        if self.plateau is not None and state is not None:
            self.plateau.load_state_dict(json.loads(state))
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def _factor(self, update: int) -> float:
        """Return the factor of all rates: up to 1 in the warm-up, then constant or down to 0."""
        if update < self.warmup:
            return update / self.warmup
        return 1.0 if self.constant else max(0.0, (self.updates - update) / max(1, self.updates - self.warmup))
