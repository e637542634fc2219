"A small file in each published format loads exactly; a damaged one is refused, nothing left over."

import bz2
import gzip
import hashlib
import io
import os
import pickle
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import test_data_faults
import torch
from PIL import Image
from scipy.io import savemat
from test_data_faults import FILES, PROXIES, SETTINGS, idx
from torchvision import datasets as tv

import genda
from genda.data import photos
from genda.data.archives import members, plain_pickle, read_batches
from genda.data.domains import domain_dls, pair_dls, pair_sets
from genda.data.downloads import NET, DataError
from genda.data.registry import SETS, catalog, load_raw, ready
from genda.settings import settings

rng = np.random.RandomState(0)
server = test_data_faults.server  # a fixture


def noise(*shape):
    return rng.randint(0, 256, shape).astype(np.uint8)


def encoded(pixels, kind="PNG"):
    "An array as the bytes of an image file."
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=95)
    return file.getvalue()


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def hwc(x):
    "A batch of images with the channels last, as an array."
    return x.permute(0, 2, 3, 1).numpy()


def by_bytes(x, y):
    "The bytes of each image -> its label."
    return {image.tobytes(): np.asarray(label).tolist() for image, label in zip(hwc(x), y)}


@pytest.fixture
def own(tmp_path, monkeypatch):
    "An empty GENDA_DATA folder; whatever a test does, no half file appears beside it."
    (tmp_path / "settings.ini").write_text(SETTINGS)
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENDA_DATA", str(own))
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    for name, value in dict(tries=1, timeout=1, pause=0).items():
        monkeypatch.setitem(NET, name, value)
    yield own
    assert not list(tmp_path.rglob("*.part"))


def put(path, content):
    "Write a file; its path."
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def put_all(folder, content):
    "Write the files of a dictionary name -> bytes."
    for name, file in content.items():
        put(folder / name, file)


def zipped(path, content):
    "Write a zip of the files of a dictionary name -> bytes; its path."
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in content.items():
            archive.writestr(name, file)
    return path


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refuses(own, message, name, split="train", **options):
    "Loading raises DataError with `message`; no file appears, disappears or changes."
    before = contents(own.parent)
    with pytest.raises(DataError, match=message):
        load_raw(name, split, **options)
    assert contents(own.parent) == before


# idx


def unzipped_idx(a):
    return gzip.decompress(idx(a))


def put_idx(own, images, labels):
    "Write the two test files of MNIST."
    put(own / "MNIST" / "raw" / "t10k-images-idx3-ubyte", images)
    put(own / "MNIST" / "raw" / "t10k-labels-idx1-ubyte", labels)


def put_mnist(own, **sizes):
    "Write MNIST's zipped files with random images; part -> how many."
    for part, n in sizes.items():
        raw = own / "MNIST" / "raw"
        put(raw / f"{part}-images-idx3-ubyte.gz", idx(noise(n, 28, 28)))
        put(raw / f"{part}-labels-idx1-ubyte.gz", idx(np.arange(n) % 10))


def test_idx(own):
    images = noise(7, 28, 28)
    put_idx(own, unzipped_idx(images), unzipped_idx(np.arange(7)))
    x, y = load_raw("mnist", "test")
    assert (x[:, 0].numpy() == images).all()
    assert y.tolist() == list(range(7))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda content: b"\1" + content[1:], "images-idx3-ubyte is damaged"),
        (lambda content: content[:-9], "images-idx3-ubyte is damaged"),
        (lambda content: content[:7], "is damaged"),
        (lambda content: unzipped_idx(noise(6, 28, 28)), "7 labels for 6 images"),
    ],
)
def test_damaged_idx(own, spoil, message):
    put_idx(own, spoil(unzipped_idx(noise(7, 28, 28))), unzipped_idx(np.arange(7)))
    refuses(own, message, "mnist", "test")


# libsvm text in bz2


def libsvm(images, labels):
    "Images and labels as libsvm's text."
    lines = []
    for image, label in zip(images, labels):
        pixels = [f"{i + 1}:{v / 127.5 - 1:.7f}" for i, v in enumerate(image.flat)]
        lines.append(f"{label + 1} {' '.join(pixels)} \n")
    return "".join(lines).encode()


def test_usps(own):
    images = noise(8, 16, 16)
    labels = np.arange(8)
    put(own / "usps.t.bz2", bz2.compress(libsvm(images, labels)))
    x, y = load_raw("usps", "test", size=16)
    assert y.tolist() == labels.tolist()
    difference = np.abs(x[:, 0].numpy().astype(int) - images)
    assert difference.max() <= 1, "torchvision cuts off where it could round"


@pytest.mark.parametrize(
    "content",
    [
        bz2.compress(libsvm(noise(2, 16, 16), [1, 2]))[:-20],
        b"BZh91AY&SY" + bytes(50),
        bz2.compress(libsvm(noise(2, 16, 15), [1, 2])),
        bz2.compress(b"one 1:0.5\n"),
    ],
)
def test_damaged_usps(own, content):
    put(own / "usps.t.bz2", content)
    refuses(own, "usps.t.bz2 is damaged", "usps", "test")


# Matlab


