"""The C++ kernel behind the interface of all kernels. How it computes is described in source/interface.cpp."""

from __future__ import annotations

import ctypes
from functools import cached_property
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from tagdistill.crf import paths
from tagdistill.crf.kernels.base import Adjoint, ForwardBackward, Kernel
from tagdistill.crf.kernels.cpp import bindings
from tagdistill.crf.kernels.cpp.bindings import plain
from tagdistill.crf.layout import Layout
from tagdistill.crf.potentials import Potentials, UnaryScores


def _chain(potentials: Potentials) -> Any:
    """Point at the tensors of `potentials`, which must outlive the result."""
    scores = potentials.scores
    return ctypes.byref(
        bindings.Chain(
            scores.data_ptr(),
            potentials.top.data_ptr(),
            potentials.transitions.data_ptr(),
            potentials.layout.lengths.data_ptr(),
            *scores.shape,
            torch.get_num_threads(),
        )
    )


class _CppPaths(paths.Paths):
    """Label paths (batch, k, time or more) of a chain; see paths.Paths. Raises ValueError for a label outside."""

    def __init__(self, potentials: Potentials, labels: Tensor) -> None:
        paths.check_shape(labels, potentials.layout)
        self._potentials, self._labels = potentials, labels.to("cpu", torch.int64).contiguous()
        self._run = bindings.load()
        given = bindings.Paths(self._labels.data_ptr(), *self._labels.shape[1:])
        self._pass = (_chain(potentials), ctypes.byref(given))
        ends = bindings.Integers()
        if labels.shape[1]:
            self._run["path_range"](*self._pass, ends)
        paths.check_range(ends[0], ends[1], potentials.scores.shape[2])

    def score(self, _potentials: Potentials) -> Tensor:
        out = self._potentials.scores.new_empty(self._labels.shape[:2])
        self._run["path_scores"](*self._pass, out.data_ptr())
        return out

    def add_unary(self, counts: Tensor, weight: Tensor) -> Tensor:
        weight = plain(weight)
        self._run["path_counts"](*self._pass, weight.data_ptr(), counts.data_ptr())
        return counts

    def edge_sum(self, weight: Tensor) -> Tensor:
        out, weight = torch.empty_like(self._potentials.transitions), plain(weight)
        self._run["path_edges"](*self._pass, weight.data_ptr(), out.data_ptr())
        return out


