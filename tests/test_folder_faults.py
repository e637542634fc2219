"Folders and archives as people have them; torchvision's ImageFolder is the measure."

import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from genda.cli import main
from genda.data.archives import members, read_classes
from genda.data.clevr import scenes
from genda.data.domains import domain_dls
from genda.data.downloads import DataError, class_names, folder_files, read_folder
from genda.data.registry import SETS, as_folder, catalog, dls, find_set, load, load_raw, register
from genda.data.splits import BatchDL
from genda.diffusion.ddpm import ddpm, denoiser, generate
from genda.diffusion.process import GaussianDiffusion
from genda.diffusion.samplers import SAMPLERS
from genda.gan import Generator, draw_images
from genda.models.unet import UNet


def images(folder, n=2, level=0):
    "A folder of small grey images, each of a level of its own."
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        Image.fromarray(np.full((8, 8), level + i, np.uint8)).save(folder / f"{i}.png")
    return folder


def levels(folder):
    "Grey level -> class name, as `read_folder` has it, and as ImageFolder has it."
    parts = [read_folder(folder, split) for split in ("train", "valid", "test")]
    names = class_names(folder)
    ours = {}
    for x, y in parts:
        ours.update({int(image[0, 0, 0]): names[k] for image, k in zip(x, y)})
    theirs = {}
    measure = ImageFolder(folder)
    for image, k in measure:
        theirs[np.asarray(image)[0, 0, 0].item()] = measure.classes[k]
    return ours, theirs


@pytest.fixture
def own(tmp_path):
    "Two class folders."
    images(tmp_path / "own" / "cats")
    images(tmp_path / "own" / "dogs", level=100)
    return tmp_path / "own"


def test_class_folders_that_are_links_are_classes(own, tmp_path):
    elsewhere = images(tmp_path / "elsewhere" / "birds", level=200)
    (own / "birds").symlink_to(elsewhere, target_is_directory=True)
    images(tmp_path / "more" / "deep", level=220)
    (own / "cats" / "more").symlink_to(tmp_path / "more", target_is_directory=True)
    ours, theirs = levels(own)
    assert ours == theirs and len(ours) == 8
    assert {ours[200], ours[220]} == {"birds", "cats"}
    assert len(folder_files(own)) == 8


def test_a_folder_that_is_a_link_is_read(own, tmp_path):
    (tmp_path / "link").symlink_to(own, target_is_directory=True)
    ours, theirs = levels(tmp_path / "link")
    assert ours == theirs and len(ours) == 4


@pytest.mark.parametrize("name", ["val", "train", "dev"])
def test_one_word_among_classes_is_a_class(own, name):
    images(own / name, level=200)
    ours, theirs = levels(own)
    assert ours == theirs and ours[200] == name


@pytest.mark.parametrize(
    "names",
    [("train", "val"), ("training", "testing"), ("Train", "Test"), ("VALIDATION", "a", "test")],
)
def test_splits_are_no_classes(tmp_path, names):
    for name in names:
        images(tmp_path / "own" / name / "cats")
    with pytest.raises(DataError, match=f"splits, not classes.*load '.*{names[0]}'"):
        read_folder(tmp_path / "own")


def test_an_empty_class_is_refused_as_by_image_folder(own):
    (own / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        ImageFolder(own)
    with pytest.raises(DataError, match="without images, empty: fill or remove"):
        read_folder(own)
    (own / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="without images, empty"):
        read_folder(own)


def test_what_systems_leave_is_no_class(own):
    images(own / "__MACOSX" / "cats", level=240)
    images(own / ".thumbnails", level=250)
    assert class_names(own) == ["cats", "dogs"]
    ours, _ = levels(own)
    assert sorted(ours) == [0, 1, 100, 101]


def test_images_beside_classes_are_refused(own):
    images(own)
    with pytest.raises(DataError, match="both flat and in subfolders"):
        read_folder(own)
    images(own.parent / "cats" / "cats")  # the folder is called as its one class
    images(own.parent / "cats", level=50)
    with pytest.raises(DataError, match="both flat and in subfolders"):
        read_folder(own.parent / "cats")


def test_a_link_to_nothing_is_named(own):
    (own / "cats" / "gone.png").symlink_to(own / "nowhere.png")
    with pytest.warns(UserWarning, match=r"1 of 5 files.*gone.png \(FileNotFoundError\); skipped"):
        read_folder(own)


def test_a_link_that_leads_back_is_refused(own):
    (own / "cats" / "again").symlink_to(own, target_is_directory=True)
    with pytest.raises(DataError, match="leads back"):
        read_folder(own)


def test_more_than_8_bits_are_said_once(own):
    for i in range(3):
        deep = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
        deep.save(own / "cats" / f"deep{i}.png")
    said = r"deep0.png, deep1.png, deep2.png \(more than 8 bits per channel\); skipped"
    with pytest.warns(UserWarning, match=said):
        read_folder(own)


def test_published_class_folders_may_be_links(tmp_path):
    images(tmp_path / "there" / "cats")
    (tmp_path / "set" / "photo").mkdir(parents=True)
    (tmp_path / "set" / "photo" / "cats").symlink_to(tmp_path / "there" / "cats")
    x, y = read_classes(tmp_path / "set", "photo", ["cats"], 8)
    assert len(x) == 2 and y.tolist() == [0, 0]


def test_a_name_that_an_archive_holds_twice_is_refused(tmp_path):
    images(tmp_path)
    content = (tmp_path / "0.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as z, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            z.writestr("photo/cats/0.png", content)
    with tarfile.open(tmp_path / "a.tar", "w") as t:
        for _ in range(2):
            t.add(tmp_path / "0.png", "photo/cats/0.png")
    for name in ("a.zip", "a.tar"):
        with pytest.raises(DataError, match=r"'photo/cats/0.png' more than once"):
            list(members(tmp_path / name))


@pytest.mark.parametrize("wrong", [-7, 1000, 2])
def test_labels_that_no_class_has_are_refused(monkeypatch, wrong):
    monkeypatch.setitem(SETS, "odd", None)

    @register("odd", "generated", 4, 8, 2, "made here", "CC0")
    def _odd(split):
        return np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 1, wrong])

    with pytest.raises(DataError, match=r"odd: 4 images with labels .* wanted \[4\] of 0 to 1"):
        load("odd")


