"""Loops over all boxes and masks of an image, compiled by numba.

Each takes and returns plain arrays and checks nothing: the modules around this package do. They import it inside their
functions, because numba takes longer to start than a command's ``--help`` may. The first call on a machine compiles (a
second or two a function); numba keeps the result on the disk.
"""
