"""Folders of the project, in a checkout and in an installed package, and the search for configs by name."""

import os
from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.errors import InputError, UsageError, did_you_mean

PACKAGE_DIR = Path(__file__).resolve().parents[1]


def checkout_of(path: Path) -> Path | None:
    """Top folder of the checkout that a file is in; None where it is in none."""
    marks = ('setup.py', 'tools', 'sartorius/__init__.py')
    return next((top for top in path.parents if all((top / name).exists() for name in marks)), None)


CHECKOUT = PACKAGE_DIR.parent if checkout_of(PACKAGE_DIR) == PACKAGE_DIR.parent else None
"""Top folder of the checkout that the code runs from; None for a package installed from a wheel."""
PROJECT_DIR = CHECKOUT or PACKAGE_DIR / 'project'
"""Holds configs/, tools/ and requirements/; a wheel has copies of them inside the package (setup.py)."""
BASE_DIR = CHECKOUT or Path.cwd()
"""Where relative paths of configs and settings files start: the checkout, so that a command does the same from any
folder; for an installed package the folder that the command is started from."""
CONFIG_DIR = PROJECT_DIR / 'configs'
TOOL_DIR = PROJECT_DIR / 'tools'
DEFAULT_POSTPROCESS = CONFIG_DIR / '_base_' / 'postprocess.py'
ANY_POSTPROCESS = CONFIG_DIR / '_base_' / 'postprocess_any.py'
DEFAULT_PSEUDO_RULES = CONFIG_DIR / '_base_' / 'pseudo_labels.py'
ANY_PSEUDO_RULES = CONFIG_DIR / '_base_' / 'pseudo_labels_any.py'
WORK_DIRS = BASE_DIR / 'work_dirs'

# Folders of configs/ without recipes.
OTHER_CONFIGS = ('_base_', 'ensemble', 'workflows')
# Of several configs of one name a bare name means the competition's, as in the names of work_dirs/.
FIRST_FOLDER = 'sartorius'


def display_path(path: str | Path) -> str:
    """Path for messages, pages and records: as short as it can be, and without the name of the user.

    Below the current folder it is relative to it. What comes with the project has its place there, such as
    ``configs/_base_/postprocess.py``, wherever the project is installed, and a home folder is ``~``.
    """
    path = Path(path)
    try:
        # Path.resolve raises where links go round in a circle.
        whole = Path(os.path.realpath(path))
    except ValueError:
        return repr(str(path))
    starts = [(Path.cwd(), Path.cwd())]
    starts += [(CONFIG_DIR, PROJECT_DIR), (TOOL_DIR, PROJECT_DIR), (PACKAGE_DIR, PACKAGE_DIR.parent)]
    for folder, start in starts:
        if whole.is_relative_to(folder):
            return str(whole.relative_to(start))
    home = Path(os.path.expanduser('~'))
    if len(home.parts) > 1 and path.is_relative_to(home):
        return str('~' / path.relative_to(home))
    return str(path)


def resolve_path(path: str | Path) -> Path:
    """Absolute path of one in a config or settings file; relative ones start at :data:`BASE_DIR`.

    One that is not there but comes with the project, such as ``configs/_base_/postprocess.py``, is the project's.
    """
    path = Path(path).expanduser()
    own = PROJECT_DIR / path
    return own if not (BASE_DIR / path).exists() and own.exists() else BASE_DIR / path


def find_config(given: str | Path) -> Path:
    """Config of a model, from any folder: by its path, or by its name if it is one of the project's.

    Args:
        given: A path, from the current folder or as :func:`resolve_path` reads it, or a name such as ``mrcnn_r50`` or
            ``livecell/mrcnn_r50``. A bare name that several folders of configs/ have means that of configs/sartorius.

    Raises:
        InputError: There is none, or several of the name and none in configs/sartorius.
    """
    recipes = [path for path in CONFIG_DIR.glob('*/*.py') if path.parent.name not in OTHER_CONFIGS]
    found = _find(given, recipes)
    if isinstance(found, Path):
        return found
    first = [path for path in found if path.parent.name == FIRST_FOLDER]
    if len(found) > 1 and not first:
        names = ', '.join(_name(path) for path in found)
        raise InputError(f'{given}: several configs have that name ({names}); name one with its folder')
    if not found:
        raise InputError(
            f'{display_path(given)}: no such config{did_you_mean(Path(given).stem, {path.stem for path in recipes})}'
        )
    return (first or found)[0]


def find_workflow(given: str | Path) -> Path:
    """Workflow file, from any folder: by its path, or by its name if it is one of configs/workflows.

    Raises:
        UsageError: There is none.
    """
    known = list((CONFIG_DIR / 'workflows').glob('*.yaml'))
    found = _find(given, known)
    if isinstance(found, Path):
        return found
    if not found:
        hint = did_you_mean(Path(given).stem, [path.stem for path in known])
        raise UsageError(f'{display_path(given)}: no such workflow file{hint}')
    return found[0]


def _find(given: str | Path, known: Sequence[Path]) -> Path | list[Path]:
    """A path where there is such a file, else the known files of that name."""
    for path in (Path(given).expanduser(), resolve_path(given)):
        if path.is_file():
            return path
    return sorted(
        path for path in known if f'/configs/{_name(path)}'.endswith(f'/{str(given).removesuffix(path.suffix)}')
    )


def _name(config: Path) -> str:
    return config.relative_to(CONFIG_DIR).with_suffix('').as_posix()