def test_one_damaged_archive_takes_nothing_down(project, capsys):
    (project / "data").mkdir()
    (project / "data" / "pacs.zip").write_bytes(b"PK\3\4 no more")
    (project / "data" / "cifar10.zip").write_bytes(b"")
    with pytest.warns(UserWarning, match="mend or remove its file"):
        table = catalog().set_index("name")
    assert (table.images[["pacs_photo", "cifar10"]] == "damaged").all()
    assert table.images["usps"] == 9298
    assert main(["data"]) == 0
    rows = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()[1:20]}
    assert (rows["cifar10"], rows["mnist5k"]) == ("damaged", "yes")


def test_a_path_is_written_as_one(project):
    images(project / "mnist" / "a")
    with pytest.warns(UserWarning, match=r"'mnist' is the name that genda knows.*\./mnist"):
        assert find_set("mnist") is SETS["mnist"]
    assert find_set("./mnist").names == ["a"]
    assert find_set(project / "mnist").names == ["a"]
    assert as_folder("mnist5k", SETS) is None
    assert as_folder("./mnist", SETS) == Path("mnist")
    for name in ("", "  ", "a\0b"):
        with pytest.raises(ValueError, match="unknown data set"):
            load(name)
    with pytest.raises(ValueError, match=r"no folder \./mine"):
        load("mine")
    for name in (None, 3, ["mnist"]):
        with pytest.raises(TypeError, match="a name or a folder is wanted"):
            load(name)


def test_nothing_means_all_or_counts_twice():
    for n in (0, -1, 2.5, "3", True):
        with pytest.raises(ValueError, match="scenes="):
            scenes(n)
    for split in ("train+train", "valid+train+valid"):
        with pytest.raises(ValueError, match="names one split twice"):
            load_raw("mnist5k", split)
    with pytest.raises(ValueError, match="size=0"):
        load_raw("mnist5k", size=0)


WRONG = [0, -1, 2.5, None, "8", True, float("nan")]


@pytest.mark.parametrize("bs", WRONG, ids=repr)
def test_a_batch_size_is_a_whole_number(bs):
    with pytest.raises(ValueError, match=r"bs=.*a whole number from 1 on"):
        dls("optdigits", bs, n=20)
    with pytest.raises(ValueError, match=r"bs=.*a whole number from 1 on"):
        BatchDL([1, 2, 3], bs)
    with pytest.raises(ValueError, match=r"bs=.*a whole number from 1 on"):
        domain_dls("optdigits", "mnist5k", bs, n=20, size=8)


@pytest.mark.parametrize("steps", [0, -1, 2.5, "8", True, float("nan")], ids=repr)
@pytest.mark.parametrize("name", SAMPLERS)
def test_steps_are_a_whole_number(name, steps):
    process = GaussianDiffusion.vp(20)
    with pytest.raises(ValueError, match="steps="):
        next(SAMPLERS[name](lambda xt, t: xt, process, process.prior((1, 1, 4, 4)), steps=steps))


def test_images_and_conditions_are_of_one_number():
    process = GaussianDiffusion.vp(20)
    denoise = denoiser(UNet(1, (8, 16), 1, classes=3), process, "v")
    options = dict(sampler=ddpm, steps=1, progress=False)
    y = torch.arange(3)
    assert len(generate(denoise, process, (1, 8, 8), y, n=3, **options)) == 3
    with pytest.raises(ValueError, match="n=5, but there are 3 conditions"):
        generate(denoise, process, (1, 8, 8), y, n=5, **options)
    for n in (0, None, 2.5):
        with pytest.raises(ValueError, match="n="):
            generate(denoise, process, (1, 8, 8), n=n, **options)
    with pytest.raises(ValueError, match="bs=0"):
        generate(denoise, process, (1, 8, 8), y, bs=0, **options)
    generator = Generator(1, 28, k=3, z=4, label=4, base=2)
    assert len(draw_images(generator, y, n=3)) == 3
    with pytest.raises(ValueError, match="n=5, but there are 3 conditions"):
        draw_images(generator, y, n=5)
