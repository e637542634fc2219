"Archives, pickles, arrays and class folders that are hostile or broken are refused by name."

import pickle
import shutil
import tarfile
import warnings
from functools import partial
from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pytest
from conftest import INI
from PIL import Image

from genda.data import registry
from genda.data.archives import (
    _inside,
    cached_until_changed,
    count_classes,
    find_first,
    is_image,
    members,
    plain_pickle,
    read_arrays,
    read_batches,
    read_classes,
    read_splits,
)
from genda.data.downloads import DataError
from genda.data.registry import load_raw
from genda.settings import settings


class Trick:
    def __reduce__(self):
        return print, ("this line was printed by a data file",)


TRICK = pickle.dumps({"data": Trick()})


@pytest.mark.parametrize("name", ["/etc/x", "a/../../x", "a\\..\\..\\x", "C:/x"])
def test_names_that_lead_out_are_refused(name):
    with pytest.raises(DataError, match="leads out"):
        _inside("a.zip", name)


def test_a_folder_and_its_archives_hold_the_same(tmp_path):
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "1").write_bytes(b"one")
    (tree / "2").write_bytes(b"two")
    paths = [tree]
    for kind in ("zip", "gztar", "bztar", "xztar"):
        paths.append(shutil.make_archive(tmp_path / kind, kind, tree))
    for path in paths:
        found = {name.removeprefix("./"): content for name, content in members(path)}
        assert found == {"2": b"two", "a/1": b"one"}
    assert list(members(tree, lambda name: name == "2")) == [("2", b"two")]


def test_dots_inside_a_name_are_harmless():
    assert _inside("a.zip", "a/b..c/..d.png") == "a/b..c/..d.png"


@pytest.mark.parametrize(
    "content, said",
    [
        (TRICK, "it asks for builtins.print"),
        (pickle.dumps(np.arange(4.0), 2), "something else than bytes"),
        (pickle.dumps(np.zeros((2, 3), np.uint8), 5), "_frombuffer"),
    ],
    ids=["function", "floats", "protocol 5"],
)
def test_pickles_of_anything_but_bytes_are_refused(content, said, capsys):
    with pytest.raises(pickle.UnpicklingError, match=said):
        plain_pickle(content)
    assert capsys.readouterr().out == "", "nothing was called"


@pytest.fixture
def batches(tmp_path):
    "A folder with one batch of six images in CIFAR's format."
    data = np.arange(6 * 3072).reshape(6, 3072).astype(np.uint8)
    (tmp_path / "one").write_bytes(pickle.dumps(dict(data=data, labels=list(range(6))), 2))
    return tmp_path


def test_a_missing_batch_and_a_label_outside_are_named(batches):
    with pytest.raises(DataError, match="lacks two"):
        read_batches(batches, ["one", "two"], 10)
    with pytest.raises(ValueError, match=r"one: .*labels from 0 to 2"):
        read_batches(batches, ["one"], 3)


def test_a_batch_that_is_a_program_or_cut_short_is_named(batches):
    content = (batches / "one").read_bytes()
    for spoilt in (TRICK, content[:1000]):
        (batches / "one").write_bytes(spoilt)
        with pytest.raises(ValueError, match="one: UnpicklingError"):
            read_batches(batches, ["one"], 10)


def test_arrays_come_back_as_they_were_written(tmp_path):
    images = np.arange(6 * 8 * 8 * 3).reshape(6, 8, 8, 3).astype(np.uint8)
    np.savez(tmp_path / "good.npz", x=images, y=np.arange(6))
    x, y = read_arrays(tmp_path / "good.npz", "x", "y")
    assert (x == images).all() and y.tolist() == list(range(6))


def test_arrays_in_two_parts_are_split(project):
    path = settings().data / "two.npz"
    path.parent.mkdir(parents=True)
    images = np.arange(6 * 8 * 8 * 3).reshape(6, 8, 8, 3).astype(np.uint8)
    labels = np.arange(6)
    parts = dict(x_train=images[:4], y_train=labels[:4], x_test=images[4:], y_test=labels[4:])
    np.savez(path, **parts)
    x, y = read_splits("test", "none.npz", "two.npz")
    assert (x == images[4:]).all() and y.tolist() == [4, 5]
    train = read_splits("train", "two.npz")[1]
    valid = read_splits("valid", "two.npz")[1]
    assert sorted([*train, *valid]) == [0, 1, 2, 3]
    with pytest.raises(DataError, match=r"no none\.npz in"):
        read_splits("test", "none.npz")


