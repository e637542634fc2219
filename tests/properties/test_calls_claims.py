"Claims: intervals of differences, of shares and by the bootstrap, with good and hostile arguments."

import numpy as np
import pytest
from cases import CASES, case, run, whole
from hypothesis import strategies as st

from genda.training.claims import bootstrap, difference, exact, mean_over_seeds, share

MODULES = ["training.claims"]
EXEMPT = {
    "training.claims.Effect": "a plain record",
    "training.claims.share_difference": "takes what share gives",
    "training.claims.by_seed": "reads stored rows: the lesson tries it",
    "training.claims.claim": "writes a file: tests/test_claims.py, and the lesson",
}
FIGURES = st.dictionaries(st.integers(0, 4), st.floats(-1e6, 1e6), max_size=5)


def around(effect, **_):
    "Whether an effect lies within its interval."
    slack = 1e-9 * max(1, abs(effect.value))
    return effect.low - slack <= effect.value <= effect.high + slack


def kept_order(effect, **_):
    return effect.low <= effect.high


case("training.claims.difference", difference, holds=around, says=("seeds",), a=FIGURES, b=FIGURES)
case(
    "training.claims.mean_over_seeds", mean_over_seeds, holds=around, says=("seeds",), found=FIGURES
)
case(
    "training.claims.exact",
    exact,
    holds=around,
    value=st.floats(-1e6, 1e6),
    n=whole(1, 50),
)
case("training.claims.share", share, holds=around, hits=whole(0, 50), n=whole(1, 50))
case(
    "training.claims.bootstrap",
    lambda draws, seed: bootstrap(np.mean, np.arange(10.0), draws=draws, seed=seed),
    examples=0.5,
    holds=kept_order,
    draws=whole(20, 40),
    seed=whole(0, 1000),
)
NAMES = [name for name in CASES if name.startswith("training.claims.")]


@pytest.mark.parametrize("name", NAMES)
def test_works_or_refuses_by_name(name):
    run(name)
