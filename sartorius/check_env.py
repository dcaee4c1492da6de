"""Reports what is installed and whether it works.

Also ``python -m sartorius.check_env``. Everything is imported inside the checks, so that this starts and names what is
missing where nothing is installed.
"""

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.utils.cli import EXIT_FAILURE, make_parser, run_tool
from sartorius.utils.paths import CHECKOUT, PACKAGE_DIR, PROJECT_DIR
from sartorius.utils.version import describe_version

# What a broken binary package raises on import, besides ImportError: a missing shared library (OSError), another numpy
# than it was built for (AttributeError, ValueError), a version check (AssertionError, RuntimeError).
BROKEN_IMPORT = (ImportError, OSError, AttributeError, ValueError, AssertionError, RuntimeError)

PYTHONS = ((3, 11), (3, 12), (3, 13))
LOCK = PROJECT_DIR / 'requirements' / 'lock.txt'

SET_UP = (
    'run `make setup` in the checkout'
    if CHECKOUT
    else f'pip install --constraint {LOCK}, in the order of "Without a checkout" in docs/install.md'
)
MISSING = f'install what is missing: {SET_UP}'
REIMPORT = f'install again what cannot be imported: {SET_UP}; if that does not help, remove the environment first'
REBUILD_OPS = (
    'compile mmcv for the torch that is installed (about 11 minutes on 2 cores): run `make setup` in the checkout; '
    'or, in another environment: pip cache remove onedl_mmcv; MMCV_WITH_OPS=1 pip install --force-reinstall --no-deps '
    '--no-build-isolation --no-binary onedl-mmcv -c requirements/lock.txt onedl-mmcv'
)


@dataclass(frozen=True)
class Package:
    """A package that the project needs: its usual name, the module to import, and its distribution on PyPI."""

    name: str
    module: str
    distribution: str


PACKAGES = (
    Package('torch', 'torch', 'torch'),
    Package('mmcv', 'mmcv', 'onedl-mmcv'),
    Package('mmengine', 'mmengine', 'onedl-mmengine'),
    Package('mmdet', 'mmdet', 'onedl-mmdetection'),
    Package('numpy', 'numpy', 'numpy'),
    Package('opencv', 'cv2', 'opencv-python'),
    Package('pycocotools', 'pycocotools.mask', 'pycocotools'),
    Package('pandas', 'pandas', 'pandas'),
    Package('scipy', 'scipy', 'scipy'),
    Package('ensemble-boxes', 'ensemble_boxes', 'ensemble-boxes'),
    Package('numba', 'numba', 'numba'),
    Package('snakemake', 'snakemake', 'snakemake'),
)


@dataclass(frozen=True)
class CheckResult:
    """One line of the report.

    Attributes:
        name: What was checked.
        value: What the check saw.
        fix: What to do about it; empty when there is nothing to do.
        works: False when the project cannot run like this; a result that works and has a fix is a warning.
    """

    name: str
    value: str
    fix: str = ''
    works: bool = True


def check_python() -> CheckResult:
    """Version of the running Python."""
    version = platform.python_version()
    if sys.version_info[:2] in PYTHONS:
        return CheckResult('python', version)
    return CheckResult(
        'python', version, 'use Python 3.11, 3.12 or 3.13, for example `PYTHON=python3.11 make setup`', False
    )


def locked_versions(path: Path = LOCK) -> dict[str, str]:
    """Version of each package in requirements/lock.txt, by name; empty without a checkout."""
    if not path.is_file():
        return {}
    return dict(re.findall(r'^([\w.-]+)==(\S+)', path.read_text(encoding='utf-8'), re.MULTILINE))


def check_package(package: Package, locked: Mapping[str, str]) -> CheckResult:
    """Imports a package and compares its version with the locked, tested one: another one is a warning."""
    try:
        module = importlib.import_module(package.module)
    except BROKEN_IMPORT as error:
        if isinstance(error, ModuleNotFoundError) and error.name == package.module.split('.')[0]:
            return CheckResult(package.name, 'missing', MISSING, works=False)
        return CheckResult(package.name, f'broken ({_one_line(error)})', REIMPORT, works=False)
    try:
        version = importlib.metadata.version(package.distribution)
    except importlib.metadata.PackageNotFoundError:
        version = getattr(module, '__version__', 'unknown')
    running = getattr(module, '__version__', version)
    # OpenCV's module leaves out the last number of its package's version.
    if not f'{version}.'.startswith(f'{running}.'):
        twice = f'{sys.executable} -m pip uninstall -y {package.distribution}'
        fix = f'two versions of {package.name} lie over each other: run `{twice}` twice, then `make setup`'
        return CheckResult(package.name, f'{running} in files that pip takes for {version}', fix)
    tested = locked.get(package.distribution)
    if tested not in (None, version, version.split('+')[0]):
        fix = f'{package.name} {version} is untested: if it causes trouble, {tested} is known to work'
        return CheckResult(package.name, version, fix)
    return CheckResult(package.name, version)


def check_lock(locked: Mapping[str, str]) -> CheckResult:
    """Compares all installed packages that the lock file names, also those that nobody imports directly."""
    if not locked:
        return CheckResult('locked packages', 'no requirements/lock.txt here to compare with')
    installed: dict[str, str] = {}
    for item in importlib.metadata.distributions():
        # The first one counts: setuptools adds copies of its own to the end of the path once it is imported.
        installed.setdefault(re.sub(r'[-_.]+', '-', item.name).lower(), item.version)
    others = [
        f'{name} {installed[name]} (tested: {version})'
        for name, version in locked.items()
        if name in installed and installed[name].split('+')[0] != version
    ]
    if others:
        fix = f'for the tested versions {SET_UP}: {", ".join(others)}'
        return CheckResult('locked packages', f'{len(others)} of {len(locked)} at another version', fix)
    return CheckResult('locked packages', f'{len(locked.keys() & installed.keys())} of {len(locked)} installed')


