"""Packaging; `make demo` and `make test` install it in development mode.

Its dependencies are those of the core layer alone: torch and mmcv must be installed in an order that pip does not keep
(see docs/install.md), and scoring, ensembling and submitting work without them. A wheel also carries the configs and
tools, which a checkout has beside the package.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PROJECT_FILES = ('configs/**/*.*', 'tools/*.*', 'tools/data/*.py', 'tools/analysis/*.py', 'requirements/*.txt')
"""Files that a wheel has in sartorius/project/, where sartorius/utils/paths.py looks for them without a checkout."""


class BuildWithProject(build_py):
    """Adds the project's files to a wheel or source archive; an installation in development mode has the checkout's."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for source, target in self._copies().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        copies = [] if self.editable_mode else list(self._copies().values())
        return [*super().get_outputs(include_bytecode), *copies]

    def get_source_files(self) -> list[str]:
        return [*super().get_source_files(), *self._copies()]

    def _copies(self) -> dict[str, str]:
        """Where each file goes, by its path from the top of the checkout."""
        files = [path.relative_to(ROOT) for pattern in PROJECT_FILES for path in sorted(ROOT.glob(pattern))]
        files = [file for file in files if (ROOT / file).is_file() and '__pycache__' not in file.parts]
        return {str(file): str(Path(self.build_lib, 'sartorius', 'project', file)) for file in files}


def version() -> str:
    """Version number in ``sartorius/__init__.py``."""
    text = (ROOT / 'sartorius/__init__.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


def lines_of(name: str) -> list[str]:
    """Lines of a file of requirements/, without comments."""
    lines = (ROOT / 'requirements' / name).read_text(encoding='utf-8').splitlines()
    return [line.split('#')[0].strip() for line in lines if line.split('#')[0].strip()]


def packages_of(name: str) -> list[str]:
    """Requirements of a file, none older than the version that is locked and tested; newer ones are allowed."""
    locked = dict(line.split('==') for line in lines_of('lock.txt'))
    return [f'{package}>={locked[package]}' for package in lines_of(name)]


setup(
    name='sartorius-cells',
    version=version(),
    description='Instance segmentation of crowded living cells, built on MMDetection',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    classifiers=[
        'Development Status :: 4 - Beta',
        'Environment :: Console',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in (11, 12, 13)),
        'Topic :: Scientific/Engineering :: Bio-Informatics',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    keywords='cells, microscopy, phase contrast, instance segmentation, MMDetection',
    packages=find_packages(include=['sartorius', 'sartorius.*']),
    package_data={
        'sartorius.models': ['shipped/*'],
        'sartorius.visualization': ['templates/*'],
        'sartorius.workflow': ['Snakefile'],
    },
    cmdclass={'build_py': BuildWithProject},
    entry_points={'console_scripts': ['sartorius = sartorius.__main__:main']},
    python_requires='>=3.11,<3.14',
    install_requires=packages_of('core.txt'),
    extras_require={
        # Needs torch and mmcv in the environment already.
        'mmdet': packages_of('mmdet.txt'),
        'workflow': packages_of('workflow.txt'),
        # Files of microscopes (sartorius/images/vendors.py), and TIFF of rare compressions.
        'formats': ['bioio', *(f'bioio-{kind}' for kind in ('czi', 'dv', 'lif', 'nd2', 'ome-zarr')), 'imagecodecs'],
        'wandb': ['wandb'],
    },
)
