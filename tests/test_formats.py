"A small file in each published format loads exactly; a damaged one is named and refused, and nothing is left half-written."

import bz2
import gzip
import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from test_data_faults import FILES, idx  # the server is a fixture
from torchvision import datasets as tv

from genda import data, files, photos
from genda.settings import settings
from genda.data.downloads import DataError
from genda.data.archives import members, plain_pickle, read_batches

rng = np.random.RandomState(0)


def noise(*shape):
    return rng.randint(0, 256, shape).astype(np.uint8)


def encoded(a, kind="PNG"):
    b = io.BytesIO()
    Image.fromarray(a).save(b, kind, quality=95)
    return b.getvalue()


def decoded(b):
    return np.asarray(Image.open(io.BytesIO(b)))


def hwc(x):
    return x.permute(0, 2, 3, 1).numpy()


def by_bytes(x, y):
    return {a.tobytes(): np.asarray(k).tolist() for a, k in zip(hwc(x), y)}


@pytest.fixture
def own(tmp_path, monkeypatch):
    "An empty GENDA_DATA folder; whatever a test does, nothing in it is changed and no half file appears beside it."
    (tmp_path / "settings.ini").write_text(
        "[genda]\ndata = data\nmodels = models\nresults = results\nseed = 42\nbudget = smoke\n[smoke]\n"
    )
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENDA_DATA", str(own))
    for k in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(k, raising=False)
    for k, v in dict(tries=1, timeout=1, pause=0).items():
        monkeypatch.setitem(files.NET, k, v)
    yield own
    assert not list(tmp_path.rglob("*.part"))


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def zipped(path, content):
    with zipfile.ZipFile(path, "w") as z:
        for n, b in content.items():
            z.writestr(n, b)
    return path


def refuses(own, said, name, split="train", **options):
    "Loading raises DataError with the words `said`; no file appears, disappears or changes."

    def look():
        return {p: p.read_bytes() for p in own.parent.rglob("*") if p.is_file()}

    before = look()
    with pytest.raises(DataError, match=said):
        data.load_raw(name, split, **options)
    assert look() == before


# idx


def put_idx(own, images, labels):
    for kind, b in (("images-idx3", images), ("labels-idx1", labels)):
        put(own / "MNIST" / "raw" / f"t10k-{kind}-ubyte", b)


def test_idx(own):
    x = noise(7, 28, 28)
    put_idx(own, *[gzip.decompress(idx(a)) for a in (x, np.arange(7))])
    got, y = data.load_raw("mnist", "test")
    assert (got[:, 0].numpy() == x).all() and y.tolist() == list(range(7))


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda b: b"\1" + b[1:], "images-idx3-ubyte is damaged"),
        (lambda b: b[:-9], "images-idx3-ubyte is damaged"),
        (lambda b: b[:7], "is damaged"),
        (lambda b: gzip.decompress(idx(noise(6, 28, 28))), "7 labels for 6 images"),
    ],
)
def test_damaged_idx(own, spoil, said):
    images, labels = [gzip.decompress(idx(a)) for a in (noise(7, 28, 28), np.arange(7))]
    put_idx(own, spoil(images), labels)
    refuses(own, said, "mnist", "test")


# libsvm text in bz2


def libsvm(x, y):
    return "".join(
        f"{k + 1} {' '.join(f'{i + 1}:{v / 127.5 - 1:.7f}' for i, v in enumerate(a.flat))} \n"
        for a, k in zip(x, y)
    ).encode()


def test_usps(own):
    x, y = noise(8, 16, 16), np.arange(8)
    put(own / "usps.t.bz2", bz2.compress(libsvm(x, y)))
    got, labels = data.load_raw("usps", "test", size=16)
    assert (
        labels.tolist() == y.tolist() and np.abs(got[:, 0].numpy().astype(int) - x).max() <= 1
    )  # torchvision cuts off where it could round


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
    x = noise(32, 32, 3, 10)
    savemat(own / "test_32x32.mat", dict(X=x, y=np.arange(1, 11, dtype=np.uint8)[:, None]))
    got, y = data.load_raw("svhn", "test")
    assert (got.numpy() == x.transpose(3, 2, 0, 1)).all() and y.tolist() == [
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        0,
    ]


@pytest.mark.parametrize(
    "what",
    [
        dict(X=noise(32, 32, 3, 4)),
        dict(X=noise(32, 32, 3, 4), y=np.ones((5, 1))),
        dict(X=noise(32, 32, 3, 4) / 2, y=np.ones((4, 1))),
        dict(X=noise(32, 32, 3, 4), y=np.full((4, 1), 11)),
        None,
    ],
)
def test_damaged_svhn(own, what):
    path = own / "test_32x32.mat"
    savemat(path, what or dict(X=noise(32, 32, 3, 4), y=np.ones((4, 1))))
    if what is None:
        path.write_bytes(path.read_bytes()[:5000])
    refuses(own, "test_32x32.mat is damaged", "svhn", "test")


