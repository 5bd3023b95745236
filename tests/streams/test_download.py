import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cifar_writers as cifar
import pytest
from torchvision import datasets

from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams import DATASETS, download, open_stream


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small archive of CIFAR-100's shape, served on the loopback; torchvision is told its address."""
    path = tmp_path / "served" / "cifar-100-python.tar.gz"
    path.parent.mkdir()
    content = cifar.python2_pickle(cifar.random_batch(400, 100), b"fine_labels")
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo("cifar-100-python/train")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=path.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(datasets.CIFAR100, "url", f"http://127.0.0.1:{server.server_port}/{path.name}")
    yield path
    server.shutdown()
    server.server_close()


def admit(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR100, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())


def test_downloaded_archive_can_be_streamed(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    admit(archive, monkeypatch)
    root = tmp_path / "new" / "data"
    download(DATASETS["cifar100"], root)
    assert [path.name for path in root.iterdir()] == ["cifar-100-python"]
    stream = open_stream(StreamRecord(name="cifar100-b50-t5"), root, accept_modified_data=True)
    assert len(stream.raw_labels) == 400


def test_archive_with_another_checksum_leaves_nothing_behind(archive: Path, tmp_path: Path) -> None:
    root = tmp_path / "new" / "data"
    with pytest.raises(TuneCLError, match=r"--download: cifar100 could not be fetched into .*corrupted"):
        download(DATASETS["cifar100"], root)
    assert not root.parent.exists()


def test_download_without_network_is_one_sentence_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(TuneCLError, match=r"--download: cifar10 could not be fetched .* by other means") as caught:
        download(DATASETS["cifar10"], tmp_path / "a" / "b")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(TuneCLError):
        download(DATASETS["cifar10"], tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []  # what was there before stays


def test_download_does_not_overwrite_other_files(tmp_path: Path) -> None:
    folder = cifar.write_python(tmp_path, "cifar100", [cifar.random_batch(400, 100)])
    before = (folder / "train").read_bytes()
    with pytest.raises(TuneCLError, match=r"cifar-100-python is in the way .*move it away first"):
        download(DATASETS["cifar100"], tmp_path)
    assert (folder / "train").read_bytes() == before


def test_data_that_ship_with_the_package_are_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(TuneCLError, match="fashion ships with tune_cl"):
        download(DATASETS["fashion"], tmp_path)