def test_svhn(own):
    images = noise(32, 32, 3, 10)
    labels = np.arange(1, 11, dtype=np.uint8)[:, None]
    savemat(own / "test_32x32.mat", dict(X=images, y=labels))
    x, y = load_raw("svhn", "test")
    assert (x.numpy() == images.transpose(3, 2, 0, 1)).all()
    assert y.tolist() == [*range(1, 10), 0]


@pytest.mark.parametrize(
    "arrays",
    [
        dict(X=noise(32, 32, 3, 4)),
        dict(X=noise(32, 32, 3, 4), y=np.ones((5, 1))),
        dict(X=noise(32, 32, 3, 4) / 2, y=np.ones((4, 1))),
        dict(X=noise(32, 32, 3, 4), y=np.full((4, 1), 11)),
        None,
    ],
)
def test_damaged_svhn(own, arrays):
    path = own / "test_32x32.mat"
    savemat(path, arrays or dict(X=noise(32, 32, 3, 4), y=np.ones((4, 1))))
    if arrays is None:
        path.write_bytes(path.read_bytes()[:5000])
    refuses(own, "test_32x32.mat is damaged", "svhn", "test")


# pickled batches, as Python 2 wrote them


def python2(value):
    """A value as Python 2's pickle wrote it, protocol 2.

    Text and bytes are one type, arrays are built by numpy.core.
    """
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(python2, value)) + b"e"
    if isinstance(value, dict):
        items = [python2(k) + python2(v) for k, v in value.items()]
        return b"}(" + b"".join(items) + b"u"
    return python2_array(value)


def python2_array(a):
    "An array of bytes as Python 2's pickle wrote it."
    dtype = b"cnumpy\ndtype\n(" + python2("u1") + b"K\0K\1tR(K\3" + python2("|")
    dtype += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0t" + python2("b")
    shape = b"tR(K\1(" + b"".join(map(python2, a.shape)) + b"t"
    return made + shape + dtype + b"\x89" + python2(a.tobytes()) + b"tb"


def python2_pickle(value):
    return b"\x80\2" + python2(value) + b"."


def batch(images, labels, key="labels"):
    "A file of CIFAR."
    content = {
        "batch_label": "a batch",
        key: labels,
        "data": images.reshape(len(images), -1),
        "filenames": ["x.png"] * len(images),
    }
    return python2_pickle(content)


def test_the_python_2_form_is_what_pickle_reads():
    images = noise(3, 3072)
    read = pickle.loads(batch(images, [1, 2, 3]), encoding="latin1")
    assert (read["data"] == images).all()
    assert read["labels"] == [1, 2, 3]
    assert read["batch_label"] == "a batch"


def cifar_part(names, key, classes):
    "Files of one part of a small CIFAR; its images and labels."
    content = {}
    images = []
    labels = []
    for name in names:
        images.append(noise(12, 3, 32, 32))
        labels.append(rng.permutation(np.arange(12) % classes))
        content[name] = batch(images[-1], labels[-1].tolist(), key)
    return content, (np.concatenate(images), np.concatenate(labels).tolist())


def cifar(cls, key, classes):
    "Files of a small CIFAR, and its images and labels: training, test."
    train, train_arrays = cifar_part([name for name, _ in cls.train_list], key, classes)
    test, test_arrays = cifar_part([name for name, _ in cls.test_list], key, classes)
    return train | test, (train_arrays, test_arrays)


def tar_gz(content, folder):
    "The bytes of an archive of files in a folder."
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in sorted(content, reverse=True):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content[name])
            archive.addfile(member, io.BytesIO(content[name]))
    return file.getvalue()


@pytest.mark.parametrize(
    "name, cls, key", [("cifar10", tv.CIFAR10, "labels"), ("cifar100", tv.CIFAR100, "fine_labels")]
)
@pytest.mark.parametrize("packed", [False, True])
def test_cifar(own, name, cls, key, packed):
    content, (train, test) = cifar(cls, key, SETS[name].classes)
    if packed:
        path = put(own / cls.filename, tar_gz(content, cls.base_folder))
    else:
        path = own / cls.base_folder
        put_all(path, content)
    assert ready(name)
    x, y = load_raw(name, "test")
    assert (x.numpy() == test[0]).all()
    assert y.tolist() == test[1]
    x, y = read_batches(path, [file for file, _ in cls.train_list], 100)
    assert (x == train[0]).all(), "in the order of the list, not in the archive's"
    assert y.tolist() == train[1]
    x, y = load_raw(name, "train+valid")
    assert by_bytes(x, y) == {a.transpose(1, 2, 0).tobytes(): k for a, k in zip(*train)}


def test_cifar_is_what_torchvision_reads(own, monkeypatch):
    content, _ = cifar(tv.CIFAR10, "labels", 10)
    content["batches.meta"] = pickle.dumps({"label_names": SETS["cifar10"].names})
    put_all(own / tv.CIFAR10.base_folder, content)
    monkeypatch.setattr(tv.cifar, "check_integrity", lambda *args: True)
    theirs = tv.CIFAR10(own, train=False)
    x, y = load_raw("cifar10", "test")
    assert (theirs.data == hwc(x)).all()
    assert theirs.targets == y.tolist()


class Trick:
    "When it is unpickled it leaves a file."

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


OBJECTS = np.array([Trick()], object)


