"Downloads without an end, files that unpack to more than there is, pictures that are programs."

import ast
import bz2
import gzip
import io
import pickle
import struct
import tarfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import children
import numpy as np
import processes
import pytest
import scipy.io
from conftest import MODULES
from PIL import Image
from processes import call, one_line

from genda.data import downloads
from genda.data.archives import members, plain_pickle, read_batches
from genda.data.downloads import NET, DataError, fetch, open_image, read_folder

home = processes.home  # a fixture
MB = 2**20
PROXIES = "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"


class Handler(BaseHTTPRequestHandler):
    "Serves what never ends, in the ways that a URL names."

    def log_message(self, *args):
        pass

    def do_GET(self):
        way = self.path.strip("/")
        if way == "slow-head":
            self.drip(b"HTTP/1.0 200 OK\r\n" + b"X-Long: 1\r\n" * 1000)
            return
        if way.startswith("slow-"):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.drip(dict(chunk=b"1;" + b"x" * 1000, trailer=b"1\r\nx\r\n0\r\n")[way[5:]])
            self.drip(b"X-Long: 1\r\n" * 1000)
            return
        self.send_response(200)
        if way == "announced":
            self.send_header("Content-Length", str(10**12))
        self.end_headers()
        if way == "slow":
            self.drip(bytes(10**6))
        while way != "announced" and not self.server.over.is_set():
            self.server.sent += self.wfile.write(bytes(2**16))

    def drip(self, content):
        "Send a byte every twentieth of a second."
        for k in range(len(content)):
            if self.server.over.wait(0.05):
                return
            self.wfile.write(content[k : k + 1])
            self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # the other side has hung up, as it should


@pytest.fixture(scope="module")
def server():
    server = Server(("127.0.0.1", 0), Handler)
    server.sent = 0
    server.over = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "way, says",
    [
        ("slow", "too slow"),
        ("slow-head", "too slow"),
        ("slow-chunk", "too slow"),
        ("slow-trailer", "too slow"),
        ("announced", "1,000,000,000,000 bytes"),
        ("endless", "more than 3,000,000 bytes"),
    ],
)
def test_a_download_without_an_end_is_given_up(server, tmp_path, monkeypatch, way, says):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    for name, value in dict(tries=1, timeout=2, grace=0.5).items():
        monkeypatch.setitem(NET, name, value)
    server.sent = 0
    url = f"http://127.0.0.1:{server.server_port}/{way}"
    start = time.monotonic()
    with pytest.raises(DataError, match=says):
        fetch([url], tmp_path / "file.gz", "0" * 32, most=3_000_000)
    assert time.monotonic() - start < 60
    assert server.sent < 20 * MB
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_the_mirrors_fault(server, home):
    url = f"http://127.0.0.1:{server.server_port}/endless"
    end = call(home, children.on_a_full_disk, 100_000, children.fetch_file, url)
    assert end.code == 99
    last = end.err.splitlines()[-1]
    assert "data/file.gz" in last
    assert "File too large" in last
    assert end.out.count("fetching") == 1, "no mirror can help"
    assert list((home / "data").iterdir()) == []


def zeros(archive, size):
    "Write a file of zeros into an archive, zipped or tarred, that is hundreds of times smaller."
    if archive.suffix == ".zip":
        packed = zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        with packed as z, z.open("a.png", "w") as f:
            for _ in range(size // MB):
                f.write(bytes(MB))
        return archive
    with tarfile.open(archive, "w:gz", compresslevel=1) as t:
        member = tarfile.TarInfo("a.png")
        member.size = size
        t.addfile(member, Zeros(size))
    return archive


class Zeros(io.RawIOBase):
    "A file of zeros."

    def __init__(self, size):
        self.left = size

    def read(self, n=-1):
        n = min(n, self.left)
        self.left -= n
        return bytes(n)


def npz(path, shape):
    "Write a file of arrays whose images are zeros and compressed."
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
        with z.open("x.npy", "w") as f:
            header = dict(descr="|u1", fortran_order=False, shape=shape)
            np.lib.format.write_array_header_1_0(f, header)
            for _ in range(int(np.prod(shape)) // MB):
                f.write(bytes(MB))
        with z.open("y.npy", "w") as f:
            np.save(f, np.zeros(shape[0], np.uint8))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.npz"])
def test_an_archive_that_unpacks_to_much_more_is_refused(home, name):
    if name == "a.npz":
        path = npz(home / name, (300, 1024, 1024, 1))
        end = call(home, children.with_memory, 200 * MB, children.read_npz, path)
    else:
        path = zeros(home / name, 300 * MB)
        end = call(home, children.with_memory, 200 * MB, children.read_members, path)
    assert path.stat().st_size < 3 * MB
    one_line(end.out, "DataError", name, "unpack")


def test_an_archive_of_pictures_is_read(tmp_path):
    content = np.random.RandomState(0).bytes(MB)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as z:
        for k in range(9):
            z.writestr(f"{k}.png", content)
    assert len(list(members(tmp_path / "a.zip"))) == 9


def mat(path, n):
    "Write a file of Matlab with that many black images."
    images = np.zeros((32, 32, 3, n), np.uint8)
    scipy.io.savemat(path, dict(X=images, y=np.ones((n, 1))), do_compression=True)


@pytest.mark.parametrize("name", ["mnist", "usps", "svhn"])
def test_a_compressed_set_that_is_a_bomb_is_refused(home, name):
    data = home / "own"
    raw = data / "MNIST" / "raw"
    raw.mkdir(parents=True)
    if name == "mnist":
        (raw / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(300 * MB), 1))
        (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8)))
    if name == "usps":
        packed = bz2.BZ2Compressor(1)
        content = b"".join(packed.compress(b"1 1:0.5 " + b" " * MB) for _ in range(40))
        (data / "usps.t.bz2").write_bytes(content + packed.flush())
    if name == "svhn":
        mat(data / "test_32x32.mat", 100_000)
    end = call(
        home, children.with_memory, 400 * MB, children.load_set, name, data
    )  # SciPy looks ahead
    said = end.out.splitlines()[0]
    assert said.startswith("DataError"), end
    assert "unpack" in said


