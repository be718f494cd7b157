"""The kernels: implementations of the same operations on a chain.

A new one is a module with a subclass of `base.Kernel`, an object of it named KERNEL, and a row in `selection.TABLE`.
"""