@pytest.mark.parametrize(
    "content, message",
    [
        (pickle.dumps(Trick(), 2), "asks for"),
        (pickle.dumps({"data": Trick(), "labels": [1]}, 4), "asks for"),
        (b"\x80\2cos\nsystem\n(U\4truetR.", "asks for os.system"),
        (
            b"\x80\2c__builtin__\neval\n(U\x011tR.",
            "asks for __builtin__.eval|asks for builtins.eval",
        ),
        (batch(noise(4, 3072), [1, 2, 3, 4])[:-700], "UnpicklingError|EOFError"),
        (batch(noise(4, 3072), [1, 2, 3]), "3 labels"),
        (batch(noise(4, 3071), [1, 2, 3, 4]), "3071"),
        (batch(noise(4, 3072), [1, 2, 3, 10]), "labels from 0 to 9"),
        (python2_pickle({"data": "text", "labels": [1]}), "AttributeError"),
        (
            pickle.dumps({"data": OBJECTS, "labels": [1]}, 2),
            "asks for|something else than bytes",
        ),
        (b"nothing of the kind", "UnpicklingError"),
    ],
)
def test_damaged_or_malicious_batches(own, content, message):
    put(own / tv.CIFAR10.base_folder / "test_batch", content)
    refuses(own, f"(?s)cifar-10-batches-py.*test_batch.*({message})", "cifar10", "test")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\2cnumpy\nndarray\n(K\5tR.",
        b"\x80\2cnumpy\ndtype\nU\1Ob.",
        b"\x80\2cnumpy.core.multiarray\n_reconstruct\n.",
    ],
)
def test_the_plain_reader_calls_nothing_even_of_numpy(content):
    try:
        value = plain_pickle(content)
    except Exception:
        return
    assert not isinstance(value, (np.ndarray, np.dtype))
    assert value is not np.ndarray


def test_missing_batches_are_named(own):
    put(own / tv.CIFAR10.base_folder / "data_batch_1", b"")
    refuses(own, "lacks data_batch_2, data_batch_3", "cifar10")


def test_a_pickle_in_an_npz_is_refused(own):
    np.savez(own / "mnistm.npz", x_test=noise(1, 28, 28, 3), y_test=np.array([Trick()]))
    message = "mnistm.npz cannot be read.*allow_pickle"
    refuses(own, message, "mnistm", "test", published=True)
    assert not Path("ran").exists()


# downloads, from a server on this machine


@pytest.fixture(autouse=True)
def served():
    "What a test lets the server serve is gone after it: other tests count what is served."
    kept = dict(FILES)
    yield
    FILES.clear()
    FILES.update(kept)


def md5(content):
    return hashlib.md5(content).hexdigest()


def files_in(folder):
    return [p for p in folder.rglob("*") if p.is_file()]


def test_cifar_is_fetched_and_a_corrupt_archive_leaves_nothing(own, server, monkeypatch):
    content, (_, test) = cifar(tv.CIFAR10, "labels", 10)
    FILES["cifar.tar.gz"] = tar_gz(content, tv.CIFAR10.base_folder)
    monkeypatch.setattr(tv.CIFAR10, "tgz_md5", md5(FILES["cifar.tar.gz"]))
    base = f"http://127.0.0.1:{server.server_port}"
    for behaviour in ("truncate", "corrupt", "404"):
        monkeypatch.setattr(tv.CIFAR10, "url", f"{base}/{behaviour}/cifar.tar.gz")
        message = rf"/{behaviour}/cifar.tar.gz(.|\n)*load\('mnistm'\)"
        with pytest.raises(DataError, match=message):
            load_raw("cifar10", "test")
        assert not files_in(settings().data)
    monkeypatch.setattr(tv.CIFAR10, "url", f"{base}/ok/cifar.tar.gz")
    x, _ = load_raw("cifar10", "test")
    assert (x.numpy() == test[0]).all()
    assert ready("cifar10")
    # The archive is read where it lies, not unpacked.
    assert sorted(p.name for p in settings().data.iterdir()) == ["cache", tv.CIFAR10.filename]


def test_an_archive_of_ours_that_broke_is_removed_and_fetched_anew(own):
    path = put(settings().data / tv.CIFAR10.filename, tar_gz({"x": b"x"}, "y")[:-8])
    with pytest.raises(DataError, match=r"damaged(.|\n)*It was removed"):
        load_raw("cifar10", "test")
    assert not path.exists()


def test_svhn_is_fetched(own, server, monkeypatch):
    file = io.BytesIO()
    savemat(file, dict(X=noise(32, 32, 3, 10), y=np.arange(1, 11)[:, None]))
    FILES["svhn.mat"] = file.getvalue()
    url = f"http://127.0.0.1:{server.server_port}/ok/svhn.mat"
    entry = [url, "test_32x32.mat", md5(FILES["svhn.mat"])]
    monkeypatch.setitem(tv.SVHN.split_list, "test", entry)
    _, y = load_raw("svhn", "test")
    assert len(y) == 10
    assert (settings().data / "test_32x32.mat").is_file()


