"Drawn faces: the same bytes in any order and by any number of workers, and wrong options named."

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from genda.data.faces import STYLES, attribute_vector, draw_face, draw_faces
from genda.data.registry import load, load_raw


def test_a_face_depends_on_its_own_seed_alone():
    x, y = draw_faces(12, progress=False)
    order = np.random.RandomState(0).permutation(12)

    def draw(i):
        return draw_face(y[i], seed=f"0 avataaars {i}")

    with ThreadPoolExecutor(2) as pool:
        drawn = list(pool.map(draw, order))
    assert np.array_equal(np.stack(drawn), x[order])
    few, few_y = draw_faces(5, progress=False)
    assert np.array_equal(few, x[:5])
    assert np.array_equal(few_y, y[:5])


@pytest.mark.parametrize("size", [4, 2000, 32.5])
def test_a_size_that_cannot_be_drawn_is_refused(size):
    with pytest.raises(ValueError, match="from 8 to 1024"):
        draw_face(attribute_vector("Black_Hair", "No_Beard"), size=size)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (dict(style="anime"), f"one of {', '.join(STYLES)}"),
        (dict(mode="joint"), "one of celeba, independent"),
        (dict(size=4), "from 8"),
        (dict(hat=True), "hat"),
    ],
)
def test_a_wrong_option_of_the_set_is_named(options, said):
    with pytest.raises((TypeError, ValueError), match=said):
        load("faces", **options)


def test_the_same_options_give_the_same_bytes():
    options = dict(style="personas", mode="independent", faces=20)
    x, y = load_raw("faces", "all", **options)
    again_x, again_y = load_raw("faces", "all", **options)
    assert torch.equal(x, again_x)
    assert torch.equal(y, again_y)
