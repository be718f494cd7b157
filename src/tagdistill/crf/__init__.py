"""Exact inference and distillation losses for linear-chain CRFs, batched, in PyTorch."""

from tagdistill.crf.chain import LinearChain, TopK
from tagdistill.crf.kernels.selection import KERNELS, kernel, use_kernel
from tagdistill.crf.paths import PathCounts, count

__all__ = ["KERNELS", "LinearChain", "PathCounts", "TopK", "count", "kernel", "use_kernel"]
