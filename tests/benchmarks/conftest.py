"""Makes the benchmarks importable: they are scripts that import each other from their own folder."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / 'benchmarks'
sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS / 'validation')]
