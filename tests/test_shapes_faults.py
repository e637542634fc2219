"The real i-CLEVR in its published layout: read to the byte, or refused by name with nothing kept; and the set that stands in for it."

import json

import numpy as np
import pytest
from PIL import Image

from genda import data, shapes
from genda.settings import settings
from genda.data.downloads import DataError

LISTS = [
    ["red cube"],
    ["red cube", "blue sphere"],
    ["red cube", "blue sphere", "gray cylinder"],
] * 10
TRAIN = {f"CLEVR_train_{i // 3:06d}_{i % 3}.png": names for i, names in enumerate(LISTS)}


@pytest.fixture
def empty(tmp_path, monkeypatch):
    "A data folder with nothing in it."
    (tmp_path / "settings.ini").write_text(
        "[genda]\ndata = data\nmodels = models\nresults = results\nseed = 42\nbudget = smoke\n[smoke]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENDA_DATA", raising=False)
    return tmp_path


@pytest.fixture(params=["images", "."])
def iclevr(empty, request):
    "A small i-CLEVR, with the pictures in images/ or beside the label files; random pixels of 24 x 32, RGBA as published."
    folder = empty / "data" / "iclevr"
    (folder / request.param).mkdir(parents=True)
    rng = np.random.RandomState(0)
    for f in TRAIN:
        Image.fromarray(rng.randint(0, 256, (24, 32, 3), np.uint8)).convert("RGBA").save(
            folder / request.param / f
        )
    (folder / "train.json").write_text(json.dumps(TRAIN))
    (folder / "objects.json").write_text(json.dumps({n: i for i, n in enumerate(shapes.NAMES)}))
    return folder, folder / request.param


def kept():
    return (
        sorted(p.name for p in (settings().data / "cache").glob("*"))
        if (settings().data / "cache").exists()
        else []
    )


def test_the_published_layout_loads_exactly(iclevr):
    folder, pictures = iclevr
    assert data.ready("iclevr")
    x, y = data.load_raw("iclevr", "all", size=24)
    want = {
        np.asarray(
            Image.open(pictures / f).convert("RGB").resize((24, 24), Image.BILINEAR)
        ).tobytes(): names
        for f, names in TRAIN.items()
    }
    assert len(want) == len(x) == 30
    for image, label in zip(x, y):
        assert sorted(want[image.permute(1, 2, 0).numpy().tobytes()]) == sorted(
            shapes.NAMES[i] for i in label.nonzero()[:, 0]
        )
    x, _ = data.load_raw(
        "iclevr", "all", size=24, crop=True
    )  # the middle square is 24 px wide already: not one pixel changes
    want = {np.asarray(Image.open(pictures / f).convert("RGB"))[:, 4:28].tobytes() for f in TRAIN}
    assert {image.permute(1, 2, 0).numpy().tobytes() for image in x} == want
    assert len(kept()) == 2 and [
        len(data.load_raw("iclevr", k, size=24)[1]) for k in ("train", "valid", "test")
    ] == [24, 3, 3]


def test_scenes_stay_together(iclevr):
    folder, pictures = iclevr
    scene = {
        np.asarray(
            Image.open(pictures / f).convert("RGB").resize((24, 24), Image.BILINEAR)
        ).tobytes(): f[:-6]
        for f in TRAIN
    }
    parts = [
        {
            scene[v.permute(1, 2, 0).numpy().tobytes()]
            for v in data.load_raw("iclevr", k, size=24)[0]
        }
        for k in ("train", "valid", "test")
    ]
    assert [len(p) for p in parts] == [8, 1, 1] and len(set.union(*parts)) == 10


def spoil(name, content):
    def do(folder, pictures):
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))

    return do


FIRST = "CLEVR_train_000000_0.png"


def half(folder, pictures):
    (pictures / FIRST).write_bytes((pictures / FIRST).read_bytes()[:200])


def no_picture(folder, pictures):
    (pictures / FIRST).write_text("not a picture")


def gone(folder, pictures):
    (pictures / FIRST).unlink()


def no_json(folder, pictures):
    (folder / "train.json").unlink()


@pytest.mark.parametrize(
    "how, said",
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
        (
            spoil("train.json", TRAIN | {"../../secret.png": ["red cube"]}),
            "'../../secret.png' is no plain name",
        ),
        (spoil("train.json", TRAIN | {"/etc/secret.png": ["red cube"]}), "is no plain name"),
        (spoil("train.json", TRAIN | {"..\\secret.png": ["red cube"]}), "is no plain name"),
        (
            spoil("objects.json", {n: i for i, n in enumerate(shapes.NAMES[::-1])}),
            "does not number the 24 objects",
        ),
        (spoil("objects.json", "{"), "does not number"),
    ],
)
def test_a_damaged_folder_is_named_and_nothing_is_kept(iclevr, empty, how, said):
    folder, pictures = iclevr
    Image.new("RGB", (32, 24)).save(empty / "data" / "secret.png")
    Image.new("RGB", (32, 24)).save(empty / "secret.png")
    how(folder, pictures)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(DataError, match=said) as e:
        data.load("iclevr")
    assert "load('shapes')" in str(e.value)
    assert kept() == [] and {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_without_the_folder_the_message_says_what_would_do(empty):
    assert not data.ready("iclevr")
    with pytest.raises(DataError, match=r"train.json is missing(.|\n)*load\('shapes'\)"):
        data.load("iclevr")


def test_without_any_file_the_stand_in_draws_its_own(empty):
    x, y = data.load("shapes", "all", size=16, n_scenes=20)
    assert (
        x.shape == (60, 3, 16, 16)
        and y.sum(1).bincount().tolist() == [0, 20, 20, 20]
        and -1 <= x.min() < x.max() <= 1
    )
    row = data.catalog().query('name == "shapes"').iloc[0]
    assert (
        "stands in for i-CLEVR" in row.source
        and "drawn alike" in row.source
        and row.images == 18_009
        and row.classes == 24
    )
    assert [len(a) for a in shapes.asked("test")[0]] == [1] * 6 + [2] * 12 + [3] * 14
    before = kept()
    again = data.load("shapes", "all", size=16, n_scenes=20)[0]
    assert (again == x).all() and kept() == before != []
    (settings().data / "cache" / before[0]).write_bytes(b"cut")
    assert (data.load("shapes", "all", size=16, n_scenes=20)[0] == x).all()