# pickled batches, as Python 2 wrote them


def python2(v):
    "A value as Python 2's pickle wrote it, protocol 2: text and bytes are one type, arrays are built by numpy.core."
    if isinstance(v, str):
        v = v.encode()
    if isinstance(v, bytes):
        return b"T" + struct.pack("<i", len(v)) + v
    if isinstance(v, int):
        return b"J" + struct.pack("<i", v)
    if isinstance(v, list):
        return b"](" + b"".join(map(python2, v)) + b"e"
    if isinstance(v, dict):
        return b"}(" + b"".join(python2(k) + python2(w) for k, w in v.items()) + b"u"
    dtype = (
        b"cnumpy\ndtype\n("
        + python2("u1")
        + b"K\0K\1tR(K\3"
        + python2("|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0t"
        + python2("b")
        + b"tR(K\1("
        + b"".join(map(python2, v.shape))
        + b"t"
        + dtype
        + b"\x89"
        + python2(v.tobytes())
        + b"tb"
    )


def batch(x, y, key="labels"):
    return (
        b"\x80\2"
        + python2(
            {
                "batch_label": "a batch",
                key: y,
                "data": x.reshape(len(x), -1),
                "filenames": ["x.png"] * len(x),
            }
        )
        + b"."
    )


def test_the_python_2_form_is_what_pickle_reads():
    x = noise(3, 3072)
    d = pickle.loads(batch(x, [1, 2, 3]), encoding="latin1")
    assert (d["data"] == x).all() and d["labels"] == [1, 2, 3] and d["batch_label"] == "a batch"


def cifar(cls, key, classes):
    "Files of a small CIFAR, and its images and labels: training, test."
    parts = [
        [
            (f, noise(12, 3, 32, 32), rng.permutation(np.arange(12) % classes).tolist())
            for f, _ in part
        ]
        for part in (cls.train_list, cls.test_list)
    ]
    content = {f: batch(x, y, key) for part in parts for f, x, y in part}
    return content, [
        (np.concatenate([x for _, x, _ in p]), sum((y for *_, y in p), [])) for p in parts
    ]


def tar_gz(content, folder):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w:gz") as t:
        for n in sorted(content, reverse=True):
            i = tarfile.TarInfo(f"{folder}/{n}")
            i.size = len(content[n])
            t.addfile(i, io.BytesIO(content[n]))
    return b.getvalue()


@pytest.mark.parametrize(
    "name, cls, key", [("cifar10", tv.CIFAR10, "labels"), ("cifar100", tv.CIFAR100, "fine_labels")]
)
@pytest.mark.parametrize("packed", [False, True])
def test_cifar(own, name, cls, key, packed):
    content, (train, test) = cifar(cls, key, data.SETS[name].classes)
    if packed:
        put(own / cls.filename, tar_gz(content, cls.base_folder))
    else:
        [put(own / cls.base_folder / f, b) for f, b in content.items()]
    assert data.ready(name)
    x, y = data.load_raw(name, "test")
    assert (x.numpy() == test[0]).all() and y.tolist() == test[1]
    x, y = read_batches(
        own / (cls.filename if packed else cls.base_folder), [f for f, _ in cls.train_list], 100
    )
    assert (x == train[0]).all() and y.tolist() == train[
        1
    ]  # in the order asked for, not in the archive's
    x, y = data.load_raw(name, "train+valid")
    assert by_bytes(x, y) == {a.transpose(1, 2, 0).tobytes(): k for a, k in zip(*train)}


def test_cifar_is_what_torchvision_reads(own, monkeypatch):
    content, _ = cifar(tv.CIFAR10, "labels", 10)
    content["batches.meta"] = pickle.dumps({"label_names": data.SETS["cifar10"].names})
    for f, b in content.items():
        put(own / tv.CIFAR10.base_folder / f, b)
    monkeypatch.setattr(tv.cifar, "check_integrity", lambda *a: True)
    theirs = tv.CIFAR10(own, train=False)
    x, y = data.load_raw("cifar10", "test")
    assert (theirs.data == hwc(x)).all() and theirs.targets == y.tolist()


class Trick:
    def __reduce__(self):
        return Path.touch, (Path("ran"),)


@pytest.mark.parametrize(
    "content, said",
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
        (b"\x80\2" + python2({"data": "text", "labels": [1]}) + b".", "AttributeError"),
        (
            pickle.dumps({"data": np.array([Trick()], object), "labels": [1]}, 2),
            "asks for|something else than bytes",
        ),
        (b"nothing of the kind", "UnpicklingError"),
    ],
)
def test_damaged_or_malicious_batches(own, content, said):
    put(own / tv.CIFAR10.base_folder / "test_batch", content)
    refuses(own, f"(?s)cifar-10-batches-py.*test_batch.*({said})", "cifar10", "test")
    assert not Path("ran").exists()