class _Gradients:
    """Gradients of a loss of each sentence; they hold no pass, whose memory is of use once they are there."""

    def __init__(self, potentials: Potentials, chain: Any) -> None:
        batch, _, labels = potentials.scores.shape
        self._chain, self._lengths = chain, potentials.layout.lengths  # of a chain the sizes and these alone are read
        self.scores, self.edges = torch.empty_like(potentials.scores), potentials.top.new_empty((batch, labels, labels))
        self.pointer = ctypes.byref(bindings.Gradients(self.scores.data_ptr(), self.edges.data_ptr()))

    def weighted(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The sum over sentences with weight (batch,): to scores and transitions."""
        scores, edges, weight = torch.empty_like(self.scores), torch.empty_like(self.edges[0]), plain(weight)
        pointers = weight.data_ptr(), scores.data_ptr(), edges.data_ptr()
        bindings.load()["weigh"](self._chain, self.pointer, *pointers)
        return scores, edges


class _CppPass(ForwardBackward):
    """A pass in probability space or log space, whichever is exact for each sentence.

    It runs when something is first asked of it, each sentence together with what is asked, so that it is in the cache;
    it is kept where more is likely to be asked.
    """

    def __init__(self, potentials: Potentials) -> None:
        super().__init__(potentials)
        self._run = bindings.load()
        self._chain = _chain(potentials)
        self._log_partition: Tensor | None = None  # once the pass has run
        self._state: Tensor | None = None  # once it has run and is kept
        self._lock = Lock()  # calls release Python's own: two threads must not run the pass into the same memory

    @property
    def log_partition(self) -> Tensor:  # type: ignore[override]
        with self._lock:
            if self._log_partition is None:
                self._keep("forward_backward")
            assert self._log_partition is not None
            return self._log_partition

    @property
    def _pass(self) -> tuple[Any, int]:
        """The chain and the memory of the pass, which has run."""
        with self._lock:
            if self._state is None:
                self._keep("forward_backward")
            assert self._state is not None
            return self._chain, self._state.data_ptr()

    def _keep(self, name: str, *arguments: Any) -> None:
        state = self.potentials.scores.new_empty(self._run["state_size"](self._chain))
        self._first(name, state.data_ptr(), *arguments)
        self._state = state

    def _first(self, name: str, state: int | None, *arguments: Any) -> None:
        log_partition = self.potentials.scores.new_empty(self.layout.batch)
        self._run[name](self._chain, state, log_partition.data_ptr(), *arguments)
        self._log_partition = log_partition

    def _call(self, name: str, *arguments: Any, keep: bool) -> None:
        """Call a function that runs the pass too where there is none; then `keep` keeps it."""
        with self._lock:
            state = self._state
            if state is None and keep:
                self._keep(name, *arguments)
            elif state is None:
                self._first(name, None, *arguments)
        if state is not None:
            self._run[name](self._chain, state.data_ptr(), None, *arguments)

    @cached_property
    def marginals(self) -> Tensor:
        return self._marginals(torch.float64, keep=True)

    def marginals_in(self, dtype: torch.dtype) -> Tensor:
        made = self._marginals(bindings.kind(dtype), keep=False)
        return made if made.dtype is dtype else made.to(dtype)

    def weighted_marginals(self, weight: Tensor) -> Tensor:
        return self._marginals(torch.float64, plain(weight), keep=True)

    def _marginals(self, dtype: torch.dtype, weight: Tensor | None = None, *, keep: bool) -> Tensor:
        out = torch.empty_like(self.potentials.scores, dtype=dtype)
        given = None if weight is None else weight.data_ptr()
        self._call("marginals", given, dtype is torch.float32, out.data_ptr(), keep=keep)
        return out

    @cached_property
    def raw_log_marginals(self) -> Tensor:
        out = torch.empty_like(self.potentials.scores)
        self._run["log_marginals"](*self._pass, out.data_ptr())
        return out

    def posterior_cross_entropy(
        self, log_target: Tensor, temperature: float, *, with_adjoint: bool
    ) -> tuple[Tensor, Adjoint | None]:
        logits = plain(log_target, bindings.kind(log_target.dtype))
        loss = self.potentials.scores.new_empty(self.layout.batch)
        found = _Gradients(self.potentials, self._chain) if with_adjoint else None
        given = bindings.Targets(logits.data_ptr(), logits.shape[1], logits.dtype is torch.float32, temperature)
        self._call("posterior", ctypes.byref(given), loss.data_ptr(), found.pointer if found else None, keep=False)
        return loss, found.weighted if found else None

    def pairs(self, first: int, stop: int) -> Tensor:
        batch, _, labels = self.potentials.scores.shape
        out = self.log_partition.new_empty((batch, stop - first, labels, labels))
        self._run["pairs"](*self._pass, first, stop, out.data_ptr())
        return out

    @cached_property
    def edges(self) -> Tensor:
        batch, _, labels = self.potentials.scores.shape
        out = self.log_partition.new_empty((batch, labels, labels))
        self._run["edges"](*self._pass, out.data_ptr())
        return out

    def edge_sum(self, weight: Tensor) -> Tensor:
        out, weight = torch.empty_like(self.potentials.transitions), plain(weight)
        self._run["edge_sum"](*self._pass, weight.data_ptr(), out.data_ptr())
        return out

    def adjoint(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        before, after = plain(before), plain(after)
        scores, edges = torch.empty_like(before), torch.empty_like(self.potentials.transitions)
        self._run["adjoint"](*self._pass, before.data_ptr(), after.data_ptr(), scores.data_ptr(), edges.data_ptr())
        return scores, edges


class _CppKernel(Kernel):
    """The kernel that this machine's compiler builds."""

    def build(self) -> None:
        bindings.load()

    def fold(self, unary: UnaryScores, transitions: Tensor, layout: Layout, *, measure: bool) -> Potentials:
        scores, top, spreads = bindings.fold(*unary, transitions, layout.lengths, layout.time)
        return Potentials(scores, transitions, layout, top, *(spreads if measure else ()))

    def unfold(
        self, grad: Tensor, layout: Layout, time: int, dtypes: tuple[torch.dtype | None, ...]
    ) -> tuple[Tensor | None, ...]:
        return bindings.unfold(grad, layout.lengths, time, dtypes)

    def serves(self, potentials: Potentials) -> bool:
        return potentials.scores.device.type == "cpu"

    def forward_backward(self, potentials: Potentials) -> _CppPass:
        return _CppPass(potentials)

    def log_partition(self, potentials: Potentials) -> Tensor:
        out = potentials.scores.new_empty(len(potentials.scores))
        bindings.load()["log_partition"](_chain(potentials), out.data_ptr())
        return out

    def argmax(self, potentials: Potentials) -> Tensor:
        out = potentials.scores.new_empty(potentials.scores.shape[:2], dtype=torch.int64)
        bindings.load()["argmax"](_chain(potentials), out.data_ptr())
        return out

    def k_best(self, potentials: Potentials, k: int) -> tuple[Tensor, Tensor]:
        batch, time, _ = potentials.scores.shape
        labels = potentials.scores.new_empty((batch, k, time), dtype=torch.int64)
        score = potentials.scores.new_empty((batch, k))
        bindings.load()["k_best"](_chain(potentials), k, labels.data_ptr(), score.data_ptr())
        return labels, score

    def paths(self, potentials: Potentials, labels: Tensor) -> _CppPaths:
        return _CppPaths(potentials, labels)


KERNEL = _CppKernel()