BYTEARRAY = b"\x80\x05\x96" + struct.pack("<Q", 2 * 10**9) + b"."
MEMO = b"\x80\x02Nr" + struct.pack("<I", 2**28) + b"."


@pytest.mark.parametrize("content", [BYTEARRAY, MEMO], ids=["bytearray", "memo"])
def test_a_pickle_that_asks_for_gigabytes_is_refused(home, content):
    assert len(content) < 15
    end = call(home, children.with_memory, 200 * MB, children.unpickle, content)
    one_line(end.out, "UnpicklingError")


def copies(n):
    "A pickle that turns one text of a megabyte into bytes, n times over."
    text = pickle.dumps("x" * MB, 2)[:-1]  # with its memo, and without the full stop
    encode = b"c_codecs\nencode\nh\0U\6latin1\x86R"
    return text + b"0](" + encode * n + b"e."


def test_a_pickle_that_copies_one_text_again_and_again_is_refused(home):
    assert len(plain_pickle(copies(2))) == 2
    end = call(home, children.with_memory, 200 * MB, children.unpickle, copies(1000))
    one_line(end.out, "UnpicklingError", "copies")


def test_labels_that_hold_themselves_many_times_are_refused(home):
    labels = 0
    for _ in range(10):
        labels = [labels] * 10
    batch = dict(data=np.zeros((10, 3072), np.uint8), labels=labels)
    (home / "one").write_bytes(pickle.dumps(batch, 2))
    end = call(home, children.with_memory, 200 * MB, children.batch_of, home)
    one_line(end.out, "ValueError", "one", "labels")
    batch["labels"] = list(range(10))
    (home / "one").write_bytes(pickle.dumps(batch, 2))
    assert read_batches(home, ["one"], 10)[1].tolist() == batch["labels"]


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


def refused_formats():
    "Files that Pillow would open, by the names of their formats."
    for kind in ("PPM", "PCX", "TGA", "ICO", "SGI"):
        file = io.BytesIO()
        Image.new("RGB", (16, 16)).save(file, kind)
        yield kind, file.getvalue()
    yield "EPS", EPS


def test_only_pictures_of_six_formats_are_opened(tmp_path):
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
        file = io.BytesIO()
        Image.new("RGB", (16, 16), "white").save(file, kind)
        assert open_image(io.BytesIO(file.getvalue()))[0].min() == 255, kind
    Image.new("RGB", (16, 16)).save(tmp_path / "good.png")
    for kind, content in refused_formats():
        assert Image.open(io.BytesIO(content)).format == kind, "Pillow opens it"
        with pytest.raises(OSError, match="PNG, JPEG, GIF, BMP, WEBP or TIFF"):
            open_image(io.BytesIO(content))
        (tmp_path / f"{kind}.png").write_bytes(content)
    with pytest.raises(DataError, match="6 of 7 files"):
        read_folder(tmp_path, bad="raise")


def test_every_picture_is_opened_with_its_formats():
    opened = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open":
                opened.append(path.name)
                assert any(k.arg == "formats" for k in node.keywords), ast.unparse(node)
    assert opened


def test_a_picture_of_too_many_pixels_is_refused(home):
    side = 20_000
    row = gzip.zlib.compress(bytes(side // 8 + 1) * side, 9)

    def chunk(kind, content):
        checksum = gzip.zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", row) + chunk(b"IEND", b"")
    (home / "a.png").write_bytes(png)
    assert len(png) < MB
    end = call(home, children.with_memory, 200 * MB, children.picture, home / "a.png")
    one_line(end.out, "ValueError", "pixels")
    assert side**2 > downloads.PIXELS
