"""The download command, with a client that only pretends."""

import os
import subprocess
import sys
import zipfile

import pytest

COMPETITION = 'sartorius-cell-instance-segmentation'


@pytest.fixture
def download(tmp_path, repo_root):
    """Runs the tool with a ``kaggle`` that is the given Python code, or with none."""
    programs = tmp_path / 'bin'
    programs.mkdir()
    # A Python beside which no real client stands.
    (programs / 'python').symlink_to(sys.executable)

    def run(client_code=None, out=tmp_path / 'data' / 'sartorius'):
        if client_code is not None:
            client = programs / 'kaggle'
            client.write_text(f'#!{sys.executable}\nimport shutil, sys\nfolder = sys.argv[-1]\n{client_code}\n')
            client.chmod(0o755)
        environment = {
            **os.environ,
            'PATH': str(programs),
            'PYTHONPATH': os.pathsep.join([str(repo_root), *sys.path]),
        }
        command = [str(programs / 'python'), str(repo_root / 'tools' / 'data/download_sartorius.py'), '--out', str(out)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    return run


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / 'archive.zip'
    with zipfile.ZipFile(path, 'w') as content:
        content.writestr('train.csv', 'id\n')
        content.writestr('train/a.png', 'image')
    return path


def copy_code(archive):
    return f'shutil.copy({str(archive)!r}, folder + "/{COMPETITION}.zip")'


def test_downloads_and_unpacks(download, archive, tmp_path):
    said = tmp_path / 'arguments'
    done = download(f'open({str(said)!r}, "w").write(" ".join(sys.argv[1:-1]))\n{copy_code(archive)}')
    assert done.returncode == 0, done.stderr
    assert said.read_text() == f'competitions download -c {COMPETITION} -p'
    assert (tmp_path / 'data' / 'sartorius' / 'train.csv').read_text() == 'id\n'
    assert (tmp_path / 'data' / 'sartorius' / 'train' / 'a.png').read_text() == 'image'
    assert [path.name for path in (tmp_path / 'data').iterdir()] == ['sartorius']
    assert 'next: python tools/prepare_sartorius.py --data-root' in done.stdout


def test_an_empty_folder_is_filled(download, archive, tmp_path):
    out = tmp_path / 'empty'
    out.mkdir()
    assert download(copy_code(archive), out).returncode == 0
    assert (out / 'train.csv').is_file()


def test_says_what_to_install(download):
    done = download()
    assert done.returncode == 2
    assert done.stderr.startswith('error: the kaggle client is not installed: run "pip install kaggle"')
    for word in ('~/.kaggle/access_token', f'{COMPETITION}/rules', f'{COMPETITION}/data', 'unpack it'):
        assert word in done.stderr
    assert done.stderr.count('\n') == 1


@pytest.mark.parametrize(
    ('code', 'message'),
    [
        ('sys.exit("403 - Forbidden")', 'the kaggle client could not download'),
        ('pass', 'brought no sartorius-cell-instance-segmentation.zip but nothing'),
        (f'open(folder + "/{COMPETITION}.zip", "w").write("cut")', 'is damaged'),
        (
            f'import zipfile; zipfile.ZipFile(folder + "/{COMPETITION}.zip", "w").writestr("x", "")',
            'holds no train.csv',
        ),
    ],
)
def test_failures_leave_nothing(download, tmp_path, code, message):
    done = download(code)
    assert done.returncode == 1
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'data').exists()


def test_does_not_touch_a_folder_in_use(download, archive, tmp_path):
    out = tmp_path / 'mine'
    out.mkdir()
    (out / 'train.csv').write_text('mine')
    done = download(copy_code(archive), out)
    assert done.returncode == 2
    assert 'exists already' in done.stderr
    assert (out / 'train.csv').read_text() == 'mine'