def test_the_plain_reader_calls_nothing_even_when_numpy_is_asked_for():
    for content in (
        b"\x80\2cnumpy\nndarray\n(K\5tR.",
        b"\x80\2cnumpy\ndtype\nU\1Ob.",
        b"\x80\2cnumpy.core.multiarray\n_reconstruct\n.",
    ):
        try:
            v = plain_pickle(content)
        except Exception:
            continue
        assert not isinstance(v, (np.ndarray, np.dtype)) and v is not np.ndarray


def test_missing_batches_are_named(own):
    put(own / tv.CIFAR10.base_folder / "data_batch_1", b"")
    refuses(own, "lacks data_batch_2, data_batch_3", "cifar10")


def test_a_pickle_in_an_npz_is_refused(own):
    np.savez(own / "mnistm.npz", x_test=noise(1, 28, 28, 3), y_test=np.array([Trick()]))
    refuses(own, "mnistm.npz cannot be read.*allow_pickle", "mnistm", "test", published=True)
    assert not Path("ran").exists()


# downloads, from a server on this machine


@pytest.fixture(autouse=True)
def served():
    "What a test lets the server serve is gone after it: other files of tests count what is served."
    kept = dict(FILES)
    yield
    FILES.clear()
    FILES.update(kept)


def test_cifar_is_fetched_and_a_corrupt_archive_leaves_nothing(own, server, monkeypatch):
    content, (_, test) = cifar(tv.CIFAR10, "labels", 10)
    FILES["cifar.tar.gz"] = tar_gz(content, tv.CIFAR10.base_folder)
    monkeypatch.setattr(tv.CIFAR10, "tgz_md5", hashlib.md5(FILES["cifar.tar.gz"]).hexdigest())
    for how in ("truncate", "corrupt", "404", "ok"):
        monkeypatch.setattr(
            tv.CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{how}/cifar.tar.gz"
        )
        if how != "ok":
            with pytest.raises(DataError, match=f"/{how}/cifar.tar.gz(.|\n)*load\\('mnistm'\\)"):
                data.load_raw("cifar10", "test")
            assert not [p for p in settings().data.rglob("*") if p.is_file()]
    x, y = data.load_raw("cifar10", "test")
    assert (x.numpy() == test[0]).all() and data.ready("cifar10")
    assert sorted(p.name for p in settings().data.iterdir()) == [
        "cache",
        tv.CIFAR10.filename,
    ]  # read where it lies, not unpacked


def test_an_archive_of_ours_that_broke_is_removed_and_fetched_anew(own):
    path = put(settings().data / tv.CIFAR10.filename, tar_gz({"x": b"x"}, "y")[:-8])
    with pytest.raises(DataError, match="damaged(.|\n)*It was removed"):
        data.load_raw("cifar10", "test")
    assert not path.exists()


def test_svhn_is_fetched(own, server, monkeypatch):
    b = io.BytesIO()
    savemat(b, dict(X=noise(32, 32, 3, 10), y=np.arange(1, 11)[:, None]))
    FILES["svhn.mat"] = b.getvalue()
    entry = [
        f"http://127.0.0.1:{server.server_port}/ok/svhn.mat",
        "test_32x32.mat",
        hashlib.md5(b.getvalue()).hexdigest(),
    ]
    monkeypatch.setitem(tv.SVHN.split_list, "test", entry)
    assert (
        len(data.load_raw("svhn", "test")[1]) == 10
        and (settings().data / "test_32x32.mat").is_file()
    )


def test_celeba_is_fetched_or_says_how_to_place_it(own, server, monkeypatch, celeba):
    FILES.update({n: b for n, b in celeba.files.items() if "/" not in n})
    FILES["img_align_celeba.zip"] = zipped(
        own.parent / "z.zip", {n: b for n, b in celeba.files.items() if "/" in n}
    ).read_bytes()
    names = ("img_align_celeba.zip", "list_attr_celeba.txt", "list_eval_partition.txt")
    monkeypatch.setattr(
        tv.CelebA, "file_list", [(n, hashlib.md5(FILES[n]).hexdigest(), n) for n in names]
    )
    monkeypatch.setattr(photos, "_DRIVE", f"http://127.0.0.1:{server.server_port}/corrupt/")
    with pytest.raises(DataError) as e:
        data.load_raw("celeba", "valid")
    assert (
        all(n in str(e.value) for n in names)
        and str(settings().data / "celeba") in str(e.value)
        and "By hand" in str(e.value)
    )
    assert not [p for p in settings().data.rglob("*") if p.is_file()] and not data.ready("celeba")
    monkeypatch.setattr(photos, "_DRIVE", f"http://127.0.0.1:{server.server_port}/ok/")
    x, y = data.load_raw("celeba", "valid")
    assert (y.numpy() == celeba.attr[12:16]).all() and data.ready("celeba")


