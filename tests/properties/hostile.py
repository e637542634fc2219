"What the cases are called with besides numbers and names."

import inspect
from importlib import import_module

import torch
from fastai.callback.core import Callback, event
from hypothesis import strategies as st

FASTAI = "fastai calls it, in a training whose parts were checked when they were made"


def rarely(good, hostile):
    "A good value five times in six: of many arguments most have to be good."
    return st.integers(0, 5).flatmap(lambda k: hostile if k == 3 else good)


def mostly(value, hostile):
    "One value five times in six."
    return rarely(st.just(value), hostile)


def above(*values):
    "Whole numbers above what is documented."
    return st.sampled_from((*values, 10**12, 10**30))


def noise(*shape, seed=0):
    "Numbers of a normal distribution, clipped to [-1, 1]."
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).clamp(-1, 1)


def _variants(x):
    "Float tensors that are none of what `x` is; each is one fault."
    broken = x.clone()
    broken.view(-1)[0] = torch.nan
    return [x.half(), x.double(), (x * 9).long(), (255 * x).byte(), x > 0, 50 * x, broken]


def floats(*shape):
    "A float tensor, and others: of another type, empty, with other dimensions, with NaN."
    x = noise(*shape)
    return st.sampled_from([x, x, x, *_variants(x), x[:0], x[0], x[None], x[:1], x[..., :0]])


def images(n=4, c=1, size=8):
    "Images, and what is no batch of images in [-1, 1]."
    return floats(n, c, size, size) | st.sampled_from([noise(n, 2, size, size)])


def pixels(n=4, c=1, size=8):
    "Images as bytes, and what is none."
    x = (127 * (noise(n, c, size, size) + 1)).byte()
    others = [x.float(), x.long(), x > 9, x.half(), x[:0], x[0], x[None], x[:1], x[:, :0]]
    return st.sampled_from([x, x, x, *others])


def labels(n=4, classes=3):
    "Class indices, and what are none: out of range, not whole, too few."
    y = torch.arange(n) % classes
    others = [y - 1, y + classes, y.float(), y > 0, y[:-1], y[:, None, None], y[:0], y.half()]
    return st.sampled_from([y, y, y, y.int(), y.byte(), *others])


def fastai_calls(*modules):
    "A reason for each method of a callback that fastai calls while it trains."
    found = {}
    for module in modules:
        for name, cls in vars(import_module(f"genda.{module}")).items():
            if inspect.isclass(cls) and issubclass(cls, Callback) and cls.__module__[6:] == module:
                events = [key for key in vars(cls) if hasattr(event, key) and key[0] != "_"]
                found.update({f"{module}.{name}.{key}": FASTAI for key in events})
    return found