def test_celeba_is_fetched_or_says_how_to_place_it(own, server, monkeypatch, celeba):
    FILES.update(celeba.texts)
    FILES["img_align_celeba.zip"] = zipped(own.parent / "z.zip", celeba.pictures).read_bytes()
    names = ("img_align_celeba.zip", "list_attr_celeba.txt", "list_eval_partition.txt")
    monkeypatch.setattr(tv.CelebA, "file_list", [(n, md5(FILES[n]), n) for n in names])
    base = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(photos, "_DRIVE", f"{base}/corrupt/")
    with pytest.raises(DataError) as error:
        load_raw("celeba", "valid")
    text = str(error.value)
    assert all(name in text for name in names)
    assert str(settings().data / "celeba") in text
    assert "By hand" in text
    assert not files_in(settings().data)
    assert not ready("celeba")
    monkeypatch.setattr(photos, "_DRIVE", f"{base}/ok/")
    _, y = load_raw("celeba", "valid")
    assert (y.numpy() == celeba.attr[12:16]).all()
    assert ready("celeba")


# CelebA


@dataclass
class Celeba:
    "Twenty aligned images and the two text files, in the published form; what they should give."

    attr: np.ndarray  # 0 or 1, a row per image
    names: list  # of the image files
    images: list  # their bytes
    files: dict = field(default_factory=dict)  # name -> bytes, of pictures and texts

    @property
    def pictures(self):
        return {name: file for name, file in self.files.items() if "/" in name}

    @property
    def texts(self):
        return {name: file for name, file in self.files.items() if "/" not in name}


def aligned_face():
    smooth = Image.fromarray(noise(7, 6, 3)).resize((178, 218))
    return encoded(np.asarray(smooth), "JPEG")


def attribute_row(name, values):
    "A line of list_attr_celeba.txt."
    return f"{name}  " + " ".join(f"{2 * v - 1:2d}" for v in values)


@pytest.fixture
def celeba():
    made = Celeba(
        attr=rng.randint(0, 2, (20, 40)),
        names=[f"{i + 1:06d}.jpg" for i in range(20)],
        images=[aligned_face() for _ in range(20)],
    )
    for name, image in zip(made.names, made.images):
        made.files[f"img_align_celeba/{name}"] = image
    head = " ".join(SETS["celeba"].names) + " "
    rows = [attribute_row(name, values) for name, values in zip(made.names, made.attr)]
    made.files["list_attr_celeba.txt"] = "\n".join(["20", head, *rows, ""]).encode()
    parts = [f"{name} {(i >= 12) + (i >= 16)}\n" for i, name in enumerate(made.names)]
    made.files["list_eval_partition.txt"] = "".join(parts).encode()
    return made


def cut(content, left=19, top=39, side=140):
    "The square of an image file that a loaded face shows."
    pixels = decoded(content)[top : top + side, left : left + side]
    return torch.as_tensor(pixels.copy()).permute(2, 0, 1)


def put_celeba(folder, celeba, layout):
    "Write the files as published, with the pictures in a zip, or all in one folder."
    if layout == "folder":
        put_all(folder, celeba.files)
    if layout == "beside":
        put_all(folder, {name.split("/")[-1]: file for name, file in celeba.files.items()})
    if layout == "zip":
        put_all(folder, celeba.texts)
        zipped(folder / "img_align_celeba.zip", celeba.pictures)


@pytest.mark.parametrize("layout", ["folder", "zip", "beside"])
def test_celeba(own, celeba, layout):
    put_celeba(own / "celeba", celeba, layout)
    parts = dict(train=slice(0, 12), valid=slice(12, 16), test=slice(16, 20))
    for split, part in parts.items():
        x, y = load_raw("celeba", split, size=140)
        assert (y.numpy() == celeba.attr[part]).all()
        assert torch.equal(x, torch.stack([cut(image) for image in celeba.images[part]]))
    x, _ = load_raw("celeba", "test", size=128, crop="ddim")
    faces = [cut(image, 25, 57, 128) for image in celeba.images[16:]]
    assert torch.equal(x, torch.stack(faces))
    assert load_raw("celeba", "test")[0].shape == (4, 3, 64, 64)
    assert load_raw("celeba", "test", size=32)[0].shape == (4, 3, 32, 32)


def test_celeba_is_what_torchvision_reads(own, celeba, monkeypatch):
    put_all(own / "celeba", celeba.files)
    monkeypatch.setattr(tv.CelebA, "_check_integrity", lambda self: True)
    rows = "".join(f"{name} 1 1\n" for name in celeba.names)
    heads = {
        "identity_CelebA": "",
        "list_bbox_celeba": "20\na b c d\n",
        "list_landmarks_align_celeba": "20\na b\n",
    }
    for name, head in heads.items():
        put(own / "celeba" / f"{name}.txt", (head + rows).encode())
    theirs = tv.CelebA(own, "valid")
    x, y = load_raw("celeba", "valid", size=140)
    assert torch.equal(torch.stack([attr for _, attr in theirs]), y)
    assert theirs.attr_names[:40] == SETS["celeba"].names
    for (image, _), ours in zip(theirs, hwc(x)):
        assert (np.asarray(image)[39:179, 19:159] == ours).all()


def test_celeba_without_parts_is_split(own, celeba):
    for name, file in celeba.files.items():
        if "partition" not in name:
            put(own / "mine" / name, file)
    found = {}
    for split in ("train", "valid", "test"):
        part = by_bytes(*load_raw("celeba", split, size=140, folder=own / "mine"))
        assert not set(part) & set(found)
        found |= part
    everything = torch.stack([cut(image) for image in celeba.images])
    assert found == by_bytes(everything, celeba.attr)