# CelebA


class Celeba:
    pass


@pytest.fixture
def celeba():
    "Twenty aligned images and the two text files, in the published form; what they should give."
    c = Celeba()
    c.attr = rng.randint(0, 2, (20, 40))
    c.names = [f"{i + 1:06d}.jpg" for i in range(20)]
    c.images = [
        encoded(np.asarray(Image.fromarray(noise(7, 6, 3)).resize((178, 218))), "JPEG")
        for _ in range(20)
    ]
    rows = [f"{n}  " + " ".join(f"{2 * v - 1:2d}" for v in a) for n, a in zip(c.names, c.attr)]
    c.files = {f"img_align_celeba/{n}": b for n, b in zip(c.names, c.images)} | {
        "list_attr_celeba.txt": "\n".join(
            ["20", " ".join(data.SETS["celeba"].names) + " ", *rows, ""]
        ).encode(),
        "list_eval_partition.txt": "".join(
            f"{n} {(i >= 12) + (i >= 16)}\n" for i, n in enumerate(c.names)
        ).encode(),
    }
    return c


def cut(b, l=19, t=39, side=140):
    return torch.as_tensor(decoded(b)[t : t + side, l : l + side].copy()).permute(2, 0, 1)


@pytest.mark.parametrize("how", ["folder", "zip", "beside"])
def test_celeba(own, celeba, how):
    for n, b in celeba.files.items():
        put(own / "celeba" / (n.split("/")[-1] if how == "beside" else n), b)
    if how == "zip":
        zipped(
            own / "celeba" / "img_align_celeba.zip",
            {n: b for n, b in celeba.files.items() if "/" in n},
        )
        for p in (own / "celeba" / "img_align_celeba").iterdir():
            p.unlink()
        (own / "celeba" / "img_align_celeba").rmdir()
    for split, part in dict(train=slice(0, 12), valid=slice(12, 16), test=slice(16, 20)).items():
        x, y = data.load_raw("celeba", split, size=140)
        assert (y.numpy() == celeba.attr[part]).all() and torch.equal(
            x, torch.stack([cut(b) for b in celeba.images[part]])
        )
    x, _ = data.load_raw("celeba", "test", size=128, crop="ddim")
    assert torch.equal(x, torch.stack([cut(b, 25, 57, 128) for b in celeba.images[16:]]))
    assert data.load_raw("celeba", "test")[0].shape == (4, 3, 64, 64) and data.load_raw(
        "celeba", "test", size=32
    )[0].shape == (4, 3, 32, 32)


def test_celeba_is_what_torchvision_reads(own, celeba, monkeypatch):
    for n, b in celeba.files.items():
        put(own / "celeba" / n, b)
    monkeypatch.setattr(tv.CelebA, "_check_integrity", lambda self: True)
    for n, head in (
        ("identity_CelebA", ""),
        ("list_bbox_celeba", "20\na b c d\n"),
        ("list_landmarks_align_celeba", "20\na b\n"),
    ):
        put(
            own / "celeba" / f"{n}.txt",
            (head + "".join(f"{k} 1 1\n" for k in celeba.names)).encode(),
        )
    theirs = tv.CelebA(own, "valid")
    x, y = data.load_raw("celeba", "valid", size=140)
    assert (
        torch.equal(torch.stack([t for _, t in theirs]), y)
        and theirs.attr_names[:40] == data.SETS["celeba"].names
    )
    assert all((np.asarray(im)[39:179, 19:159] == a).all() for (im, _), a in zip(theirs, hwc(x)))


def test_celeba_without_parts_is_carved(own, celeba):
    for n, b in celeba.files.items():
        if "partition" not in n:
            put(own / "mine" / n, b)
    got = {}
    for split in ("train", "valid", "test"):
        part = by_bytes(*data.load_raw("celeba", split, size=140, folder=own / "mine"))
        assert not set(part) & set(got)
        got |= part
    assert got == {
        hwc(cut(b)[None])[0].tobytes(): a.tolist() for b, a in zip(celeba.images, celeba.attr)
    }


def spoil(name, change):
    return lambda f: f.update({name: change(f[name])})


