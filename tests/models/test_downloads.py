"""Weights at addresses: one file for each address, whole, of the hash that was asked for, and read as any other."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import _load_checkpoint

from sartorius.models import downloads
from sartorius.models.checkpoints import fetch_weights, weights_address
from sartorius.models.downloads import cached_file, download
from sartorius.utils.errors import InputError

from .forged import forge, hostile_parts


class Server:
    """A server on this machine.

    Attributes:
        files: Content by path.
        declared: Lengths that it declares in place of the true ones; None declares none.
        asked: How often each path was asked for.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.declared: dict[str, int | None] = {}
        self.asked: Counter[str] = Counter()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked[self.path] += 1
                content = server.files.get(self.path)
                self.send_response(404 if content is None else 200)
                length = server.declared.get(self.path, len(content or b''))
                if length is not None:
                    self.send_header('Content-Length', str(length))
                self.end_headers()
                self.wfile.write(content or b'')

            def log_message(self, *words: object) -> None:
                pass

        self.http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.address = f'http://127.0.0.1:{self.http.server_address[1]}'

    def put(self, path: str, content: bytes) -> str:
        self.files[path] = content
        return self.address + path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


def test_two_addresses_of_one_name_have_a_file_each(server: Server) -> None:
    first, second = (server.put(f'/{model}/latest.pth', model.encode()) for model in ('a', 'b'))
    assert [download(address).read_bytes() for address in (first, second, first)] == [b'a', b'b', b'a']
    assert server.asked == {'/a/latest.pth': 1, '/b/latest.pth': 1}


def test_a_damaged_file_is_downloaded_again(server: Server) -> None:
    address = server.put('/a.pth', b'0123456789')
    download(address).write_bytes(b'01234X6789')
    assert download(address).read_bytes() == b'0123456789'
    cached_file(address).with_name(f'{cached_file(address).name}.sha256').unlink()
    assert download(address).read_bytes() == b'0123456789'
    assert server.asked['/a.pth'] == 3


@pytest.mark.parametrize('digits', [64, 8])
def test_the_hash_that_an_address_asks_for_is_checked(server: Server, digits: int) -> None:
    address, digest = server.put('/a.pth', b'content'), hashlib.sha256(b'content').hexdigest()[:digits]
    assert download(f'{address}#sha256={digest.upper()}').read_bytes() == b'content'
    wrong = f'{address}#sha256={"0" * digits}'
    with pytest.raises(InputError, match=f'{wrong}: what is there has the SHA-256'):
        download(wrong)
    assert not cached_file(wrong).exists()


@pytest.mark.parametrize('fragment', ['sha256=12345', 'sha256=xyzxyz', 'md5=123456', 'sha256=' + 'a' * 65])
def test_what_is_no_hash_is_refused_before_anything_is_fetched(server: Server, fragment: str) -> None:
    with pytest.raises(InputError, match='is no hash; write #sha256='):
        download(f'{server.put("/a.pth", b"x")}#{fragment}')
    assert not server.asked


@pytest.mark.parametrize(
    ('declared', 'content', 'message'),
    [
        (9, b'cut', 'the connection ended after 3 of 9 bytes.*--load-from FILE.*--from-scratch'),
        (101, b'', 'larger than 0 GiB'),
        (None, b'x' * 101, 'larger than 0 GiB'),
    ],
)
def test_what_is_cut_short_or_too_large_is_not_kept(
    server: Server, declared: int, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, 'MAX_BYTES', 100)
    address = server.put('/a.pth', content)
    server.declared['/a.pth'] = declared
    with pytest.raises(InputError, match=message):
        download(address)
    assert [path.suffix for path in cached_file(address).parent.iterdir()] == ['.lock']


def test_weights_that_cannot_be_downloaded_name_both_ways_round(server: Server) -> None:
    with pytest.raises(InputError, match=r'Not Found.*--load-from FILE.*--from-scratch'):
        fetch_weights(f'{server.address}/weights.pth')
    # Port 9 of this machine: nothing listens there.
    with pytest.raises(InputError, match='--load-from FILE.*--from-scratch'):
        fetch_weights('http://127.0.0.1:9/weights.pth')


def test_names_of_files_stay_in_the_folder(server: Server) -> None:
    address = server.put('/..%2F..%2Fweights.pth', b'x')
    assert download(address).parent == Path(torch.hub.get_dir(), 'checkpoints')


@pytest.mark.parametrize('load', [fetch_weights, _load_checkpoint], ids=['ours', 'mmengine'])
def test_what_was_downloaded_is_read_like_any_checkpoint(server: Server, tmp_path: Path, load) -> None:
    marker = tmp_path / 'ran'
    forged = forge(tmp_path / 'forged.pth', hostile_parts(marker)['getattr to exec'])
    with pytest.raises(InputError, match='cannot be read as a checkpoint'):
        load(server.put('/forged.pth', forged.read_bytes()))
    assert not marker.exists()


def test_names_of_the_usual_backbones_are_addresses() -> None:
    assert weights_address('torchvision://resnet50') == 'https://download.pytorch.org/models/resnet50-0676ba61.pth'
    with pytest.raises(InputError, match=r"torchvision://resnet5O: no such name; did you mean 'resnet50'\?"):
        weights_address('torchvision://resnet5O')


@pytest.mark.parametrize('address', ['s3://a/b.pth', 'pavi://a', 'mmcls://a', 'file:///a.pth', 'ftp://a/b.pth'])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(InputError, match=f'{address}: such addresses are not supported; fetch the file'):
        _load_checkpoint(address)
