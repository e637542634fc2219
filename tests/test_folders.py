"What folders of one's own, the cache and files of the MNIST format do with odd content."

import gzip

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets as tv

from genda.data.downloads import DataError, cached, idx_ready, read_folder, read_idx
from genda.settings import settings


@pytest.fixture
def flat(tmp_path):
    "A folder of three grey images."
    folder = tmp_path / "flat"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(np.full((8, 8), 80 * i, np.uint8)).save(folder / f"{i}.png")
    return folder


def test_a_flat_folder_is_one_class_and_grey_stays_grey(flat):
    x, y = read_folder(flat)
    assert x.shape == (3, 8, 8, 1) and y.tolist() == [0] * 3
    assert sorted(x[:, 0, 0, 0].tolist()) == [0, 80, 160]


def test_transparent_parts_become_white(flat):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(flat / "clear.png")
    x, _ = read_folder(flat)
    assert x.shape == (4, 8, 8, 3) and (x == 255).all((1, 2, 3)).sum() == 1


def test_more_than_8_bits_are_refused(flat):
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(flat / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png"):
        read_folder(flat, bad="raise")


def test_flat_and_subfolders_together_are_refused(flat):
    (flat / "more").mkdir()
    Image.new("L", (8, 8)).save(flat / "more" / "a.png")
    with pytest.raises(DataError, match="both flat and in subfolders"):
        read_folder(flat)


def test_an_empty_folder_and_a_folder_of_splits_say_so(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        read_folder(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="splits, not classes"):
        read_folder(tmp_path)


def test_a_damaged_cache_is_made_again(project):
    calls = []

    def make():
        calls.append(1)
        return np.full((2, 3, 3), len(calls), np.uint8), [0, 1]

    assert [cached("_test", make, 1)[0].max() for _ in range(2)] == [1, 1]
    assert cached("_test", make, 2)[0].max() == 2, "anything else that it depends on"
    for file in (settings().data / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert [cached("_test", make, 1)[0].max() for _ in range(2)] == [3, 3]


class Tiny(tv.MNIST):
    resources = (("train-images-idx3-ubyte.gz", ""), ("train-labels-idx1-ubyte.gz", ""))


def header(*shape):
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, ">i4").tobytes()


def test_a_damaged_file_of_the_mnist_format_is_removed(project):
    raw = settings().data / "Tiny" / "raw"
    raw.mkdir(parents=True)
    images = raw / "train-images-idx3-ubyte"
    images.write_bytes(header(12, 28, 28) + bytes(12 * 28 * 28 - 9))
    with gzip.open(raw / "train-labels-idx1-ubyte.gz", "wb") as f:
        f.write(header(12) + bytes(12))
    assert idx_ready(Tiny)
    with pytest.raises(DataError, match="train-images-idx3-ubyte is damaged"):
        read_idx(Tiny, "train")
    assert not idx_ready(Tiny) and not images.exists()
    assert (raw / "train-labels-idx1-ubyte.gz").exists()