@pytest.mark.parametrize(
    "change, said",
    [
        (
            lambda f: f.update({"img_align_celeba/000099.jpg": f["img_align_celeba/000001.jpg"]}),
            "000099.jpg has no row in .*list_attr_celeba.txt",
        ),
        (
            spoil("list_attr_celeba.txt", lambda b: b.replace(b"000003.jpg", b"000033.jpg")),
            "000003.jpg has no row in .*list_attr_celeba.txt",
        ),
        (
            spoil("list_attr_celeba.txt", lambda b: b"\n".join(b.split(b"\n")[:-2])),
            "announces 20 rows and holds 19",
        ),
        (
            spoil("list_attr_celeba.txt", lambda b: b.replace(b"000004.jpg  ", b"000004.jpg  1 ")),
            r"line 6 \(000004.jpg\)",
        ),
        (
            spoil("list_attr_celeba.txt", lambda b: b.replace(b"000004.jpg  ", b"000004.jpg  0")),
            r"line 6 \(000004.jpg\)",
        ),
        (
            spoil("list_attr_celeba.txt", lambda b: b.replace(b"Bald Bangs", b"Bangs Bald")),
            "line 2 does not hold the 40 names",
        ),
        (spoil("list_attr_celeba.txt", lambda b: b""), "list_attr_celeba.txt: line 2"),
        (
            spoil("list_eval_partition.txt", lambda b: b.replace(b"000005.jpg 0\n", b"")),
            "000005.jpg has no row in .*list_eval_partition.txt",
        ),
        (
            spoil("list_eval_partition.txt", lambda b: b"\xff\xfe"),
            "list_eval_partition.txt is no text",
        ),
        (
            spoil("list_eval_partition.txt", lambda b: b.replace(b"06.jpg 0", b"06.jpg 7")),
            "list_eval_partition.txt: line 6",
        ),
        (spoil("img_align_celeba/000002.jpg", lambda b: b[:200]), "000002.jpg is no aligned face"),
        (
            spoil("img_align_celeba/000002.jpg", lambda b: encoded(noise(200, 200, 3))),
            "200x200 px: an aligned face is 178x218",
        ),
    ],
)
def test_damaged_celeba(own, celeba, change, said):
    change(celeba.files)
    for n, b in celeba.files.items():
        put(own / "celeba" / n, b)
    refuses(own, said, "celeba")


def test_rows_without_images_are_counted(own, celeba):
    for n, b in celeba.files.items():
        if "000002" not in n:
            put(own / "celeba" / n, b)
    with pytest.warns(UserWarning, match=r"holds 11 of the 12 images \(train\)"):
        x, y = data.load_raw("celeba")
    assert (y.numpy() == np.delete(celeba.attr[:12], 1, 0)).all()


def test_celeba_arrays(own, celeba):
    x = noise(20, 64, 64, 3)
    want = {a.tobytes(): k.tolist() for a, k in zip(x, celeba.attr)}
    for attr in (
        celeba.attr.astype(np.int8),
        (2 * celeba.attr - 1).astype(np.int8),
    ):  # no is 0 or -1
        np.savez(own / "celeba64.npz", x=x, attr=attr, names=data.SETS["celeba"].names)
        assert by_bytes(*data.load_raw("celeba", "all")) == want
    with pytest.raises(ValueError, match="already cut"):
        data.load_raw("celeba", crop="ddim")


@pytest.mark.parametrize(
    "what, said",
    [
        (dict(x=noise(4, 64, 64, 3)), "lacks attr"),
        (dict(x=noise(4, 64, 64, 3), attr=np.ones((3, 40), int)), "wanted uint8"),
        (dict(x=noise(4, 64, 64, 3) / 2, attr=np.ones((4, 40), int)), "wanted uint8"),
        (dict(x=noise(4, 64, 64, 3), attr=np.ones((4, 39), int)), r"wanted \[n, 40\]"),
        (dict(x=noise(4, 64, 64, 3), attr=np.full((4, 40), 7)), "7 to 7"),
        (
            dict(
                x=noise(4, 64, 64, 3),
                attr=np.ones((4, 40), int),
                names=data.SETS["celeba"].names[::-1],
            ),
            "in its order",
        ),
    ],
)
def test_damaged_celeba_arrays(own, what, said):
    np.savez(own / "celeba64.npz", **what)
    refuses(own, said, "celeba")


# class folders, in a folder or a zip


def pacs(side=8):
    return {
        f"PACS/{g}/{k}/{i}.png": encoded(noise(side, side, 3))
        for g in ("photo", "sketch")
        for k in data.SETS["pacs_photo"].names
        for i in range(3)
    }


@pytest.mark.parametrize("how", ["folder", "zip", "given"])
def test_domains(own, how):
    content = pacs()
    extra = {"PACS/readme.txt": b"hello", "__MACOSX/PACS/photo/dog/._0.png": b"x"}
    options = {}
    if how == "zip":
        zipped(own / "pacs.zip", content | extra)
    else:
        [
            put((own if how == "folder" else own.parent) / "pacs" / n, b)
            for n, b in (content | extra).items()
        ]
    if how == "given":
        options = dict(folder=own.parent / "pacs")
    for g in ("photo", "sketch"):
        want = {
            decoded(b).tobytes(): data.SETS["pacs_photo"].names.index(n.split("/")[2])
            for n, b in content.items()
            if f"/{g}/" in n
        }
        assert by_bytes(*data.load_raw(f"pacs_{g}", "all", size=8, **options)) == want
    if how != "given":
        assert (
            data.ready("pacs_photo") and data.catalog().set_index("name").images["pacs_photo"] == 21
        )


