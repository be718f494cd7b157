"""The Triton kernel, for GPUs."""