def spoil(name, change):
    "A function that changes one file of a dictionary name -> bytes."

    def do(content):
        content[name] = change(content[name])

    return do


def replaced(old, new):
    return lambda content: content.replace(old, new)


def one_picture_too_many(content):
    content["img_align_celeba/000099.jpg"] = content["img_align_celeba/000001.jpg"]


ATTR = "list_attr_celeba.txt"
PARTITION = "list_eval_partition.txt"
PICTURE = "img_align_celeba/000002.jpg"


@pytest.mark.parametrize(
    "change, message",
    [
        (one_picture_too_many, "000099.jpg has no row in .*list_attr_celeba.txt"),
        (
            spoil(ATTR, replaced(b"000003.jpg", b"000033.jpg")),
            "000003.jpg has no row in .*list_attr_celeba.txt",
        ),
        (
            spoil(ATTR, lambda content: b"\n".join(content.split(b"\n")[:-2])),
            "announces 20 rows and holds 19",
        ),
        (spoil(ATTR, lambda content: content.rstrip()[:-3]), r"line 22 \(000020.jpg\)"),
        (spoil(ATTR, replaced(b"000004.jpg  ", b"000004.jpg  1 ")), r"line 6 \(000004.jpg\)"),
        (spoil(ATTR, replaced(b"000004.jpg  ", b"000004.jpg  0")), r"line 6 \(000004.jpg\)"),
        (spoil(ATTR, replaced(b"Bald Bangs", b"Bangs Bald")), "line 2 does not hold the 40 names"),
        (spoil(ATTR, lambda content: b""), "list_attr_celeba.txt: line 2"),
        (
            spoil(PARTITION, replaced(b"000005.jpg 0\n", b"")),
            "000005.jpg has no row in .*list_eval_partition.txt",
        ),
        (spoil(PARTITION, lambda content: b"\xff\xfe"), "list_eval_partition.txt is no text"),
        (
            spoil(PARTITION, replaced(b"06.jpg 0", b"06.jpg 7")),
            "list_eval_partition.txt: line 6",
        ),
        (spoil(PICTURE, lambda content: content[:200]), "000002.jpg is no aligned face"),
        (
            spoil(PICTURE, lambda content: encoded(noise(200, 200, 3))),
            "200x200 px: an aligned face is 178x218",
        ),
    ],
)
def test_damaged_celeba(own, celeba, change, message):
    change(celeba.files)
    put_all(own / "celeba", celeba.files)
    refuses(own, message, "celeba")


def test_rows_without_images_are_counted(own, celeba):
    for name, file in celeba.files.items():
        if "000002" not in name:
            put(own / "celeba" / name, file)
    with pytest.warns(UserWarning, match=r"holds 11 of the 12 images \(train\)"):
        _, y = load_raw("celeba")
    assert (y.numpy() == np.delete(celeba.attr[:12], 1, 0)).all()


@pytest.mark.parametrize("no", [0, -1])
def test_celeba_arrays(own, celeba, no):
    "Whether an absent attribute is 0 or -1 there."
    x = noise(20, 64, 64, 3)
    attr = np.where(celeba.attr == 1, 1, no).astype(np.int8)
    np.savez(own / "celeba64.npz", x=x, attr=attr, names=SETS["celeba"].names)
    expected = {image.tobytes(): values.tolist() for image, values in zip(x, celeba.attr)}
    assert by_bytes(*load_raw("celeba", "all")) == expected
    with pytest.raises(ValueError, match="already cut"):
        load_raw("celeba", crop="ddim")


def ones(rows, columns=40):
    return np.ones((rows, columns), int)


REVERSED = SETS["celeba"].names[::-1]


@pytest.mark.parametrize(
    "arrays, message",
    [
        (dict(x=noise(4, 64, 64, 3)), "lacks attr"),
        (dict(x=noise(4, 64, 64, 3), attr=ones(3)), "wanted uint8"),
        (dict(x=noise(4, 64, 64, 3) / 2, attr=ones(4)), "wanted uint8"),
        (dict(x=noise(4, 64, 64, 3), attr=ones(4, 39)), r"wanted \[n, 40\]"),
        (dict(x=noise(4, 64, 64, 3), attr=7 * ones(4)), "7 to 7"),
        (dict(x=noise(4, 64, 64, 3), attr=ones(4), names=REVERSED), "in its order"),
    ],
)
def test_damaged_celeba_arrays(own, arrays, message):
    np.savez(own / "celeba64.npz", **arrays)
    refuses(own, message, "celeba")


# class folders, in a folder or a zip


def pacs(side=8):
    "Files of a small PACS."
    content = {}
    for domain in ("photo", "sketch"):
        for kind in SETS["pacs_photo"].names:
            for i in range(3):
                content[f"PACS/{domain}/{kind}/{i}.png"] = encoded(noise(side, side, 3))
    return content


def labelled(content, names, level, part=""):
    "The bytes of each image whose path holds `part` -> the number of its class in the path."
    chosen = {name: file for name, file in content.items() if part in name}
    return {
        decoded(file).tobytes(): names.index(name.split("/")[level])
        for name, file in chosen.items()
    }


