"""Rows of `crf_peers.py`: the linear-chain CRFs of other PyTorch libraries, each as its user would call it."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import torch
from crf_problem import AutogradProvider, Provider, Result
from original import Original
from torch import Tensor


def pytorch_crf() -> type[Provider]:
    torchcrf = importlib.import_module("torchcrf")

    class PytorchCrf(AutogradProvider):
        name = "pytorch-crf"

        def build(self) -> None:
            self.crf = torchcrf.CRF(self.p.L, batch_first=True)
            for name, value in zip(("transitions", "start_transitions", "end_transitions"), self.leaf[1:], strict=True):
                setattr(self.crf, name, torch.nn.Parameter(value.detach()))
            self.leaf[1:] = [self.crf.transitions, self.crf.start_transitions, self.crf.end_transitions]

        def log_z(self) -> Tensor:
            return self.crf._compute_normalizer(self.leaf[0].transpose(0, 1), self.p.mask.t())

        def nll(self) -> Result:
            loss = -self.crf(self.leaf[0], self.p.tags, mask=self.p.mask, reduction="sum")
            return self.gradients(loss / self.p.B)

        def viterbi(self) -> list[list[int]]:
            with torch.no_grad():
                return self.crf.decode(self.leaf[0], mask=self.p.mask)

    return PytorchCrf


def torch_crf() -> type[Provider]:
    module = importlib.import_module("TorchCRF")

    class TorchCrf(AutogradProvider):
        name = "TorchCRF"

        def build(self) -> None:
            self.crf = module.CRF(self.p.L, use_gpu=False)
            values = (torch.nn.Parameter(value.detach()) for value in self.leaf[1:])
            self.crf.trans_matrix, self.crf.start_trans, self.crf.end_trans = values
            self.leaf[1:] = [self.crf.trans_matrix, self.crf.start_trans, self.crf.end_trans]

        def log_z(self) -> Tensor:
            return self.crf._compute_denominator_log_likelihood(self.leaf[0], self.p.mask)

        def nll(self) -> Result:
            return self.gradients(-self.crf(self.leaf[0], self.p.tags, self.p.mask).sum() / self.p.B)

        def viterbi(self) -> list[list[int]]:
            with torch.no_grad():
                return self.crf.viterbi_decode(self.leaf[0], self.p.mask)

    return TorchCrf


LIBRARIES: dict[str, Callable[[], type[Provider]]] = {
    "pytorch-crf": pytorch_crf,
    "TorchCRF": torch_crf,
    "original": lambda: Original,
}
