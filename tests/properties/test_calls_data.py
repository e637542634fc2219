"The data sets of the course, called with good and hostile arguments."

import numpy as np
import pytest
import torch
from cases import CASES, case, made, name_of, number, run, whole
from hostile import FASTAI, above, floats, images, labels, mostly, pixels, rarely
from hypothesis import strategies as st
from PIL import Image

from genda.data import (
    archives,
    clevr,
    digits,
    domains,
    downloads,
    faces,
    parts,
    photos,
    raycast,
    registry,
    splits,
)

MODULES = [
    *(f"data.{name}" for name in ("parts", "splits", "registry", "domains", "digits", "faces")),
    *(f"data.{name}" for name in ("raycast", "clevr", "photos", "archives", "downloads")),
]
FILES = (
    "reads or fetches files: tests/test_formats.py, test_folder_faults.py, test_shapes_faults.py"
)
RENDERER = "called for every ray, by functions that check"
EXEMPT = {
    "data.splits.ImageData.new_empty": FASTAI,
    "data.splits.ImageData.visible": FASTAI,
    "data.splits.ImageData.decode": FASTAI,
    "data.splits.ImageData.name": FASTAI,
    "data.splits.BatchDL.create_batches": FASTAI,
    "data.splits.BatchDL.decode": FASTAI,
    "data.splits.BatchDL.show_batch": FASTAI,
    "data.splits.PairData.new_empty": FASTAI,
    "data.splits.PairData.visible": FASTAI,
    "data.splits.PairDL.create_batches": FASTAI,
    "data.registry.catalog": "takes no arguments",
    "data.registry.list_sets": "takes no arguments",
    "data.domains.pairs": "takes no arguments",
    "data.digits.digit_set": "takes no arguments",
    "data.digits.photo_files": "takes no arguments",
    "data.digits.number_fonts": "takes no arguments",
    "data.clevr.read_lists": FILES,
    "data.clevr.read_iclevr": FILES,
    "data.photos.read_attributes": FILES,
    "data.photos.read_celeba": FILES,
    **{f"data.archives.{name}": FILES for name in archives.__all__},
    **{f"data.downloads.{name}": FILES for name in downloads.__all__ if name[0].islower()},
    "data.downloads.DataError": "an error",
    "data.raycast.Thing": "a namedtuple",
    "data.raycast.Scene": "a namedtuple",
    "data.raycast.ball": RENDERER,
    "data.raycast.slab": RENDERER,
    "data.raycast.half_height": RENDERER,
    "data.raycast.enter": RENDERER,
    "data.raycast.normal": RENDERER,
    "data.raycast.intersect": RENDERER,
    "data.raycast.light": RENDERER,
    "data.raycast.openness": RENDERER,
    "data.raycast.mirrored": RENDERER,
    "data.raycast.trace": RENDERER,
    "data.clevr.framed": RENDERER,
}