@pytest.mark.parametrize("layout", ["folder", "zip", "argument"])
def test_domains(own, layout):
    content = pacs()
    more = {"PACS/readme.txt": b"hello", "__MACOSX/PACS/photo/dog/._0.png": b"x"}
    options = {}
    if layout == "zip":
        zipped(own / "pacs.zip", content | more)
    if layout == "folder":
        put_all(own / "pacs", content | more)
    if layout == "argument":
        put_all(own.parent / "pacs", content | more)
        options = dict(folder=own.parent / "pacs")
    names = SETS["pacs_photo"].names
    for domain in ("photo", "sketch"):
        found = by_bytes(*load_raw(f"pacs_{domain}", "all", size=8, **options))
        assert found == labelled(content, names, 2, f"/{domain}/")
    if layout != "argument":
        assert ready("pacs_photo")
        assert catalog().set_index("name").images["pacs_photo"] == 21


def test_officehome_in_its_published_layout(own):
    names = SETS["officehome_art"].names
    content = {}
    for kind in names:
        for i in range(2):
            name = f"OfficeHomeDataset_10072016/Real World/{kind}/0000{i}.jpg"
            content[name] = encoded(noise(8, 8, 3), "JPEG")
    zipped(own / "OfficeHomeDataset_10072016.zip", content)
    found = by_bytes(*load_raw("officehome_realworld", "all", size=8))
    assert found == labelled(content, names, 2)
    assert load_raw("officehome_realworld", "test")[0].shape == (13, 3, 64, 64)
    refuses(own, "lacks images: 65 of 65 folders clipart", "officehome_clipart")


def put_as(layout, own, name, content):
    "Write files as a folder or as a zip."
    if layout == "zip":
        zipped(own / f"{name}.zip", content)
    else:
        put_all(own / name, content)


@pytest.mark.parametrize("layout", ["folder", "zip"])
def test_cifar_in_class_folders(own, layout):
    names = SETS["cifar10"].names
    content = {}
    for split in ("train", "test"):
        for kind in names:
            for i in range(3):
                content[f"{split}/{kind}/{i}.png"] = encoded(noise(32, 32, 3))
    put_as(layout, own, "cifar10", content)
    for parts, split in (("train+valid", "train"), ("test", "test")):
        found = by_bytes(*load_raw("cifar10", parts))
        assert found == labelled(content, names, 1, f"{split}/")


def test_a_folder_of_ones_own(own):
    expected = {}
    for kind, label in (("cats", 0), ("dogs", 1)):
        for i in range(4):
            image = noise(8, 8, 3)
            expected[image.tobytes()] = label
            put(own / "mine" / kind / f"{i}.png", encoded(image))
    assert by_bytes(*load_raw(own / "mine", "all")) == expected
    put(own / "mine" / "cats" / "x.png", b"\x89PNG no more")
    refuses(own, "x.png", own / "mine", bad="raise")


def add(name, file):
    "A function that adds a file to a dictionary name -> bytes, or replaces it."

    def do(content):
        content[name] = file

    return do


def no_dogs(content):
    for i in range(3):
        del content[f"PACS/photo/dog/{i}.png"]


@pytest.mark.parametrize(
    "change, message",
    [
        (
            add("PACS/photo/dog/1.png", encoded(noise(8, 8, 3))[:60]),
            "PACS/photo/dog/1.png is no image",
        ),
        (add("PACS/photo/dog/1.jpg", b"<html>"), "PACS/photo/dog/1.jpg is no image"),
        (
            add("PACS/photo/owl/1.png", encoded(noise(8, 8, 3))),
            "PACS/photo/owl/1.png has an unknown class, not one of dog",
        ),
        (no_dogs, "1 of 7 folders photo/<class> are empty or missing: dog"),
    ],
)
@pytest.mark.parametrize("layout", ["folder", "zip"])
def test_damaged_class_folders(own, layout, change, message):
    content = pacs()
    change(content)
    put_as(layout, own, "pacs", content)
    refuses(own, message, "pacs_photo")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda content: content[: len(content) // 2], "File is not a zip file|BadZipFile"),
        (lambda content: b"no zip at all", "BadZipFile"),
        (lambda content: content.replace(b"IDAT", b"IDAX", 1), "Bad CRC-32"),
    ],
)
def test_a_damaged_zip_is_named(own, spoil, message):
    path = zipped(own / "pacs.zip", pacs())
    put(path, spoil(path.read_bytes()))
    refuses(own, f"pacs.zip cannot be read.*({message})", "pacs_photo")


@pytest.mark.parametrize(
    "name",
    [
        "../photo/dog/9.png",
        "/photo/dog/9.png",
        "PACS/../../photo/dog/9.png",
        "..\\photo\\9.png",
        "C:\\photo\\9.png",
    ],
)
def test_a_path_that_leads_out_of_an_archive(own, name):
    content = pacs()
    zipped(own / "pacs.zip", content | {name: content["PACS/photo/dog/0.png"]})
    refuses(own, "pacs.zip holds .*leads out", "pacs_photo")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    put(own / tv.CIFAR10.filename, file.getvalue())
    refuses(own, "leads out", "cifar10")
    beside = {p.name for p in own.parent.iterdir()}
    assert beside - {"data"} == {"own", "settings.ini"}


