"""Errors that a user can mend: tools print them as one sentence, without a traceback."""


class InputError(ValueError):
    """Bad input. The message names the file, row or key, the bad value, and the mend."""


class UsageError(InputError):
    """A command that cannot start as it was typed, or misses its input; the tool exits with 2."""
