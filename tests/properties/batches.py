"Tensors that will do and tensors that will not, for the cases of functions of images."

import torch
from hypothesis import strategies as st


def _with_nan(x):
    x = x.clone()
    x.view(-1)[:1] = torch.nan
    return x


def _double(x):
    return x.double()


def _half(x):
    return x.half()


def _bfloat(x):
    return x.bfloat16()


def _fewer(x):
    return x[1:]


def _one(x):
    return x[:1]


def _empty(x):
    return x[:0]


def _thin(x):
    return x[..., :0]


def _sample(x):
    return x[0]


def _flat(x):
    return x.flatten()


def _nested(x):
    return x[None]


def _whole(x):
    return (100 * x).long()


def _bytes(x):
    return (100 * x).abs().byte()


def _bool(x):
    return x > 0


def _far(x):
    return 300 * x


def _zero(x):
    return 0 * x


# what may be done to a good batch; those that say "good" or "double" ought to work
KINDS = dict(
    double=_double,
    half=_half,
    bfloat=_bfloat,
    fewer=_fewer,
    one=_one,
    empty=_empty,
    thin=_thin,
    sample=_sample,
    flat=_flat,
    nested=_nested,
    whole=_whole,
    bytes=_bytes,
    bool=_bool,
    nan=_with_nan,
    far=_far,
    zero=_zero,
)


def _batch(shape, kind, seed):
    x = 2 * torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 1
    return x if kind == "good" else KINDS[kind](x)


def batch(*shape, without=()):
    "Float tensors of a shape in [-1, 1], and what is none."
    kinds = [kind for kind in KINDS if kind not in without]
    kinds = ["good"] * len(kinds) + kinds
    return st.builds(_batch, st.just(shape), st.sampled_from(kinds), st.integers(0, 99))


def rarely(odd, good):
    "What will do, and once in a while `odd`: for functions of many arguments."
    return st.integers(0, 7).flatmap(lambda k: odd if k == 7 else good)


def good_batch(*shape):
    return st.builds(_batch, st.just(shape), st.just("good"), st.integers(0, 99))


def labels(n, classes):
    "Classes [n] that exist, and what is none."
    good = st.lists(st.integers(0, classes - 1), min_size=n, max_size=n).map(torch.tensor)
    odd = [
        torch.zeros(n),
        torch.zeros(n, dtype=torch.bool),
        torch.zeros(n).byte(),
        torch.zeros(n).int(),
        torch.zeros(n + 1).long(),
        torch.zeros(1).long(),
        torch.zeros(0).long(),
        torch.zeros(n, 1).long(),
        torch.tensor(0),
        torch.full((n,), classes),
        torch.full((n,), -1),
        torch.full((n,), 2**62),
    ]
    return good | st.sampled_from(odd)


def steps(T, b, lowest=1):
    "Steps of a process, one or [b], and what is none."
    many = st.lists(st.integers(lowest, T), min_size=b, max_size=b).map(torch.tensor)
    odd = [
        T + 1,
        -1,
        10**12,
        2.5,
        True,
        None,
        "3",
        float("nan"),
        torch.ones(b),
        torch.ones(b, dtype=torch.bool),
        torch.ones(b).byte(),
        torch.ones(b + 1).long(),
        torch.ones(0).long(),
        torch.ones(b, 1).long(),
        torch.full((b,), T + 1),
        torch.full((b,), lowest - 1),
    ]
    return st.integers(lowest, T) | many | st.sampled_from(odd)
