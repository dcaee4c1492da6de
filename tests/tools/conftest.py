"""What tests of the tools share."""

from collections.abc import Callable, Sequence

import pytest

from sartorius.utils.cli import run_tool


@pytest.fixture
def in_process(capsys: pytest.CaptureFixture) -> Callable[..., Callable[..., tuple[int, str, str]]]:
    """Turns a tool's ``main`` into a function from its arguments to exit code, output and errors."""

    def of_main(main: Callable[[Sequence[str]], None]) -> Callable[..., tuple[int, str, str]]:
        def run(*arguments: str) -> tuple[int, str, str]:
            try:
                run_tool(lambda: main(arguments))
                code = 0
            except SystemExit as end:
                code = end.code
            return (code, *capsys.readouterr())

        return run

    return of_main
