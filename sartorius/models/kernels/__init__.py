"""Loops of the detectors' operators on a CPU, compiled by numba; they take plain arrays and check nothing.

They are imported inside functions and release the interpreter's lock, so that threads can share the work.
"""
