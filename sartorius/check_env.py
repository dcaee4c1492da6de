"""What is installed, whether it works, and what to do about what does not: ``python -m sartorius.check_env``.

Everything is imported inside the checks, so that this starts and names what is missing where nothing is installed.
"""

import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sartorius.utils.cli import EXIT_FAILURE, make_parser, run_tool
from sartorius.utils.paths import REPO_ROOT
from sartorius.utils.version import describe_version

# What a broken binary package is known to raise on import, besides ImportError: a missing shared library (OSError),
# another numpy than it was built for (AttributeError, ValueError), a version check (AssertionError, RuntimeError).
BROKEN_IMPORT = (ImportError, OSError, AttributeError, ValueError, AssertionError, RuntimeError)

PYTHONS = ((3, 10), (3, 11), (3, 12))

MISSING = 'install what is missing: run `make setup` in the checkout'
REIMPORT = (
    'install again what cannot be imported: run `make setup` in the checkout; if that does not help, remove .venv first'
)
REBUILD_OPS = (
    'compile mmcv for the torch that is installed (about 11 minutes on 2 cores): run `make setup` in the checkout; '
    'or, in another environment: pip cache remove onedl_mmcv; MMCV_WITH_OPS=1 pip install --force-reinstall --no-deps '
    '--no-build-isolation --no-binary onedl-mmcv onedl-mmcv==2.3.6'
)


@dataclass(frozen=True)
class Package:
    """A package that the project needs: what users call it, its module, distribution, and the versions tried."""

    name: str
    module: str
    distribution: str
    tried: tuple[str, ...]


PACKAGES = (
    Package('torch', 'torch', 'torch', ('2.13.0',)),
    Package('mmcv', 'mmcv', 'onedl-mmcv', ('2.3.6',)),
    Package('mmengine', 'mmengine', 'onedl-mmengine', ('0.10.12',)),
    Package('mmdet', 'mmdet', 'onedl-mmdetection', ('3.5.1',)),
    Package('numpy', 'numpy', 'numpy', ('2.2.6',)),
    Package('opencv', 'cv2', 'opencv-python', ('4.12.0.88',)),
    Package('pycocotools', 'pycocotools.mask', 'pycocotools', ('2.0.11',)),
    Package('pandas', 'pandas', 'pandas', ('2.3.3', '3.1.1')),
    Package('scipy', 'scipy', 'scipy', ('1.15.3', '1.17.1')),
    Package('ensemble-boxes', 'ensemble_boxes', 'ensemble-boxes', ('1.0.9',)),
    Package('numba', 'numba', 'numba', ('0.68.1',)),
    # For tools/workflow.py alone; has no release for Python 3.10.
    *([Package('snakemake', 'snakemake', 'snakemake', ('9.27.1',))] if sys.version_info >= (3, 11) else []),
)


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was looked at.
        value: What was found.
        fix: What to do about it; empty when there is nothing to do.
        works: False when the project cannot run like this; a finding that works and has a fix is a warning.
    """

    name: str
    value: str
    fix: str = ''
    works: bool = True


def check_python() -> Finding:
    """Version of the running Python."""
    version = platform.python_version()
    if sys.version_info[:2] in PYTHONS:
        return Finding('python', version)
    return Finding(
        'python', version, 'use Python 3.10, 3.11 or 3.12, for example `PYTHON=python3.11 make setup`', False
    )


def check_package(package: Package) -> Finding:
    """Imports a package and compares its version with those that were tried: another one is a warning."""
    try:
        module = importlib.import_module(package.module)
    except BROKEN_IMPORT as error:
        if isinstance(error, ModuleNotFoundError) and error.name == package.module.split('.')[0]:
            return Finding(package.name, 'missing', MISSING, works=False)
        return Finding(package.name, f'broken ({_one_line(error)})', REIMPORT, works=False)
    try:
        version = importlib.metadata.version(package.distribution)
    except importlib.metadata.PackageNotFoundError:
        version = getattr(module, '__version__', 'unknown')
    running = getattr(module, '__version__', version)
    # OpenCV's module leaves out the last number of its package's version.
    if not f'{version}.'.startswith(f'{running}.'):
        twice = f'{sys.executable} -m pip uninstall -y {package.distribution}'
        fix = f'two versions of {package.name} lie over each other: run `{twice}` twice, then `make setup`'
        return Finding(package.name, f'{running} in files that pip takes for {version}', fix)
    if version.split('+')[0] not in package.tried:
        fix = f'{package.name} {version} is untried: if it makes trouble, {package.tried[-1]} is known to work'
        return Finding(package.name, version, fix)
    return Finding(package.name, version)


def check_devices() -> list[Finding]:
    """CUDA GPUs with their memory, or the number of CPU cores that training will use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    findings = [Finding('CPU', f'{cores} cores')]
    try:
        import torch
    except BROKEN_IMPORT:
        return findings
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        findings.append(Finding(f'GPU {index}', f'{device.name}, {device.total_memory / 2**30:.0f} GiB'))
    if torch.cuda.device_count():
        return findings
    if shutil.which('nvidia-smi'):
        reason = 'is a CPU build' if torch.version.cuda is None else f'(CUDA {torch.version.cuda}) cannot use it'
        fix = f'there is an NVIDIA driver, but torch {torch.__version__} {reason}: see "GPU" in docs/install.md'
        return [*findings, Finding('GPU', 'not used', fix)]
    return [*findings, Finding('GPU', 'none; the CPU does the work')]