def test_officehome_in_its_published_layout(own):
    names = data.SETS["officehome_art"].names
    content = {
        f"OfficeHomeDataset_10072016/Real World/{k}/0000{i}.jpg": encoded(noise(8, 8, 3), "JPEG")
        for k in names
        for i in range(2)
    }
    zipped(own / "OfficeHomeDataset_10072016.zip", content)
    assert by_bytes(*data.load_raw("officehome_realworld", "all", size=8)) == {
        decoded(b).tobytes(): names.index(n.split("/")[2]) for n, b in content.items()
    }
    assert data.load_raw("officehome_realworld", "test")[0].shape == (13, 3, 64, 64)
    refuses(own, "lacks images: 65 of 65 folders clipart", "officehome_clipart")


@pytest.mark.parametrize("how", ["folder", "zip"])
def test_cifar_in_class_folders(own, how):
    content = {
        f"{s}/{k}/{i}.png": encoded(noise(32, 32, 3))
        for s in ("train", "test")
        for k in data.SETS["cifar10"].names
        for i in range(3)
    }
    zipped(own / "cifar10.zip", content) if how == "zip" else [
        put(own / "cifar10" / n, b) for n, b in content.items()
    ]
    for parts, s in (("train+valid", "train"), ("test", "test")):
        assert by_bytes(*data.load_raw("cifar10", parts)) == {
            decoded(b).tobytes(): data.SETS["cifar10"].names.index(n.split("/")[1])
            for n, b in content.items()
            if n.startswith(s)
        }


def test_a_folder_of_ones_own(own):
    content = {f"{k}/{i}.png": noise(8, 8, 3) for k in ("cats", "dogs") for i in range(4)}
    for n, a in content.items():
        put(own / "mine" / n, encoded(a))
    assert by_bytes(*data.load_raw(own / "mine", "all")) == {
        a.tobytes(): int(n.startswith("dogs")) for n, a in content.items()
    }
    put(own / "mine" / "cats" / "x.png", b"\x89PNG no more")
    refuses(own, "x.png", own / "mine", bad="raise")


@pytest.mark.parametrize(
    "change, said",
    [
        (
            lambda f: f.update({"PACS/photo/dog/1.png": encoded(noise(8, 8, 3))[:60]}),
            "PACS/photo/dog/1.png is no image",
        ),
        (
            lambda f: f.update({"PACS/photo/dog/1.jpg": b"<html>"}),
            "PACS/photo/dog/1.jpg is no image",
        ),
        (
            lambda f: f.update({"PACS/photo/owl/1.png": encoded(noise(8, 8, 3))}),
            "PACS/photo/owl/1.png has an unknown class, not one of dog",
        ),
        (
            lambda f: [f.pop(f"PACS/photo/dog/{i}.png") for i in range(3)],
            "1 of 7 folders photo/<class> are empty or missing: dog",
        ),
    ],
)
@pytest.mark.parametrize("how", ["folder", "zip"])
def test_damaged_class_folders(own, how, change, said):
    content = pacs()
    change(content)
    zipped(own / "pacs.zip", content) if how == "zip" else [
        put(own / "pacs" / n, b) for n, b in content.items()
    ]
    refuses(own, said, "pacs_photo")


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda b: b[: len(b) // 2], "File is not a zip file|BadZipFile"),
        (lambda b: b"no zip at all", "BadZipFile"),
        (lambda b: b.replace(b"IDAT", b"IDAX", 1), "Bad CRC-32"),
    ],
)
def test_a_damaged_zip_is_named(own, spoil, said):
    zipped(own / "pacs.zip", pacs())
    put(own / "pacs.zip", spoil((own / "pacs.zip").read_bytes()))
    refuses(own, f"pacs.zip cannot be read.*({said})", "pacs_photo")


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
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w:gz") as t:
        i = tarfile.TarInfo(name)
        i.size = 1
        t.addfile(i, io.BytesIO(b"x"))
    put(own / tv.CIFAR10.filename, b.getvalue())
    refuses(own, "leads out", "cifar10")
    assert sorted(p.name for p in own.parent.iterdir()) in (
        ["own", "settings.ini"],
        ["data", "own", "settings.ini"],
    )


def test_links_in_a_tar_are_not_followed(own):
    with tarfile.open(own / "x.tar", "w") as t:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            i = tarfile.TarInfo("a/1.png")
            i.type, i.linkname = kind, "/etc/passwd"
            t.addfile(i)
    assert list(members(own / "x.tar")) == []


