"""Paths in the checkout, independent of the current folder."""

from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parents[2]
CONFIG_DIR = REPO_ROOT / 'configs'
DEFAULT_POSTPROCESS = CONFIG_DIR / '_base_' / 'postprocess.py'
DEFAULT_PSEUDO_RULES = CONFIG_DIR / '_base_' / 'pseudo_labels.py'
WORK_DIRS = REPO_ROOT / 'work_dirs'


def display_path(path: str | Path) -> str:
    """Path for messages: relative to the current folder where it lies below it."""
    path = Path(path)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
