"Calls with good and hostile arguments: each works as documented, or is refused by name."

import math
import os
import re
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

import genda

PACKAGE = Path(genda.__file__).parent
EXAMPLES = int(os.environ.get("GENDA_EXAMPLES", "200"))  # calls of a function; thousands at night
CASES = {}  # name of a function -> its Case
IMAGES = {"x", "x0", "xt", "xT"}  # one and the same to who gives them
NO_NUMBERS = (None, "3", True, math.nan, math.inf, -math.inf, [1], 2.5)


@dataclass
class Case:
    "One function, and what it is called with."

    function: object
    arguments: dict  # name of a parameter -> a strategy
    examples: int = EXAMPLES
    holds: object = None  # (result, **arguments): asserts what is documented of a result
    others: tuple = ()  # further documented errors, such as FileNotFoundError
    says: tuple = ()  # what a message may call an argument instead of its name
    seen: dict = field(default_factory=lambda: dict(worked=0, refused=0))


def case(name, function, /, examples=1.0, holds=None, others=(), says=(), **arguments):
    "Add a case; `examples` is a share of the usual number, for what takes long."
    calls = max(10, int(examples * EXAMPLES))
    CASES[name] = Case(function, arguments, calls, holds, others, says)


def whole(low, high):
    "Whole numbers that will do, and what is none or lies outside."
    return st.integers(low, high) | st.integers(-3, low - 1) | st.sampled_from(NO_NUMBERS)


def number(low, high):
    "Numbers that will do, and what is none or lies outside."
    return st.floats(low, high) | st.sampled_from((low - 1, -1e30, *NO_NUMBERS))


def name_of(*known):
    "Names that are known, and what is none."
    return st.sampled_from(known) | st.sampled_from(("", "nonsense", None, 3, [known[0]]))


def made(*makers):
    "One of several values, each made anew by a function without arguments."
    return st.sampled_from(makers).map(lambda make: make())


def values(thing):
    "All numbers in what a function gave, as float64 arrays."
    if isinstance(thing, Tensor):
        if thing.dtype.is_floating_point:
            yield thing.detach().double().cpu().numpy()
    elif isinstance(thing, np.ndarray) and thing.dtype.kind == "f":
        yield thing.astype(float)
    elif isinstance(thing, (float, np.floating)):
        yield np.array(float(thing))
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from values(value)
    elif isinstance(thing, (list, tuple)):
        for value in thing:
            yield from values(value)


def has_nan(thing):
    return any(np.isnan(array).any() for array in values(thing))


def refused_well(error, arguments, says=()):
    "Why a refusal is none that helps; None for a good one."
    text = str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    file = Path(last.filename)
    if PACKAGE not in file.parents or not last.line.startswith("raise"):
        return f"raised in {file.name}, line {last.lineno}, not by a check of ours"
    if "\n" in text:
        return "more than one line"
    if len(text) > 500:
        return f"{len(text)} characters"
    if not names_one(text, arguments) and not any(word in text for word in says):
        return f"names none of {', '.join(arguments)}"
    return None


def names_one(text, arguments):
    """Whether a message names an argument, such as 'xT' or 'prediction' for predict.

    What `lookup` says, as "unknown network 'nonsense'", does so by its value; images are called
    x0 or xt by what works on them.
    """
    if IMAGES & {*arguments} and any(re.search(rf"\b{name}\b", text) for name in IMAGES):
        return True
    for name, value in arguments.items():
        ending = r"\w*" if len(name) > 4 else ""  # 'predict' is named by 'prediction'
        if re.search(rf"\b{re.escape(name)}{ending}\b", text, re.IGNORECASE):
            return True
        if re.match(rf"unknown [^:]+ {re.escape(repr(value))}: one of", text):
            return True
    return False


def call(it, arguments):
    "One call, and what must hold of it."
    shown = {
        k: v if not isinstance(v, Tensor) else (v.dtype, v.shape) for k, v in arguments.items()
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = it.function(**arguments)
    except (ValueError, TypeError, *it.others) as error:
        why = refused_well(error, arguments, it.says)
        assert why is None, f"{shown}: {type(error).__name__}: {error} ({why})"
        it.seen["refused"] += 1
        return
    it.seen["worked"] += 1
    assert has_nan(arguments) or not has_nan(result), f"{shown} gave NaN"
    if it.holds is not None:
        assert it.holds(result, **arguments) in (None, True), f"{shown} gave {result}"


def run(name):
    "All calls of a case; among them some that work and some that are refused."
    it = CASES[name]

    @settings(
        max_examples=it.examples,
        deadline=None,
        database=None,
        derandomize=EXAMPLES <= 200,  # CI tries the same calls each time, the night other ones
        suppress_health_check=list(HealthCheck),
    )
    @given(st.fixed_dictionaries(it.arguments))
    def many(arguments):
        call(it, arguments)

    many()
    assert it.seen["worked"], "no call worked: nothing was shown"