def check_devices() -> list[CheckResult]:
    """CUDA GPUs with their memory, or the number of CPU cores that training will use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    results = [CheckResult('CPU', f'{cores} cores')]
    try:
        import torch
    except BROKEN_IMPORT:
        return results
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        results.append(CheckResult(f'GPU {index}', f'{device.name}, {device.total_memory / 2**30:.0f} GiB'))
    if torch.cuda.device_count():
        return results
    if shutil.which('nvidia-smi'):
        reason = 'is a CPU build' if torch.version.cuda is None else f'(CUDA {torch.version.cuda}) cannot use it'
        fix = f'there is an NVIDIA driver, but torch {torch.__version__} {reason}: see "GPU" in docs/install.md'
        return [*results, CheckResult('GPU', 'not used', fix)]
    return [*results, CheckResult('GPU', 'none; the CPU does the work')]


def check_compiler(ops_work: bool) -> CheckResult:
    """The C++ compiler that mmcv's ops would be compiled with; not needed any more once they work."""
    compiler = os.environ.get('CXX', 'c++')
    if shutil.which(compiler) is None:
        fix = '' if ops_work else 'install a C++ compiler to compile mmcv with (Debian, Ubuntu: apt-get install g++)'
        return CheckResult('compiler', 'none', fix)
    done = subprocess.run([compiler, '--version'], capture_output=True, text=True, check=False)
    return CheckResult('compiler', (done.stdout.splitlines() or ['unknown'])[0])


def check_ops(device: str) -> list[CheckResult]:
    """Runs mmcv's NMS and RoIAlign on ``device`` ('cpu', 'cuda:0') and compares with answers worked out by hand."""
    name = f'mmcv.ops on {device}'
    try:
        import torch
        from mmcv.ops import get_compiling_cuda_version, nms, roi_align

        if os.environ.get('FORCE_CUDA') == '1' and get_compiling_cuda_version() == 'not available':
            return [CheckResult(name, 'compiled without CUDA, but FORCE_CUDA is 1', REBUILD_OPS, False)]

        # Boxes 0 and 1 share 90 of 110 pixels, an IoU of .82, so the lower score of the two is dropped.
        boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30]], device=device)
        scores = torch.tensor([0.9, 0.8, 0.7], device=device)
        kept = nms(boxes, scores, iou_threshold=0.5)[1].tolist()

        # Every pixel holds its column number. The box from 2 to 6 has bins centred at x = 3 and 5, and a pixel's
        # centre lies half a pixel from its edge: values 2.5 and 4.5.
        ramp = torch.arange(8.0, device=device).expand(1, 1, 8, 8).contiguous()
        box = torch.tensor([[0.0, 2, 2, 6, 6]], device=device)
        values = roi_align(ramp, box, (2, 2), 1.0, 2, 'avg', True).flatten().tolist()
    except ModuleNotFoundError as error:
        # Without torch or mmcv the package's own line says what to do.
        fix = REBUILD_OPS if error.name == 'mmcv._ext' else ''
        return [CheckResult(name, f'cannot run ({_one_line(error)})', fix, False)]
    except BROKEN_IMPORT as error:
        return [CheckResult(name, f'cannot run ({_one_line(error)})', REBUILD_OPS, False)]
    return [
        _compare(f'NMS on {device}', kept, [0, 2]),
        _compare(f'RoIAlign on {device}', values, [2.5, 4.5, 2.5, 4.5]),
    ]


def check_all_ops() -> list[CheckResult]:
    """:func:`check_ops` on the CPU and, where there is one, on the first GPU."""
    results = check_ops('cpu')
    try:
        import torch
    except BROKEN_IMPORT:
        return results
    return results + check_ops('cuda:0') if torch.cuda.is_available() else results


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the report; exits with 1 when something does not work."""
    parser = make_parser(__doc__.splitlines()[0], 'python -m sartorius.check_env')
    parser.add_argument('--only-ops', action='store_true', help="check nothing but mmcv's compiled ops")
    args = parser.parse_args(argv)
    ops = check_all_ops()
    locked = locked_versions()
    sections = {'Compiled ops': ops}
    if not args.only_ops:
        ops_work = all(result.works for result in ops)
        sections = {
            f'sartorius {describe_version()} in {CHECKOUT or PACKAGE_DIR}': [
                check_python(),
                *(check_package(package, locked) for package in PACKAGES),
                check_lock(locked),
            ],
            'Devices': [*check_devices(), check_compiler(ops_work)],
        } | sections
    results = [result for section in sections.values() for result in section]
    for title, section in sections.items():
        print(title)
        for result in section:
            mark = 'FAILS' if not result.works else 'note' if result.fix else 'ok'
            print(f'  {result.name:<20} {mark:<6} {result.value}')
    fixes = list(dict.fromkeys(result.fix for result in results if result.fix))
    if fixes:
        print('What to do')
        print('\n'.join(f'  - {fix}' for fix in fixes))
    if not all(result.works for result in results):
        sys.exit(EXIT_FAILURE)
    print('All is well.')


def _compare(name: str, found: list, expected: list) -> CheckResult:
    if found == expected:
        return CheckResult(name, 'right')
    return CheckResult(name, f'wrong: {found} instead of {expected}', REBUILD_OPS, False)


def _one_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


if __name__ == '__main__':
    run_tool(main)
