"""Forward-backward and best paths on a GPU: one Triton launch for all tokens of all sentences, in log space.

A loop of PyTorch calls costs a launch or more a token there. Log space is exact for any finite input, so nothing has to
be known about the values and nothing is read back from the device. Triton comes with PyTorch's CUDA builds.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache, cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from tagdistill.crf.kernels import viterbi
from tagdistill.crf.kernels.base import ForwardBackward, Kernel
from tagdistill.crf.potentials import Potentials

MAX_LABELS = 128  # the square of it must fit into a multiprocessor's registers
MIN_CAPABILITY = (7, 0)  # of the devices that Triton compiles for
PAIRS_PER_PROGRAM = 32  # token pairs that one program sums up


@cache
def _runs_on(device: torch.device) -> bool:
    """Whether Triton compiles for the device, or interprets on the CPU."""
    if importlib.util.find_spec("triton") is None:
        return False
    if device.type == "cpu":
        return os.environ.get("TRITON_INTERPRET") == "1"
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= MIN_CAPABILITY


def _launch(name: str, grid: tuple[int, ...], *arguments: Tensor | int, **options: int) -> None:
    """Run one of the programs on the device of the first argument, be it the current one or not."""
    from tagdistill.crf.kernels.triton import programs  # imports Triton

    with torch.cuda.device_of(arguments[0]):  # type: ignore[no-untyped-call]  # PyTorch does not annotate it
        getattr(programs, name)[grid](*arguments, **options)


def _block(labels: int, *, light: bool = False) -> dict[str, int]:
    """Size of a program for (label, label) tables; `light` ones have no exponentials. Warps as measured on an H100."""
    block = max(16, 1 << (labels - 1).bit_length())
    return {"BLOCK": block, "num_warps": 4 if light else {16: 4, 32: 8, 64: 16, 128: 16}[block]}


def _scan(potentials: Potentials, raw: Tensor | None) -> Tensor:
    """Run the scan in both directions, or where `raw` is None in one; return log Z (batch,)."""
    scores, layout = potentials.scores.contiguous(), potentials.layout
    log_z = scores.new_empty(layout.batch)
    _launch(
        "scan",
        (layout.batch, 1 if raw is None else 2),
        scores,
        potentials.transitions.contiguous(),
        layout.lengths,
        log_z if raw is None else raw,
        log_z,
        layout.batch,
        layout.time,
        scores.shape[2],
        KEEP=raw is not None,
        **_block(scores.shape[2]),
    )
    return log_z


class _TritonPass(ForwardBackward):
    """The pass in log space. `raw` (2, batch, time, label): log sums over what comes before and after a token."""

    def __init__(self, potentials: Potentials) -> None:
        super().__init__(potentials)
        self.scores, self.edge = potentials.scores.contiguous(), potentials.transitions.contiguous()
        self.raw = self.scores.new_zeros((2, *self.scores.shape))
        self.log_partition = _scan(potentials, self.raw)

    @cached_property
    def raw_log_marginals(self) -> Tensor:
        return self.raw.sum(0).add_(self.scores).sub_(self.log_partition[:, None, None])

    @cached_property
    def marginals(self) -> Tensor:
        return self.log_marginals.exp().mul_(self.layout.weight)  # in padding the raw ones may be large

    def pairs(self, first: int, stop: int) -> Tensor:
        before, after = (self.raw + self.scores).unbind(0)
        ending = (after - self.log_partition[:, None, None])[:, first + 1 : stop + 1, None, :]
        log = before[:, first:stop, :, None] + self.edge + ending
        return log.masked_fill_(~self.layout.mask[:, first + 1 : stop + 1, None, None], -torch.inf).exp_()

    @cached_property
    def edges(self) -> Tensor:
        return self._pair_sums(self.scores.new_ones(self.layout.batch)).sum(1)

    def edge_sum(self, weight: Tensor) -> Tensor:
        return self._pair_sums(weight).sum((0, 1))

    def _pair_sums(self, weight: Tensor) -> Tensor:
        batch, time, labels = self.scores.shape
        chunks = max(1, -(-(time - 1) // PAIRS_PER_PROGRAM))
        out = self.scores.new_empty((batch, chunks, labels, labels))
        _launch(
            "pair_sums",
            (batch, chunks),
            self.scores,
            self.edge,
            self.layout.lengths,
            self.raw,
            self.log_partition,
            weight.to(self.scores.dtype).contiguous(),
            out,
            time,
            labels,
            PAIRS_PER_PROGRAM,
            **_block(labels),
        )
        return out

    def adjoint(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        batch, time, labels = self.scores.shape
        gradients = torch.stack([before, after])
        flow, pairs = torch.zeros_like(gradients), gradients.new_empty((2, batch, labels, labels))
        _launch(
            "adjoint",
            (batch, 2),
            self.scores,
            self.edge,
            self.layout.lengths,
            self.raw,
            gradients,
            flow,
            pairs,
            batch,
            time,
            labels,
            **_block(labels),
        )
        return flow.sum(0).sub_(after), pairs.sum((0, 1))


class _Best(NamedTuple):
    """What the search for best paths reads."""

    prefixes: Tensor  # (time, batch, label) as `viterbi.best_prefixes`; 0 past a sentence's end
    following: Tensor  # (label + 1, label) as `viterbi.into`
    argmax: Tensor  # (batch, time), 0 in padding


def _best(potentials: Potentials) -> _Best:
    scores, layout = potentials.scores.contiguous(), potentials.layout
    batch, time, labels = scores.shape
    prefixes, following = scores.new_zeros((time, batch, labels)), viterbi.into(potentials.transitions)
    path = layout.lengths.new_zeros((batch, time))
    block = _block(labels, light=True)
    _launch(
        "best_prefixes",
        (batch,),
        scores,
        potentials.transitions.contiguous(),
        layout.lengths,
        prefixes,
        batch,
        time,
        labels,
        **block,
    )
    _launch(
        "backtrace",
        (batch,),
        prefixes,
        following,
        layout.lengths,
        path,
        batch,
        time,
        labels,
        **block | {"num_warps": 1},
    )
    return _Best(prefixes, following, path)


def _k_best(potentials: Potentials, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best paths (batch, k, time) and their scores (batch, k); an empty slot is labels 0 and -inf.

    The whole search is one launch.
    """
    best, lengths = _best(potentials), potentials.layout.lengths
    time, batch, labels = best.prefixes.shape
    paths = lengths.new_zeros((batch, k, time))
    paths[:, 0] = best.argmax
    score, heads = best.prefixes.new_full((2, batch, k), -torch.inf).unbind(0)
    score[:, 0] = best.prefixes[lengths - 1, torch.arange(batch, device=lengths.device)].amax(1)
    turns, cells = paths.new_zeros((2, batch, k)).unbind(0)
    turns[:, 0] = lengths
    block = _block(labels, light=True)
    _launch(
        "k_best",
        (batch,),
        best.prefixes,
        best.following,
        lengths,
        paths,
        score,
        turns,
        heads,
        cells,
        batch,
        time,
        labels,
        K=k,
        ROWS=max(1, 1024 // block["BLOCK"]),
        SLOTS=max(2, 1 << (k - 1).bit_length()),
        **block,
    )
    return paths, score


class _TritonKernel(Kernel):
    """The kernel of GPUs that Triton compiles for."""

    def serves(self, potentials: Potentials) -> bool:
        return len(potentials.transitions) <= MAX_LABELS and _runs_on(potentials.scores.device)

    def forward_backward(self, potentials: Potentials) -> _TritonPass:
        return _TritonPass(potentials)

    def log_partition(self, potentials: Potentials) -> Tensor:
        return _scan(potentials, None)

    def argmax(self, potentials: Potentials) -> Tensor:
        return _best(potentials).argmax

    def k_best(self, potentials: Potentials, k: int) -> tuple[Tensor, Tensor]:
        return _k_best(potentials, k)


KERNEL = _TritonKernel()
