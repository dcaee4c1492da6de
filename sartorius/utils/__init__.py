"""Helpers of all packages: errors, paths, atomic files, settings, tables, command lines, the version."""