def test_arrays_that_lack_something_are_named(tmp_path):
    images = np.zeros((6, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "half.npz", x=images)
    with pytest.raises(DataError, match="lacks y: it holds x"):
        read_arrays(tmp_path / "half.npz", "x", "y")
    for x, y in ((images, np.arange(5)), (images + 0.5, np.arange(6)), (images, np.ones(6))):
        np.savez(tmp_path / "odd.npz", x=x, y=y)
        with pytest.raises(DataError, match="wanted uint8"):
            read_arrays(tmp_path / "odd.npz", "x", "y")
    np.savez(tmp_path / "trick.npz", x=images, y=np.array([Trick()]))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_arrays(tmp_path / "trick.npz", "x", "y")


def png(color):
    b = BytesIO()
    Image.new("RGB", (8, 8), color).save(b, "PNG")
    return b.getvalue()


def test_class_folders_give_every_image_with_its_label(tmp_path):
    files = {"__MACOSX/top/Photo/cat/._0.png": b"", "top/readme.txt": b""}
    for group, blue in (("Photo", 100), ("Sketch", 0)):
        for kind, green in (("cat", 0), ("dog", 200)):
            for i in range(5):
                files[f"top/{group}/{kind}/{i}.png"] = png((40 * i, green, blue))
    path = tmp_path / "set.zip"
    with ZipFile(path, "w") as z:
        for name, content in files.items():
            z.writestr(name, content)
        z.extractall(tmp_path / "plain")
    reds = [40 * i for i in range(5)]
    for where in (path, tmp_path / "plain"):
        x, y = read_classes(where, "photo", ["cat", "dog"], 8)
        assert x.shape == (10, 8, 8, 3) and y.tolist() == [0] * 5 + [1] * 5
        cats = [[red, 0, 100] for red in reds]
        assert x[:, 0, 0].tolist() == cats + [[red, 200, 100] for red in reds]
        assert count_classes(where, ["photo"]) == 10
        assert count_classes(where, ["photo", "sketch"]) == 20
        assert count_classes(where, ["art"]) == 0


def test_images_are_known_by_their_names():
    assert is_image("a/1.PNG")
    assert not any(is_image(name) for name in ("a/._1.png", "a/1.txt", "png"))


@pytest.mark.parametrize(
    "spoil, names, said",
    [
        ({"top/Photo/cat/2.png": png("red")[:40]}, ["cat", "dog"], "cat/2.png is no image"),
        ({}, ["cat"], "unknown class, not one of cat"),
        ({}, ["cat", "dog", "owl"], "1 of 3 folders photo/<class> are empty or missing: owl"),
    ],
    ids=["broken image", "unknown class", "empty class"],
)
def test_a_published_set_with_holes_is_refused(tmp_path, spoil, names, said):
    files = {f"top/Photo/{kind}/{i}.png": png("blue") for kind in ("cat", "dog") for i in range(3)}
    with ZipFile(tmp_path / "set.zip", "w") as z:
        for name, content in (files | spoil).items():
            z.writestr(name, content)
    with pytest.raises(DataError, match=said):
        read_classes(tmp_path / "set.zip", "photo", names, 8)


def test_what_is_kept_follows_the_file_and_a_broken_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "settings.ini").write_text(INI)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENDA_DATA", raising=False)
    path = settings().data / "formats" / "some.npz"
    path.parent.mkdir(parents=True)
    images, labels = np.zeros((6, 8, 8, 3), np.uint8), np.arange(6)
    np.savez(path, x=images, y=labels)
    read = partial(read_arrays, path, "x", "y")
    assert len(cached_until_changed("some", [path], read)[1]) == 6
    shutil.copy(path, tmp_path / "copy.npz")
    np.savez(path, x=images[:5], y=labels[:5])
    assert len(cached_until_changed("some", [path], read)[1]) == 5
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"some\.npz cannot be read"):
        cached_until_changed("some", [path], read)
    assert path.exists()
    with pytest.raises(DataError, match=r"some\.npz is damaged"):
        cached_until_changed("some", [path], read, again=True)
    assert not path.exists() and find_first("nowhere", "formats/some.npz") is None


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("second", ["top/photo/cat/1.png", "./top/photo/cat/1.png"])
def test_a_name_that_comes_twice_is_refused(tmp_path, kind, second):
    "Which of the two counts, nobody can tell; counted were both, and read was the last one twice."
    path = tmp_path / f"set.{kind}"
    names = ["top/photo/cat/1.png", "top/photo/dog/1.png", second]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of what is done here on purpose
        if kind == "zip":
            with ZipFile(path, "w") as z:
                for name in names:
                    z.writestr(name, png("red"))
        else:
            with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as t:
                for name in names:
                    info = tarfile.TarInfo(name)
                    info.size = len(png("red"))
                    t.addfile(info, BytesIO(png("red")))
    for read in (
        lambda: list(members(path)),
        lambda: count_classes(path, ["photo"]),
        lambda: read_classes(path, "photo", ["cat", "dog"], 8),
    ):
        with pytest.raises(DataError, match=r"1\.png' more than once"):
            read()


