"""Makes the cases of image files importable: the files of tests are scripts too, which import from their own folder."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite('input_cases')
