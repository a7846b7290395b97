"""Numba kernels: arrays in, arrays out. The caller allocates; nothing here raises, recurses or prints."""