# Two small sets with the same classes, and their reader.
X = torch.randint(256, (60, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
Y = torch.arange(60) % 3


def read(split, turned=False):
    x, y = parts.take_split(X, Y, split)
    return (x.flip(3) if turned else x).numpy(), y.numpy()


@pytest.fixture(autouse=True, scope="module")
def small_sets():
    for name in ("small_a", "small_b"):
        registry.register(name, "generated", 60, 8, 3, "made here", "CC0")(read)
    yield
    del registry.SETS["small_a"], registry.SETS["small_b"]


def seeds():
    return whole(0, 9) | above(2**32)


def sets():
    return mostly("small_a", name_of("small_a"))


def data(n=6):
    return splits.ImageData(X[:n], Y[:n], ["a", "b", "c"])


SPLITS = name_of("train", "valid", "test")
JOINED = mostly("train", name_of("train", "valid+test", "all", "train+train"))
SEED = mostly(0, seeds() | st.none())
OF_SET = dict(
    size=mostly(8, whole(1, 20) | above(4097)),
    n=mostly(3, whole(1, 6)),
    channels=mostly(1, st.sampled_from([1, 3, 2, 0, None, "3", True, [1], 1.5])),
    seed=SEED,
)


# splits
def to_signed_holds(result, x):
    assert x.dtype != torch.uint8 or not x.numel() or result.abs().max() <= 1


case("data.splits.to_signed", splits.to_signed, holds=to_signed_holds, x=pixels() | floats(3))


def to_bytes_holds(result, x):
    assert result.dtype == torch.uint8 and result.shape == x.shape


case("data.splits.to_bytes", splits.to_bytes, holds=to_bytes_holds, x=images() | pixels())


def stratified_holds(result, y, n, seed):
    assert len(set(result.tolist())) == len(result) == (len(y) if n is None else n)


case(
    "data.parts.stratified",
    parts.stratified,
    holds=stratified_holds,
    y=made(lambda: [1, 2, 1], lambda: Y, lambda: Y.numpy() > 1, lambda: Y.float(), lambda: [])
    | made(lambda: torch.zeros(4, 2), lambda: ["a", "b"], lambda: 3, lambda: [0.0, np.nan]),
    n=mostly(None, whole(0, 3) | above(61)),
    seed=mostly(1, seeds()),
)


def take_split_holds(result, x, y, split, published):
    assert len(result[0]) == len(result[1])


case(
    "data.parts.take_split",
    parts.take_split,
    holds=take_split_holds,
    x=mostly(X, st.sampled_from([X[:50], X[:0]])),
    y=mostly(Y, st.sampled_from([Y[:50], Y.float(), torch.zeros(60, 2)])),
    split=SPLITS,
    published=st.booleans(),
)


case("data.splits.check_bytes", splits.check_bytes, x=pixels() | floats(3))
case("data.parts.check_seed", parts.check_seed, seed=seeds() | st.lists(seeds(), max_size=2))


def resize_holds(result, x, size):
    assert result.shape == (*x.shape[:2], size, size) and result.dtype == torch.uint8


case(
    "data.splits.resize",
    splits.resize,
    holds=resize_holds,
    x=rarely(pixels(), floats(3)),
    size=whole(1, 20) | above(4097),
)
case(
    "data.splits.ImageData",
    splits.ImageData,
    x=pixels(),
    y=labels(),
    vocab=st.just(["a", "b", "c"]),
)
case(
    "data.splits.BatchDL",
    lambda bs, shuffle, drop_last: next(
        iter(splits.BatchDL(data(), bs, shuffle, drop_last=drop_last)), None
    ),
    bs=whole(1, 9),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
)
case(
    "data.splits.leaves_last_out",
    splits.leaves_last_out,
    n=whole(1, 9),
    bs=whole(1, 9),
    drop_last=st.booleans(),
)
case("data.splits.PairData", lambda xt: splits.PairData(data(), xt)[[0, 7]], xt=pixels())
case(
    "data.splits.PairDL",
    lambda bs, shuffle: next(iter(splits.PairDL(splits.PairData(data(), X), bs, shuffle))),
    bs=whole(1, 9),
    shuffle=st.booleans(),
)


# registry
def registered(classes, name):
    try:
        return registry.register(name, "generated", 60, 8, classes, "", "")(read)
    finally:
        registry.SETS.pop(name, None)


PATHS = st.sampled_from(["/no/such/folder", "a\0b", "~nobody/x", "  ", "tiny"])
case(
    "data.registry.register",
    registered,
    classes=whole(1, 9),
    name=st.just("small_c"),
)
case("data.registry.ready", registry.ready, name=name_of("mnist5k", "mnist"))
case(
    "data.registry.as_folder",
    registry.as_folder,
    others=(FileNotFoundError,),
    name=name_of("faces") | PATHS,
    known=st.just(["faces"]),
)
case(
    "data.registry.find_set",
    registry.find_set,
    others=(FileNotFoundError,),
    name=name_of("faces") | PATHS,
)


def load_raw_holds(result, n, size, **_):
    x, y = result
    side = size or 8
    assert x.shape[2:] == (side, side) and x.dtype == torch.uint8
    assert len(x) == len(y) and n in (None, len(x))


def load_holds(result, n, **_):
    x, y = result
    assert len(x) == len(y) and n in (None, len(x)) and x.abs().max() <= 1


case(
    "data.registry.load_raw",
    registry.load_raw,
    holds=load_raw_holds,
    name=sets(),
    split=JOINED,
    turned=st.booleans(),
    **OF_SET,
)
case("data.registry.load", registry.load, holds=load_holds, name=sets(), split=JOINED, **OF_SET)
case("data.registry.check_apart", registry.check_apart, train=JOINED, valid=SPLITS)
LOADERS = dict(
    bs=mostly(4, whole(1, 9)),
    n_valid=mostly(3, whole(1, 6)),
    train=JOINED,
    valid=mostly("valid", SPLITS),
    drop_last=st.booleans(),
)
case(
    "data.registry.dls",
    lambda **arguments: registry.dls(**arguments).one_batch(),
    examples=0.5,
    name=sets(),
    **OF_SET,
    **LOADERS,
)

# domains
KINDS = st.sampled_from([["a", "b"], ["b", "a"], ["a"], [], [str(i) for i in range(99)]])
case(
    "data.domains.same_classes",
    domains.same_classes,
    says=("classes",),
    a=st.just("one"),
    p=KINDS,
    b=st.just("other"),
    q=KINDS,
)
BOTH = dict(source=sets(), target=mostly("small_b", name_of("small_b", "small_a", "faces")))
case(
    "data.domains.check_pair",
    domains.check_pair,
    says=("a name or a folder", "classes", "same images"),
    **BOTH,
)
case(
    "data.domains.domain_dls",
    lambda **arguments: domains.domain_dls(**arguments).one_batch(),
    examples=0.5,
    says=("a name or a folder", "classes", "same images"),
    **BOTH,
    **OF_SET,
    **LOADERS,
)
PAIR = name_of("small_a-small_b", "faces avataaars-peeps") | st.sampled_from(["-", "a b c", "x-y"])
case("data.domains.pair_sets", domains.pair_sets, name=PAIR)
case(
    "data.domains.pair_dls",
    lambda name, bs: domains.pair_dls(name, bs).one_batch(),
    examples=0.3,
    name=mostly("small_a-small_b", PAIR.filter(lambda name: "faces" not in str(name))),
    bs=whole(1, 9),
)


# digits
def align_digits_holds(result, x, size):
    assert result.shape == (*x.shape[:2], size, size)


case(
    "data.digits.align_digits",
    digits.align_digits,
    holds=align_digits_holds,
    x=rarely(pixels(), floats(3)),
    size=whole(1, 30) | above(4097),
)
PHOTO = np.arange(16 * 12 * 3, dtype=np.uint8).reshape(16, 12, 3)
case(
    "data.digits.blend",
    digits.blend,
    digits=rarely(pixels(), pixels(4, 3)),
    photos=mostly(
        [PHOTO], st.sampled_from([[], [PHOTO[:4]], [PHOTO[..., 0]], [PHOTO[:0]], [PHOTO, PHOTO]])
    ),
    seed=mostly(0, seeds() | st.just([1, 2])),
)
case(
    "data.digits.street_number",
    lambda **arguments: digits.street_number(fonts=digits.number_fonts()[:2], **arguments),
    examples=0.3,
    digit=whole(0, 9),
    photos=st.just([np.zeros((80, 90, 3), np.uint8)]),
    size=mostly(8, whole(4, 40)),
    seed=mostly(0, seeds() | st.just([1, 2])),
)

# faces
STYLE = mostly("avataaars", name_of("avataaars", "peeps"))
MODE = mostly("celeba", name_of("celeba", "independent"))
FACE = faces.attribute_vector("Bald", "No_Beard")
case(
    "data.faces.attribute_vector",
    lambda names: faces.attribute_vector(*names),
    says=("attribute",),
    names=st.lists(mostly("Bald", name_of(*faces.ATTRIBUTES)), max_size=4),
)
case(
    "data.faces.rates",
    faces.rates,
    holds=lambda result, **_: np.testing.assert_allclose(result.sum(), 1),
    mode=MODE,
    coloured=st.booleans(),
)
case(
    "data.faces.draw_attributes",
    faces.draw_attributes,
    holds=lambda result, n, **_: result.shape == (n, 12),
    n=mostly(3, whole(1, 9)),
    mode=MODE,
    coloured=st.booleans(),
    seed=mostly(0, seeds() | st.just([1, 2])),
)
case("data.faces.credit", faces.credit, examples=0.2, style=name_of("avataaars", "peeps"))
case(
    "data.faces.draw_face",
    faces.draw_face,
    examples=0.3,
    says=("attributes", "a face", "exclude each other"),
    holds=lambda result, size, **_: result.shape == (size, size, 3),
    y=mostly(
        FACE, st.sampled_from([FACE * 0, FACE * 0 + 1, FACE[:3], [], None, FACE * np.nan, "Bald"])
    ),
    style=STYLE,
    size=mostly(8, whole(8, 16) | above(1025)),
    seed=mostly(0, seeds()),
)
case(
    "data.faces.draw_faces",
    faces.draw_faces,
    examples=0.3,
    n=mostly(1, whole(1, 3)),
    style=STYLE,
    size=mostly(8, whole(8, 16) | above(1025)),
    mode=MODE,
    coloured=st.booleans(),
    seed=mostly(0, seeds()),
    progress=st.just(False),
)

# ray casting, shapes
SCENE = clevr.draw_scene(["red cube", "blue sphere"])
EYES = [
    raycast.EYE,
    np.zeros(3, "f"),
    raycast.AIM,
    raycast.AIM + [0, 0, 1],
    np.ones(2),
    np.ones((3, 1)),
]
case("data.raycast.axes", raycast.axes, eye=st.sampled_from([*EYES, [1.0, 2, 3]]))
SIDE = whole(1, 12) | above(4097)
case(
    "data.raycast.rays",
    raycast.rays,
    holds=lambda result, h, w, **_: result.shape == (3, h * w),
    eye=mostly(raycast.EYE, st.sampled_from(EYES)),
    h=mostly(4, whole(1, 9) | above(2**17)),
    w=mostly(3, whole(1, 9) | above(2**17)),
)
RAY = np.array([[3.0, 0, 1], [-1, 0.1, 0]]).T


def meets(shape, o, d):
    near, far = raycast.stay(shape, o, d)
    return near < far


case(
    "data.raycast.stay",
    meets,
    shape=name_of("cube", "sphere", "cylinder"),
    o=st.just(RAY),
    d=st.just(-RAY),
)
case(
    "data.raycast.render",
    raycast.render,
    examples=0.5,
    scene=st.just(SCENE),
    size=mostly(8, SIDE | st.sampled_from([(4, 6), (4,), (0, 4), (4, "a"), np.int64(5)])),
    aa=mostly(1, whole(1, 2) | above(17)),
    soft=mostly(0.45, number(0, 2)),
)
SHAPES = st.lists(mostly("red cube", name_of("red cube", "blue sphere")), max_size=2)
NO_SHAPES = st.sampled_from(["red cube", None, 3])
case("data.clevr.vector", clevr.vector, names=rarely(SHAPES, NO_SHAPES))
case("data.clevr.draw_lists", clevr.draw_lists, n=whole(0, 9), seed=mostly(0, seeds()))
case(
    "data.clevr.scenes",
    clevr.scenes,
    examples=0.05,
    says=("scenes",),
    n=mostly(2, whole(1, 9) | st.none()),
)
case(
    "data.clevr.visible_shares",
    clevr.visible_shares,
    examples=0.5,
    scene=st.just(SCENE),
    size=SIDE,
)
case(
    "data.clevr.draw_scene",
    clevr.draw_scene,
    examples=0.2,
    names=rarely(st.just(["red cube"]), SHAPES | NO_SHAPES),
    seed=mostly(0, seeds() | st.sampled_from([[1, 2], [1, -1], []])),
)
case(
    "data.clevr.render_lists",
    clevr.render_lists,
    examples=0.3,
    holds=lambda result, lists, size, **_: result.shape == (len(lists), size, size, 3),
    says=("names",),
    lists=mostly([["red cube"]] * 2, st.sampled_from([[], [["nonsense"]], ["red cube"], [None]])),
    kin=mostly(None, st.sampled_from([[0, 0], [5, 6], [0], [0, 1, 2], [None, 1], [-1, 0]])),
    size=mostly(8, SIDE),
    seed=mostly(0, seeds()),
    workers=mostly(1, whole(1, 2)),
)


def by_scene_holds(result, x, **_):
    assert len(result[0]) == len(result[1])


case(
    "data.clevr.by_scene",
    clevr.by_scene,
    holds=by_scene_holds,
    x=mostly(np.zeros((30, 2)), st.just(np.zeros((29, 2)))),
    y=mostly(np.zeros(30), st.just(np.zeros(31))),
    kin=mostly(np.arange(30) // 3, st.sampled_from([np.arange(29), np.zeros(30), np.arange(0)])),
    split=SPLITS,
)
case(
    "data.clevr.condition_lists",
    clevr.condition_lists,
    examples=0.3,
    name=name_of("test", "new_test"),
)
case(
    "data.photos.crop_face",
    photos.crop_face,
    says=("face",),
    image=made(
        lambda: Image.new("RGB", (178, 218)),
        lambda: Image.new("L", (89, 109)),
        lambda: Image.new("RGB", (64, 64)),
    ),
    size=SIDE,
    crop=mostly("sde", name_of("sde", "ddim")),
)

NAMES = [name for name in CASES if name.startswith("data.")]


@pytest.mark.parametrize("name", NAMES)
def test_works_as_documented_or_is_refused_by_name(name):
    run(name)
