"The real i-CLEVR in its published layout is read to the byte or refused by name; its stand-in."

import json

import numpy as np
import pytest
from PIL import Image
from test_data_faults import SETTINGS

from genda.data.clevr import NAMES, condition_lists, read_iclevr
from genda.data.downloads import DataError
from genda.data.registry import catalog, load, load_raw, ready
from genda.settings import settings

LISTS = [
    ["red cube"],
    ["red cube", "blue sphere"],
    ["red cube", "blue sphere", "gray cylinder"],
] * 10
TRAIN = {f"CLEVR_train_{i // 3:06d}_{i % 3}.png": names for i, names in enumerate(LISTS)}
FIRST = "CLEVR_train_000000_0.png"
SPLITS = "train", "valid", "test"


@pytest.fixture
def empty(tmp_path, monkeypatch):
    "A data folder with nothing in it."
    (tmp_path / "settings.ini").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENDA_DATA", raising=False)
    return tmp_path


@pytest.fixture(params=["images", "."])
def iclevr(empty, request):
    """A small i-CLEVR with random pixels of 24 x 32, RGBA as published.

    The pictures lie in images/ or beside the label files.
    """
    folder = empty / "data" / "iclevr"
    pictures = folder / request.param
    pictures.mkdir(parents=True)
    rng = np.random.RandomState(0)
    for name in TRAIN:
        pixels = rng.randint(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).convert("RGBA").save(pictures / name)
    (folder / "train.json").write_text(json.dumps(TRAIN))
    numbers = {name: i for i, name in enumerate(NAMES)}
    (folder / "objects.json").write_text(json.dumps(numbers))
    return folder, pictures


def in_cache():
    return sorted(p.name for p in (settings().data / "cache").glob("*"))


def resized(path):
    "The bytes of a picture as RGB of 24 x 24."
    return np.asarray(Image.open(path).convert("RGB").resize((24, 24), Image.BILINEAR)).tobytes()


def middle(path):
    "The bytes of the square in the middle of a picture."
    return np.asarray(Image.open(path).convert("RGB"))[:, 4:28].tobytes()


def pixels_of(image):
    "The bytes of an image that was loaded."
    return image.permute(1, 2, 0).numpy().tobytes()


def test_the_published_layout_loads_exactly(iclevr):
    folder, pictures = iclevr
    assert ready("iclevr")
    x, y = load_raw("iclevr", "all", size=24)
    objects_of = {resized(pictures / name): objects for name, objects in TRAIN.items()}
    assert len(objects_of) == len(x) == 30
    for image, label in zip(x, y):
        objects = [NAMES[i] for i in label.nonzero()[:, 0]]
        assert sorted(objects_of[pixels_of(image)]) == sorted(objects)
    # The square in the middle is 24 pixels wide already: not one of them changes.
    x, _ = load_raw("iclevr", "all", size=24, crop=True)
    assert {pixels_of(image) for image in x} == {middle(pictures / name) for name in TRAIN}
    assert len(in_cache()) == 2
    sizes = [len(load_raw("iclevr", split, size=24)[1]) for split in SPLITS]
    assert sizes == [24, 3, 3]
    assert len(read_iclevr(folder, "train", 24)[1]) == 24


def test_scenes_stay_together(iclevr):
    _, pictures = iclevr
    scene_of = {resized(pictures / name): name[:-6] for name in TRAIN}
    parts = []
    for split in SPLITS:
        x, _ = load_raw("iclevr", split, size=24)
        parts.append({scene_of[pixels_of(image)] for image in x})
    assert [len(part) for part in parts] == [8, 1, 1]
    assert len(set.union(*parts)) == 10


def spoil(name, content):
    "A function that writes other content, a text or what is to be JSON, into a label file."
    text = content if isinstance(content, str) else json.dumps(content)

    def write(folder, pictures):
        (folder / name).write_text(text)

    return write


def half(folder, pictures):
    (pictures / FIRST).write_bytes((pictures / FIRST).read_bytes()[:200])


def no_picture(folder, pictures):
    (pictures / FIRST).write_text("not a picture")


def gone(folder, pictures):
    (pictures / FIRST).unlink()


def no_json(folder, pictures):
    (folder / "train.json").unlink()


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


REVERSED = {name: i for i, name in enumerate(NAMES[::-1])}
OUTSIDE = {"../../secret.png": ["red cube"]}
ABSOLUTE = {"/etc/secret.png": ["red cube"]}
BACKSLASH = {"..\\secret.png": ["red cube"]}


@pytest.mark.parametrize(
    "change, message",
    [
        (half, f"{FIRST} is damaged"),
        (no_picture, f"{FIRST} is damaged"),
        (gone, f"1 of the 30 pictures .* missing .*{FIRST}"),
        (no_json, "train.json is missing"),
        (spoil("train.json", '{"a.png": ["red'), "train.json is damaged"),
        (spoil("train.json", {}), "no lists of objects"),
        (spoil("train.json", LISTS), "names no pictures"),
        (spoil("train.json", TRAIN | {FIRST: ["red cone"]}), f"{FIRST}: .*unknown: .'red cone'"),
        (spoil("train.json", TRAIN | {FIRST: "red cube"}), "no list of distinct objects"),
        (spoil("train.json", TRAIN | {FIRST: []}), "no list of distinct objects"),
        (spoil("train.json", TRAIN | OUTSIDE), "'../../secret.png' is no plain name"),
        (spoil("train.json", TRAIN | ABSOLUTE), "is no plain name"),
        (spoil("train.json", TRAIN | BACKSLASH), "is no plain name"),
        (spoil("objects.json", REVERSED), "does not number the 24 objects"),
        (spoil("objects.json", "{"), "does not number"),
    ],
)
def test_a_damaged_folder_is_named_and_nothing_is_kept(iclevr, empty, change, message):
    folder, pictures = iclevr
    Image.new("RGB", (32, 24)).save(empty / "data" / "secret.png")
    Image.new("RGB", (32, 24)).save(empty / "secret.png")
    change(folder, pictures)
    before = contents(folder)
    with pytest.raises(DataError, match=message) as error:
        load("iclevr")
    assert "load('shapes')" in str(error.value)
    assert in_cache() == []
    assert contents(folder) == before


def test_without_the_folder_the_message_says_what_would_do(empty):
    assert not ready("iclevr")
    with pytest.raises(DataError, match=r"train.json is missing(.|\n)*load\('shapes'\)"):
        load("iclevr")


def test_without_any_file_the_stand_in_draws_its_own(empty):
    x, y = load("shapes", "all", size=16, n_scenes=20)
    assert x.shape == (60, 3, 16, 16)
    assert y.sum(1).bincount().tolist() == [0, 20, 20, 20]
    assert -1 <= x.min() < x.max() <= 1
    row = catalog().query('name == "shapes"').iloc[0]
    assert "stands in for i-CLEVR" in row.source
    assert "drawn alike" in row.source
    assert row.images == 18_009
    assert row.classes == 24
    assert [len(names) for names in condition_lists("test")[0]] == [1] * 6 + [2] * 12 + [3] * 14
    before = in_cache()
    assert before != []
    again = load("shapes", "all", size=16, n_scenes=20)[0]
    assert (again == x).all()
    assert in_cache() == before
    (settings().data / "cache" / before[0]).write_bytes(b"cut")
    assert (load("shapes", "all", size=16, n_scenes=20)[0] == x).all()
