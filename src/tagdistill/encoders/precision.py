"""In what precision an encoder computes: `encoder.precision`.

In bfloat16 torch multiplies matrices, and leaves sums over many values, norms and the weights themselves in single
precision. Heads and CRFs always compute in single precision or more.
"""

from __future__ import annotations

import logging
import platform
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch

from tagdistill.errors import ConfigError

if TYPE_CHECKING:
    from tagdistill.settings.encoder import Precision

log = logging.getLogger(__name__)
WHERE = "encoder.precision"


def precision_on(setting: Precision, device: str) -> Precision:
    """Return the precision, fp32 or bf16, that a setting means on a type of device (cpu, cuda).

    `auto` is bf16 on a GPU that has it, else fp32. Raises ConfigError for `bf16` where a device would only imitate it.
    """
    if setting == "fp32" or (setting == "auto" and device != "cuda"):
        return "fp32"
    if has_bf16(device):
        return "bf16"
    if setting == "auto":
        return "fp32"
    name = "GPU" if device == "cuda" else "CPU"
    needed = "" if device == "cuda" else " (AVX512_BF16, AMX or Arm's BF16)"
    raise ConfigError(
        f"'bf16', but this {name} has no instructions for it{needed}",
        where=WHERE,
        hint="Choose auto or fp32, or run where there are some.",
    )


def usable_precision(setting: Precision, device: str) -> Precision:
    """Return the precision that a setting means on a type of device; one that it lacks is replaced by fp32."""
    try:
        return precision_on(setting, device)
    except ConfigError as error:
        log.warning("%s; computing in fp32", error.what)
        return "fp32"


def has_bf16(device: str) -> bool:
    """Return whether a type of device has instructions of its own for bfloat16."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if platform.machine().lower() in ("arm64", "aarch64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    # Not torch's own `_is_mkldnn_bf16_supported`: it is true of any AVX-512, where bfloat16 is imitated, and slower.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def computing(setting: Precision, device: str) -> AbstractContextManager[None]:
    """Return the context in which an encoder computes on a type of device. Raises ConfigError as `precision_on`."""
    if precision_on(setting, device) == "fp32":
        return nullcontext()
    return torch.autocast(device, torch.bfloat16)