def check_compiler(ops_work: bool) -> Finding:
    """The C++ compiler that mmcv's ops would be compiled with; not needed any more once they work."""
    compiler = os.environ.get('CXX', 'c++')
    if shutil.which(compiler) is None:
        fix = '' if ops_work else 'install a C++ compiler to compile mmcv with (Debian, Ubuntu: apt-get install g++)'
        return Finding('compiler', 'none', fix)
    done = subprocess.run([compiler, '--version'], capture_output=True, text=True, check=False)
    return Finding('compiler', (done.stdout.splitlines() or ['unknown'])[0])


def check_ops(device: str) -> list[Finding]:
    """Runs mmcv's NMS and RoIAlign on ``device`` ('cpu', 'cuda:0') and compares with answers worked out by hand."""
    name = f'mmcv.ops on {device}'
    try:
        import torch
        from mmcv.ops import get_compiling_cuda_version, nms, roi_align

        if os.environ.get('FORCE_CUDA') == '1' and get_compiling_cuda_version() == 'not available':
            return [Finding(name, 'compiled without CUDA, but FORCE_CUDA is 1', REBUILD_OPS, False)]

        # Boxes 0 and 1 share 90 of 110 pixels, an IoU of .82, so the lower score of the two goes.
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
        return [Finding(name, f'cannot run ({_one_line(error)})', fix, False)]
    except BROKEN_IMPORT as error:
        return [Finding(name, f'cannot run ({_one_line(error)})', REBUILD_OPS, False)]
    return [
        _compare(f'NMS on {device}', kept, [0, 2]),
        _compare(f'RoIAlign on {device}', values, [2.5, 4.5, 2.5, 4.5]),
    ]


def check_all_ops() -> list[Finding]:
    """:func:`check_ops` on the CPU and, where there is one, on the first GPU."""
    findings = check_ops('cpu')
    try:
        import torch
    except BROKEN_IMPORT:
        return findings
    return findings + check_ops('cuda:0') if torch.cuda.is_available() else findings


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the report; exits with 1 when something does not work."""
    parser = make_parser(__doc__.splitlines()[0], 'python -m sartorius.check_env')
    parser.add_argument('--only-ops', action='store_true', help="check nothing but mmcv's compiled ops")
    args = parser.parse_args(argv)
    ops = check_all_ops()
    sections = {'Compiled ops': ops}
    if not args.only_ops:
        ops_work = all(finding.works for finding in ops)
        sections = {
            f'sartorius {describe_version()} in {REPO_ROOT}': [check_python(), *map(check_package, PACKAGES)],
            'Devices': [*check_devices(), check_compiler(ops_work)],
        } | sections
    findings = [finding for section in sections.values() for finding in section]
    for title, section in sections.items():
        print(title)
        for finding in section:
            mark = 'FAILS' if not finding.works else 'note' if finding.fix else 'ok'
            print(f'  {finding.name:<20} {mark:<6} {finding.value}')
    fixes = list(dict.fromkeys(finding.fix for finding in findings if finding.fix))
    if fixes:
        print('What to do')
        print('\n'.join(f'  - {fix}' for fix in fixes))
    if not all(finding.works for finding in findings):
        sys.exit(EXIT_FAILURE)
    print('All is well.')


def _compare(name: str, found: list, expected: list) -> Finding:
    if found == expected:
        return Finding(name, 'right')
    return Finding(name, f'wrong: {found} instead of {expected}', REBUILD_OPS, False)


def _one_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


if __name__ == '__main__':
    run_tool(main)