def test_sets_that_are_not_here_say_what_to_do(own):
    for name in ("pacs_photo", "officehome_clipart"):
        assert not data.ready(name)
        refuses(
            own,
            f"none of them is in {own}(.|\n)*not fetched(.|\n)*folder=(.|\n)*faces_avataaars",
            name,
        )
    refuses(own, "no mnistm.npz", "mnistm", published=True)


# MNIST-M as arrays


def test_mnistm_arrays(own):
    x, y = {k: noise(24, 32, 32, 3) for k in ("train", "test")}, np.arange(24) % 10
    np.savez(own / "mnistm.npz", x_train=x["train"], y_train=y, x_test=x["test"], y_test=y)
    for parts, k in (("train+valid", "train"), ("test", "test")):
        assert by_bytes(*data.load_raw("mnistm", parts, published=True)) == {
            a.tobytes(): v for a, v in zip(x[k], y)
        }
    assert data.load_raw("mnistm", "test", n=10)[0].shape == (
        10,
        3,
        28,
        28,
    )  # made here, unless asked otherwise


@pytest.mark.parametrize(
    "content, said", [(b"PK no more", "mnistm.npz cannot be read"), (None, "lacks x_test, y_test")]
)
def test_damaged_mnistm_arrays(own, content, said):
    np.savez(own / "mnistm.npz", x_train=noise(2, 28, 28, 3), y_train=[1, 2])
    if content:
        put(own / "mnistm.npz", content)
    refuses(own, said, "mnistm", "test", published=True)


# what changed is read again; pairs


def test_a_changed_file_is_read_again(own):
    zipped(own / "pacs.zip", pacs())
    a = data.load_raw("pacs_photo", "all", size=8)[0]
    zipped(own / "pacs.zip", pacs())
    b = data.load_raw("pacs_photo", "all", size=8)[0]
    assert not torch.equal(a, b)


def test_pairs(own):
    zipped(own / "pacs.zip", pacs())
    d = photos.pair_dls("pacs photo-sketch", bs=5, size=16)
    (xs, xt), ys = d.one_batch()
    x, y = d.valid.one_batch()
    assert (
        xs.shape == xt.shape == (5, 3, 16, 16)
        and x.shape[1:] == (3, 16, 16)
        and d.vocab == data.SETS["pacs_photo"].names
    )
    d = photos.pair_dls("optdigits-mnist5k", bs=4, n=20, n_valid=20)
    (xs, xt), ys = d.one_batch()
    assert xs.shape == xt.shape == (4, 1, 28, 28)
    with pytest.raises(DataError, match="optdigits-mnist5k"):
        photos.pair_dls("officehome clipart-realworld")
    with pytest.raises(ValueError, match="pacs_photo .7. and mnist .10. differ"):
        photos.pair_dls("pacs_photo-mnist")


def test_pairs_do_not_leak(own):
    assert photos.pair_sets("mnistm-mnist5k") == (
        "mnistm",
        "mnist5k",
    )  # both split alike where mnistm is made of mnist5k
    for part, n in (("train", 30), ("t10k", 10)):
        for kind, a in (("images-idx3", noise(n, 28, 28)), ("labels-idx1", np.arange(n) % 10)):
            put(own / "MNIST" / "raw" / f"{part}-{kind}-ubyte.gz", idx(a))
    for pair in ("mnistm-mnist5k", "mnist-mnist5k", "mnist5k-mnist", "mnist-mnist"):
        with pytest.raises(ValueError, match="same images"):
            photos.pair_sets(pair)
    assert photos.pair_sets("mnist5k-mnistm") and photos.pair_sets("mnistm-mnist")


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
    "Every pair of the course, on small files in the published formats; both sides come in one size and as many channels."
    assert photos.pair_sets(pair) == (source, target)
    for part, n in (("train", 36), ("t10k", 20)):
        for kind, a in (("images-idx3", noise(n, 28, 28)), ("labels-idx1", np.arange(n) % 10)):
            put(own / "MNIST" / "raw" / f"{part}-{kind}-ubyte.gz", idx(a))
    for f, n in (("usps.bz2", 36), ("usps.t.bz2", 20)):
        put(own / f, bz2.compress(libsvm(noise(n, 16, 16), np.arange(n) % 10)))
    for f, n in (("train", 36), ("test", 20)):
        savemat(
            own / f"{f}_32x32.mat", dict(X=noise(32, 32, 3, n), y=(1 + np.arange(n) % 10)[:, None])
        )
    zipped(own / "pacs.zip", pacs())
    zipped(
        own / "OfficeHome.zip",
        {
            f"{g}/{k}/{i}.png": encoded(noise(8, 8, 3))
            for g in ("Clipart", "Real World")
            for k in data.SETS["officehome_art"].names
            for i in range(2)
        },
    )
    small = dict(faces=40) if pair.startswith("faces") else {}
    d = photos.pair_dls(pair, bs=6, source_kw=small, target_kw=small)
    (xs, xt), ys = d.one_batch()
    x, y = d.valid.one_batch()
    assert xs.shape == xt.shape and xs.shape[0] == 6 == len(ys) and x.shape[1:] == xs.shape[1:]
    assert (
        d.vocab == data.SETS[target].names
        and {*map(int, ys)} <= set(range(len(d.vocab)))
        and -1 <= xs.min() < xs.max() <= 1
    )