def test_a_group_in_two_folders_is_refused(tmp_path):
    "Its images would count twice, as a copy beside the original."
    with ZipFile(tmp_path / "set.zip", "w") as z:
        for name in ("a/photo/cat/1.png", "a/photo/dog/1.png", "b/photo/cat/1.png"):
            z.writestr(name, png("red"))
    with pytest.raises(DataError, match="holds photo twice, in a/photo and b/photo: one is wanted"):
        read_classes(tmp_path / "set.zip", "photo", ["cat", "dog"], 8)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_counting_in_a_damaged_archive_names_it(tmp_path, kind):
    (tmp_path / f"set.{kind}").write_bytes(b"PK" + bytes(100))
    with pytest.raises(DataError, match=rf"set\.{kind} cannot be read: .*\((BadZip|Read)"):
        count_classes(tmp_path / f"set.{kind}", ["photo"])


def test_a_batch_in_two_folders_is_refused(batches):
    (batches / "other").mkdir()
    shutil.copy(batches / "one", batches / "other" / "one")
    with pytest.raises(DataError, match="one in more than one folder"):
        read_batches(batches, ["one"], 10)


@pytest.mark.parametrize(
    "labels", [[0, 1000], [-7, 1], [[0], [1]]], ids=["too large", "negative", "in columns"]
)
def test_published_arrays_with_labels_of_no_class_are_refused(tmp_path, monkeypatch, labels):
    (tmp_path / "settings.ini").write_text(INI)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENDA_DATA", str(tmp_path))
    images, labels = np.zeros((2, 28, 28, 3), np.uint8), np.array(labels)
    arrays = dict(x_train=images, y_train=labels, x_test=images, y_test=labels)
    np.savez(tmp_path / "mnistm.npz", **arrays)
    with pytest.raises(DataError, match=r"mnistm\.npz: y_test .* labels from 0 to 9"):
        load_raw("mnistm", "test", published=True)


@pytest.mark.parametrize(
    "y",
    [
        np.array([0, 2]),
        np.array([-1, 0]),
        np.array([0.0, 1.0]),
        np.array([True, False]),
        np.array([0, 1, 1]),
        np.array([[0, 1, 1], [0, 1, 0]]),
        np.array([[0, 2], [0, 1]]),
    ],
    ids=lambda y: str(y.tolist()),
)
def test_no_set_gives_labels_of_no_class(monkeypatch, y):
    monkeypatch.setattr(registry, "SETS", dict(registry.SETS))
    about = dict(images=2, size=4, classes=2, source="made here", licence="CC0")

    @registry.register("odd", "generated", **about)
    def read_odd(split):
        return np.zeros((2, 4, 4), np.uint8), y

    with pytest.raises(DataError, match=r"odd: 2 images with labels"):
        load_raw("odd")
