"""Rows of `crf_peers.py` outside PyTorch: JAX, hmmlearn's C++ and python-crfsuite's C."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from crf_problem import Problem, Provider, Result
from torch import Tensor


def hmmlearn() -> type[Provider]:
    scans = importlib.import_module("hmmlearn._hmmc")

    class Hmmlearn(Provider):
        """One call a sentence, as its own users call it; scores shifted so that probabilities hold them."""

        name, torch = "hmmlearn (C++)", False

        def setup(self) -> None:
            self.emissions = self.p.E.double().numpy()
            self.transitions, self.start, self.end = (x.double().numpy() for x in (self.p.A, self.p.start, self.p.end))
            self.sizes = self.p.lengths.tolist()

        def scores(self, row: int, n: int) -> np.ndarray:
            scores = self.emissions[row, :n].copy()
            scores[-1] += self.end
            return scores

        def factors(self, row: int, n: int) -> tuple[np.ndarray, float]:
            scores = self.scores(row, n)
            top = scores.max(1, keepdims=True)
            return np.exp(scores - top), float(top.sum())

        def logz(self) -> Tensor:
            top, start = self.transitions.max(), np.exp(self.start)
            matrix, found = np.exp(self.transitions - top), []
            for row, n in enumerate(self.sizes):
                factors, shift = self.factors(row, n)
                found.append(scans.forward_scaling(start, matrix, factors)[0] + shift + (n - 1) * top)
            return torch.tensor(found)

        def marginals(self) -> Tensor:
            matrix, start = np.exp(self.transitions - self.transitions.max()), np.exp(self.start)
            found = np.zeros(self.emissions.shape)
            for row, n in enumerate(self.sizes):
                factors, _ = self.factors(row, n)
                _, forward, scale = scans.forward_scaling(start, matrix, factors)
                joint = forward * scans.backward_scaling(start, matrix, factors, scale)
                found[row, :n] = joint / joint.sum(1, keepdims=True)
            return torch.from_numpy(found)

        def viterbi(self) -> list[list[int]]:
            start, matrix = np.exp(self.start), np.exp(self.transitions)
            found = (scans.viterbi(start, matrix, self.scores(row, n)) for row, n in enumerate(self.sizes))
            return [path.tolist() for _, path in found]

    return Hmmlearn


def crfsuite() -> type[Provider]:
    library = importlib.import_module("pycrfsuite")

    class Crfsuite(Provider):
        """Weights of its own on as many features as labels: it takes no potentials, so only its time is known."""

        name, torch, own_weights = "python-crfsuite (C)", False, True

        def setup(self) -> None:
            random = np.random.default_rng(0)
            labels = self.p.L

            def sentence(n: int) -> Any:
                rows = random.normal(size=(n, labels))
                return library.ItemSequence([{f"a{j}": float(x) for j, x in enumerate(row)} for row in rows])

            trainer = library.Trainer(verbose=False)
            trainer.set_params({"max_iterations": 3, "feature.possible_transitions": 1, "feature.possible_states": 1})
            for _ in range(8):
                trainer.append(sentence(4 * labels), [f"y{j}" for j in np.tile(random.permutation(labels), 4)])
            self.tagger = library.Tagger()
            with tempfile.TemporaryDirectory() as folder:
                trainer.train(f"{folder}/model")
                self.tagger.open(f"{folder}/model")  # not in memory: the tagger would not hold the bytes it reads from
            self.sentences = [sentence(n) for n in self.p.lengths.tolist()]
            self.paths = [[f"y{j}" for j in random.integers(0, labels, n)] for n in self.p.lengths.tolist()]

        def viterbi(self) -> list[list[str]]:
            return [self.tagger.tag(sentence) for sentence in self.sentences]

        def logz(self) -> list[float]:  # a path's probability, for which it runs forward and backward
            found = []
            for sentence, path in zip(self.sentences, self.paths, strict=True):
                self.tagger.set(sentence)
                found.append(self.tagger.probability(path))
            return found

    return Crfsuite


def jax_on_one_core() -> ModuleType:
    """Import JAX with a thread pool of one: it makes as many threads as it sees cores when its backend starts."""
    if not hasattr(os, "sched_setaffinity"):
        return importlib.import_module("jax")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        jax = importlib.import_module("jax")
        jax.config.update("jax_platforms", "cpu")
        jax.devices()
    finally:
        os.sched_setaffinity(0, cores)
    return jax


def jax_scan() -> type[Provider]:
    jax = jax_on_one_core()

    class JaxScan(Provider):
        name, torch = "JAX (jit, lax.scan)", False

        def setup(self) -> None:
            names = ("E", "A", "start", "end")
            self.arguments = [jax.numpy.asarray(getattr(self.p, name).numpy()) for name in names]
            self.compiled = {name: jax.jit(call) for name, call in jax_operations(jax, self.p).items()}

        def run(self, operation: str) -> Any:
            return jax.block_until_ready(self.compiled[operation](*self.arguments))

        def result(self, operation: str) -> Result:
            loss, gradients = self.run(operation)
            emissions, transitions = (torch.from_numpy(np.array(x)) for x in gradients)
            return float(loss), emissions, transitions

        def logz(self) -> Tensor:
            return torch.from_numpy(np.array(self.run("logz")))

        def marginals(self) -> Tensor:
            return torch.from_numpy(np.array(self.run("marginals")))

        def nll(self) -> Result:
            return self.result("nll")

        def posterior_kd(self) -> Result:
            return self.result("posterior_kd")

        def topk_kd(self) -> Result:
            return self.result("topk_kd")

    return JaxScan


def jax_operations(jax: ModuleType, problem: Problem) -> dict[str, Callable[..., Any]]:
    """Return functions of (emissions, transitions, start, end), in log space."""
    jnp, batch = jax.numpy, problem.B
    mask, lengths, tags, paths, weights, posterior = (
        jnp.asarray(x.numpy())
        for x in (problem.mask, problem.lengths, problem.tags, problem.ktags, problem.kweights, problem.posterior)
    )

    def logz(emissions: Any, transitions: Any, start: Any, end: Any) -> Any:
        def step(alpha: Any, token: Any) -> Any:
            scores, inside = token
            found = jax.nn.logsumexp(alpha[:, :, None] + transitions, 1) + scores
            return jnp.where(inside[:, None], found, alpha), None

        tokens = (emissions[:, 1:].swapaxes(0, 1), mask[:, 1:].T)
        alpha, _ = jax.lax.scan(step, start + emissions[:, 0], tokens)
        return jax.nn.logsumexp(alpha + end, -1)

    def score(emissions: Any, transitions: Any, start: Any, end: Any, y: Any) -> Any:
        unary = jnp.take_along_axis(emissions[:, None], y[..., None], -1)[..., 0] * mask[:, None]
        edges = transitions[y[..., :-1], y[..., 1:]] * mask[:, None, 1:]
        last = jnp.take_along_axis(y, jnp.broadcast_to((lengths - 1)[:, None, None], (*y.shape[:2], 1)), -1)[..., 0]
        return unary.sum(-1) + edges.sum(-1) + start[y[..., 0]] + end[last]

    def nll(*chain: Any) -> Any:
        return (logz(*chain) - score(*chain, tags[:, None])[:, 0]).sum() / batch

    def topk_kd(*chain: Any) -> Any:
        return (weights * (logz(*chain)[:, None] - score(*chain, paths))).sum() / batch

    marginals = jax.grad(lambda *chain: logz(*chain).sum())

    def posterior_kd(*chain: Any) -> Any:
        student = jnp.log(jnp.maximum(marginals(*chain), 1e-30))
        return (-(posterior * student).sum() - problem.entropy) / batch

    losses = {"nll": nll, "topk_kd": topk_kd, "posterior_kd": posterior_kd}
    return {
        "logz": logz,
        "marginals": marginals,
        **{name: jax.value_and_grad(loss, (0, 1)) for name, loss in losses.items()},
    }


OTHERS: dict[str, Callable[[], type[Provider]]] = {
    "hmmlearn (C++)": hmmlearn,
    "python-crfsuite (C)": crfsuite,
    "JAX (jit, lax.scan)": jax_scan,
}
