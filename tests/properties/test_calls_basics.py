"Calls of the checks, of settings and of pictures."

import os
from unittest.mock import patch

import matplotlib
import numpy as np
import pytest
import torch
from batches import batch, labels
from cases import CASES, case, name_of, number, run, whole
from hypothesis import strategies as st

from genda import settings
from genda.checks import (
    check_alike,
    check_finite,
    check_images,
    check_labels,
    check_number,
    check_size,
    check_sizes,
    check_whole,
    lookup,
)
from genda.show import animate, show_grid

MODULES = "checks", "settings", "show"
FILES = "reads or writes files: tests/faults and tests/test_folder_faults.py"
EXEMPT = {
    "checks.remove_orphans": FILES,
    "checks.is_full": FILES,
    "checks.replace_file": FILES,
    "checks.write_json": FILES,
    "checks.lock": FILES,
    "checks.unlock": FILES,
    "checks.locked": FILES,
}
before = set(CASES)

odd_numbers = st.sampled_from(
    (
        torch.tensor(1),
        torch.tensor(0.5),
        torch.tensor(torch.nan),
        torch.tensor(True),
        torch.tensor(1j),
        torch.zeros(0),
        np.float64(0.5),
        np.int64(2),
        np.bool_(True),
        np.array([0.5]),
        b"1",
        1j,
        10**400,
    )
)


def whole_number(steps):
    return check_whole(steps, "steps", 1, 5)


def finite_number(rate):
    return check_number(rate, "rate", 0, 5, above=True)


def any_number(rate):
    return check_number(rate, "rate")


def labels_of(y):
    return check_labels(y, 3, 4)


def weights_of(weights):
    check_finite(dict(first=torch.zeros(2), second=weights), "weights")


def lies_within(result, steps):
    assert result is steps and 1 <= result <= 5


def is_positive(result, rate):
    assert 0 < result <= 5


def is_itself(result, x, channels=None):
    assert result is x and x.is_floating_point() and x.ndim == 4 and not x.abs().gt(1.01).any()


def exist(result, y):
    assert (
        result.dtype == torch.int64 and result.shape == (4,) and set(result.tolist()) <= {0, 1, 2}
    )


case(
    "checks.lookup",
    lookup,
    kind=st.just("thing"),
    name=name_of("one", "two"),
    table=st.just(dict(one=1, two=2)),
)
case("checks.check_whole", whole_number, steps=whole(1, 5) | odd_numbers, holds=lies_within)
case("checks.check_size", lambda size: check_size(size=size), size=whole(1, 70_000) | odd_numbers)
case(
    "checks.check_sizes",
    lambda channels: check_sizes(channels=channels),
    channels=whole(1, 70_000) | st.lists(whole(1, 9)) | st.lists(st.integers(1, 9)),
)
case("checks.check_number", finite_number, rate=number(0.1, 5) | odd_numbers, holds=is_positive)
case("checks.check_number: without bounds", any_number, rate=number(-5, 5) | odd_numbers)
case(
    "checks.check_images",
    check_images,
    x=batch(2, 3, 4, 4) | st.sampled_from((None, "x", np.zeros((2, 3, 4, 4)))),
    channels=st.sampled_from((None, 3, 1)),
    holds=is_itself,
)
case(
    "checks.check_alike",
    lambda first, second: check_alike(first=first, second=second),
    first=batch(2, 3) | st.sampled_from((None, 3.0, np.zeros((2, 3)))),
    second=batch(2, 3) | st.none(),
)
case("checks.check_labels", labels_of, y=labels(4, 3) | st.none(), holds=exist)
case("checks.check_finite", weights_of, weights=batch(2, 3))


def set_from_outside(GENDA_SET):
    with patch.dict(os.environ, GENDA_SET=GENDA_SET):
        return settings.overrides()


def numbers(smoke, steps):
    with patch.dict(os.environ, GENDA_BUDGET="smoke"):
        return settings.budget(steps=steps, smoke=smoke)


def setting_called(setting):
    return getattr(settings.settings("smoke"), setting)


def number_called(number):
    return getattr(settings.Numbers(steps=3), number)


texts = st.sampled_from(
    (
        "",
        "steps=2",
        "steps=2, channels=(8, 16)",
        "steps",
        "steps=",
        "=2",
        "2",
        "steps=2, steps=3",
        "steps=open('x')",
        "**{'steps': 2}",
        "steps=" + "(" * 1000,
        "steps=" + "-" * 10000 + "1",
        "steps=1\n2",
    )
)
names = st.sampled_from(("steps", "seed", "nonsense", "", "__wrapped__"))
case("settings.settings", settings.settings, budget=name_of("smoke", "full"), examples=0.5)
attributes = dict(others=(AttributeError,), examples=0.1)
case("settings.Settings", setting_called, setting=names, **attributes)
case("settings.Numbers", number_called, number=names, **attributes)
case(
    "settings.overrides",
    set_from_outside,
    GENDA_SET=texts | st.text(st.characters(exclude_characters="\0", codec="utf-8")),
)
case(
    "settings.budget",
    numbers,
    smoke=st.sampled_from((None, {}, dict(steps=5), dict(nonsense=5), {3: 5})),
    steps=st.integers(),
    examples=0.25,
)


def seeded(seed):
    with torch.random.fork_rng(devices=[]):
        settings.set_seed(seed)
        return torch.rand(1)


case("settings.set_seed", seeded, seed=whole(0, 2**63 - 1) | st.sampled_from((2**63, 2**70)))

matplotlib.use("agg")
texts_of_images = st.sampled_from((None, [], ["one"], ["one", "two", "three"], [3]))
case(
    "show.show_grid",
    show_grid,
    images=batch(2, 1, 4, 4),
    ncols=whole(1, 3),
    titles=texts_of_images,
    rows=texts_of_images,
    cols=texts_of_images,
    size=number(0.1, 0.5),
    examples=0.2,
)
case(
    "show.animate",
    lambda frames, **options: animate([frames, frames], **options).data,
    frames=batch(2, 1, 4, 4),
    ncols=whole(1, 3),
    fps=number(0.1, 50),
    zoom=whole(1, 3),
    alt=st.sampled_from(("a picture", "", '"><script>')),
    examples=0.5,
)

NAMES = [name for name in CASES if name not in before]


@pytest.mark.parametrize("name", NAMES)
def test_works_or_is_refused_by_name(name):
    run(name)