def test_links_in_a_tar_are_not_followed(own):
    with tarfile.open(own / "x.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            member = tarfile.TarInfo("a/1.png")
            member.type = kind
            member.linkname = "/etc/passwd"
            archive.addfile(member)
    assert list(members(own / "x.tar")) == []


def test_sets_that_are_not_here_say_what_to_do(own):
    folder = re.escape(str(own))
    message = rf"none of them is in {folder}(.|\n)*not fetched(.|\n)*folder=(.|\n)*faces_avataaars"
    for name in ("pacs_photo", "officehome_clipart"):
        assert not ready(name)
        refuses(own, message, name)
    message = "nowhere. It is not fetched: get pacs"
    refuses(own, message, "pacs_photo", folder=own / "nowhere")
    refuses(own, "no mnistm.npz", "mnistm", published=True)


# MNIST-M as arrays


def test_mnistm_arrays(own):
    train = noise(24, 32, 32, 3)
    test = noise(24, 32, 32, 3)
    labels = np.arange(24) % 10
    np.savez(own / "mnistm.npz", x_train=train, y_train=labels, x_test=test, y_test=labels)
    for parts, images in (("train+valid", train), ("test", test)):
        found = by_bytes(*load_raw("mnistm", parts, published=True))
        assert found == {image.tobytes(): k for image, k in zip(images, labels)}
    # It is made here, unless the published files are wanted.
    assert load_raw("mnistm", "test", n=10)[0].shape == (10, 3, 28, 28)


@pytest.mark.parametrize(
    "content, message",
    [(b"PK no more", "mnistm.npz cannot be read"), (None, "lacks x_test, y_test")],
)
def test_damaged_mnistm_arrays(own, content, message):
    np.savez(own / "mnistm.npz", x_train=noise(2, 28, 28, 3), y_train=[1, 2])
    if content:
        put(own / "mnistm.npz", content)
    refuses(own, message, "mnistm", "test", published=True)


# what changed is read again; pairs


def test_a_changed_file_is_read_again(own):
    zipped(own / "pacs.zip", pacs())
    before = load_raw("pacs_photo", "all", size=8)[0]
    zipped(own / "pacs.zip", pacs())
    after = load_raw("pacs_photo", "all", size=8)[0]
    assert not torch.equal(before, after)


def test_pairs(own):
    zipped(own / "pacs.zip", pacs())
    dls = pair_dls("pacs photo-sketch", bs=5, size=16)
    (xs, xt), _ = dls.one_batch()
    x, _ = dls.valid.one_batch()
    assert xs.shape == xt.shape == (5, 3, 16, 16)
    assert x.shape[1:] == (3, 16, 16)
    assert dls.vocab == SETS["pacs_photo"].names
    dls = pair_dls("optdigits-mnist5k", bs=4, n=20, n_valid=20)
    (xs, xt), _ = dls.one_batch()
    assert xs.shape == xt.shape == (4, 1, 28, 28)
    with pytest.raises(DataError, match="optdigits-mnist5k"):
        pair_dls("officehome clipart-realworld")
    with pytest.raises(ValueError, match=r"pacs_photo .7. and mnist .10. differ"):
        pair_dls("pacs_photo-mnist")


def test_pairs_do_not_leak(own):
    # Where mnistm is made of mnist5k, both are split alike.
    assert pair_sets("mnistm-mnist5k") == ("mnistm", "mnist5k")
    put_mnist(own, train=30, t10k=10)
    for pair in ("mnistm-mnist5k", "mnist-mnist5k", "mnist5k-mnist", "mnist-mnist"):
        with pytest.raises(ValueError, match="same images"):
            pair_sets(pair)
    assert pair_sets("mnist5k-mnistm")
    assert pair_sets("mnistm-mnist")


def put_everything(own):
    "Small files of every set that a pair needs, in the published formats."
    put_mnist(own, train=36, t10k=20)
    for name, n in (("usps.bz2", 36), ("usps.t.bz2", 20)):
        put(own / name, bz2.compress(libsvm(noise(n, 16, 16), np.arange(n) % 10)))
    for split, n in (("train", 36), ("test", 20)):
        labels = 1 + np.arange(n) % 10
        arrays = dict(X=noise(32, 32, 3, n), y=labels[:, None])
        savemat(own / f"{split}_32x32.mat", arrays)
    zipped(own / "pacs.zip", pacs())
    content = {}
    for domain in ("Clipart", "Real World"):
        for kind in SETS["officehome_art"].names:
            for i in range(2):
                content[f"{domain}/{kind}/{i}.png"] = encoded(noise(8, 8, 3))
    zipped(own / "OfficeHome.zip", content)


@pytest.mark.parametrize(
    "pair, source, target",
    [
        ("mnist-usps", "mnist", "usps"),
        ("usps-mnist", "usps", "mnist"),
        ("mnist-mnistm", "mnist", "mnistm"),
        ("mnistm-usps", "mnistm", "usps"),
        ("mnistm-svhn", "mnistm", "svhn"),
        ("optdigits-mnist5k", "optdigits", "mnist5k"),
        ("faces avataaars-peeps", "faces_avataaars", "faces_peeps"),
        ("faces peeps-personas", "faces_peeps", "faces_personas"),
        ("officehome clipart-realworld", "officehome_clipart", "officehome_realworld"),
        ("pacs photo-sketch", "pacs_photo", "pacs_sketch"),
    ],
)
def test_each_pair_loads_by_name(own, pair, source, target):
    "Every pair of the course; both sides come in one size and with as many channels."
    assert pair_sets(pair) == (source, target)
    put_everything(own)
    small = dict(faces=40) if pair.startswith("faces") else {}
    dls = pair_dls(pair, bs=6, source_kw=small, target_kw=small)
    (xs, xt), ys = dls.one_batch()
    x, _ = dls.valid.one_batch()
    assert xs.shape == xt.shape
    assert xs.shape[0] == len(ys) == 6
    assert x.shape[1:] == xs.shape[1:]
    assert dls.vocab == SETS[target].names
    assert set(map(int, ys)) <= set(range(len(dls.vocab)))
    assert -1 <= xs.min() < xs.max() <= 1


def unreachable(split_list):
    "The files of each split, at addresses that nothing answers."
    return {k: ["http://127.0.0.1:9/" + v[1], *v[1:]] for k, v in split_list.items()}


@pytest.mark.parametrize(
    "pair, message",
    [
        ("mnist-usps", "mnist|usps"),
        ("mnistm-svhn", "32x32.mat could not be fetched"),
        ("pacs photo-sketch", "pacs.zip.*none of them is in"),
        ("officehome clipart-realworld", "officehome.zip.*none of them is in"),
    ],
)
def test_a_pair_that_is_not_here_says_what_is_missing(own, monkeypatch, pair, message):
    monkeypatch.setattr(tv.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    for cls in (tv.USPS, tv.SVHN):
        monkeypatch.setattr(cls, "split_list", unreachable(cls.split_list))
    instead = r"Of packaged sets: pair_dls\('optdigits-mnist5k'\)"
    with pytest.raises(DataError, match=rf"({message})(.|\n)*{instead}"):
        pair_dls(pair, n=20, n_valid=20)


def test_sets_with_other_classes_are_no_domains(own):
    message = (
        "mnist5k (10) and faces_peeps (4) differ in their classes: "
        "only in mnist5k: 0, 1, 2, 3, 4 ...; only in faces_peeps: black"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        domain_dls("mnist5k", "faces_peeps")
    for kind in ("cats", "dogs"):
        put(own / "mine" / kind / "a.png", encoded(noise(8, 8, 3)))
    for kind in ("cats", "wolves"):
        put(own / "yours" / kind / "a.png", encoded(noise(8, 8, 3)))
    with pytest.raises(ValueError, match=r"only in .*mine: dogs; only in .*yours: wolves"):
        domain_dls(own / "mine", own / "yours")


LOAD_PUBLISHED = """
from genda.data.registry import load_raw
x, y = load_raw('mnistm', 'test', published=True)
print(tuple(x.shape), y.tolist())
"""


def test_published_mnistm_is_found_without_another_import(own):
    "In a fresh interpreter, where nothing but the module of the data sets was imported."
    x = noise(12, 32, 32, 3)
    y = np.arange(12) % 10
    np.savez(own / "mnistm.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD_PUBLISHED],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(genda.__file__).parents[1])},
    )
    assert done.stdout.split("\n")[0] == f"(12, 3, 32, 32) {[*range(10), 0, 1]}"


STAND_INS = dict(
    celeba="faces",
    cifar10="mnistm",
    cifar100="mnistm100",
    svhn="mnistm",
    pacs_photo="faces_avataaars",
    officehome_art="faces_avataaars",
    iclevr="shapes",
)


def test_stand_ins_are_named(own, monkeypatch):
    "A set that cannot be had names one that can, and that one says what it stands for."
    for cls in (tv.CIFAR10, tv.CIFAR100):
        monkeypatch.setattr(cls, "url", "http://127.0.0.1:9/x")
    monkeypatch.setattr(tv.SVHN, "split_list", unreachable(tv.SVHN.split_list))
    monkeypatch.setattr(photos, "_DRIVE", "http://127.0.0.1:9/")
    for name, instead in STAND_INS.items():
        message = rf"Ready now, in its place: load\('{instead}'\)"
        with pytest.raises(DataError, match=message):
            load_raw(name, "test")
        assert ready(instead)
    sources = catalog().set_index("name").source
    assert "stand in for Bitmoji and CelebA" in sources["faces"]
    assert "stands in for i-CLEVR" in sources["shapes"]
    assert "stands in for CIFAR-100" in sources["mnistm100"]
    assert "for PACS and Office-Home" in sources["faces_peeps"]
    real = [name for name, entry in SETS.items() if entry.kind in ("download", "by hand")]
    assert "stand" not in "".join(sources[real])


def test_the_stand_in_of_cifar100_has_its_shape(own):
    x, y = load_raw("mnistm100", "all")
    again = load_raw("mnistm100", "all")[0]
    assert x.shape == (5000, 3, 32, 32)
    assert set(y.tolist()) == set(range(100))
    assert torch.equal(x, again)
    for digit in (y // 10, y % 10):
        assert digit.unique(return_counts=True)[1].tolist() == [500] * 10
    assert not torch.equal(load_raw("mnistm100", "all", blend_seed=1)[0], x)