@pytest.mark.parametrize(
    "pair, said",
    [
        ("mnist-usps", "mnist|usps"),
        ("mnistm-svhn", "32x32.mat could not be fetched"),
        ("pacs photo-sketch", "pacs.zip.*none of them is in"),
        ("officehome clipart-realworld", "officehome.zip.*none of them is in"),
    ],
)
def test_a_pair_that_is_not_here_says_what_is_missing(own, monkeypatch, pair, said):
    monkeypatch.setattr(tv.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    for c in (tv.USPS, tv.SVHN):
        monkeypatch.setattr(
            c,
            "split_list",
            {k: ["http://127.0.0.1:9/" + v[1], *v[1:]] for k, v in c.split_list.items()},
        )
    with pytest.raises(
        DataError, match=f"({said})(.|\n)*Of packaged sets: pair_dls\\('optdigits-mnist5k'\\)"
    ):
        photos.pair_dls(pair, n=20, n_valid=20)


def test_sets_with_other_classes_are_no_domains(own):
    with pytest.raises(
        ValueError,
        match="mnist5k .10. and faces_peeps .4. differ in their classes: only in mnist5k: 0, 1, 2, 3, 4 ...; only in faces_peeps: black",
    ):
        data.domain_dls("mnist5k", "faces_peeps")
    for k in ("cats", "dogs"):
        put(own / "mine" / k / "a.png", encoded(noise(8, 8, 3)))
    for k in ("cats", "wolves"):
        put(own / "yours" / k / "a.png", encoded(noise(8, 8, 3)))
    with pytest.raises(ValueError, match="only in .*mine: dogs; only in .*yours: wolves"):
        data.domain_dls(own / "mine", own / "yours")


def test_published_mnistm_is_found_without_another_import(own):
    "In a fresh interpreter, where nothing but the module of the data sets was imported."
    x = noise(12, 32, 32, 3)
    np.savez(
        own / "mnistm.npz",
        x_train=x,
        y_train=np.arange(12) % 10,
        x_test=x,
        y_test=np.arange(12) % 10,
    )
    say = "from genda.data import load_raw; x, y = load_raw('mnistm', 'test', published=True); print(tuple(x.shape), y.tolist())"
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", say],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(data.__file__).parents[1])},
    )
    assert said.stdout.split("\n")[0] == f"(12, 3, 32, 32) {[*range(10), 0, 1]}"


def test_stand_ins_are_named(own, monkeypatch):
    "What is asked for and cannot be had names a set that can, and that set says what it stands for."
    for c in (tv.CIFAR10, tv.CIFAR100):
        monkeypatch.setattr(c, "url", "http://127.0.0.1:9/x")
    monkeypatch.setattr(
        tv.SVHN,
        "split_list",
        {k: ["http://127.0.0.1:9/x", *v[1:]] for k, v in tv.SVHN.split_list.items()},
    )
    monkeypatch.setattr(photos, "_DRIVE", "http://127.0.0.1:9/")
    for name, instead in (
        ("celeba", "faces"),
        ("cifar10", "mnistm"),
        ("cifar100", "mnistm100"),
        ("svhn", "mnistm"),
        ("pacs_photo", "faces_avataaars"),
        ("officehome_art", "faces_avataaars"),
        ("iclevr", "shapes"),
    ):
        with pytest.raises(DataError, match=f"Ready now, in its place: load\\('{instead}'\\)"):
            data.load_raw(name, "test")
        assert data.ready(instead)
    sources = data.catalog().set_index("name").source
    assert (
        "stand in for Bitmoji and CelebA" in sources["faces"]
        and "stands in for i-CLEVR" in sources["shapes"]
        and "stands in for CIFAR-100" in sources["mnistm100"]
    )
    assert "for PACS and Office-Home" in sources["faces_peeps"] and "stand" not in "".join(
        sources[[n for n, e in data.SETS.items() if e.kind in ("download", "by hand")]]
    )


def test_the_stand_in_of_cifar100_has_its_shape(own):
    x, y = data.load_raw("mnistm100", "all")
    again = data.load_raw("mnistm100", "all")[0]
    assert (
        x.shape == (5000, 3, 32, 32)
        and set(y.tolist()) == set(range(100))
        and torch.equal(x, again)
    )
    left, right = [k.unique(return_counts=True)[1] for k in (y // 10, y % 10)]
    assert left.tolist() == right.tolist() == [500] * 10
    assert not torch.equal(data.load_raw("mnistm100", "all", blend_seed=1)[0], x)
