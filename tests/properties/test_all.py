"Every public function and class of genda has a case, or says in a line why it has none."

import importlib
import inspect
from pathlib import Path

import pytest

import genda

PACKAGE = Path(genda.__file__).parent
HERE = Path(__file__).parent
# Each other file here has three lists: MODULES, dotted below genda, which it takes care of; NAMES
# of its cases, "diffusion.process.GaussianDiffusion.step" or with a word behind a colon where one
# function has several; EXEMPT, such a name -> why it has no case.
AREAS = [
    importlib.import_module(path.stem)
    for path in sorted(HERE.glob("test_*.py"))
    if path.stem != "test_all"
]
EXEMPT = {
    "__main__": "the command's entry",
    "cli": "command lines are tried in tests/test_command_lines.py",
}
each_area = pytest.mark.parametrize("area", AREAS, ids=lambda area: area.__name__)


def modules():
    "All modules of the package, dotted below genda, without those that only import others."
    for path in PACKAGE.rglob("*.py"):
        if path.stem not in ("__init__", "_modidx"):
            yield ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def methods(cls):
    "Methods that a user calls: public ones of the class itself, and calling an instance."
    for name in vars(cls):
        value = getattr(cls, name)  # a class method as it is called
        if not (inspect.isfunction(value) or inspect.ismethod(value)):
            continue
        if name in ("__call__", "forward") or not name.startswith("_"):
            yield name


def public(name):
    "The public functions, classes and methods that a module defines."
    module = importlib.import_module(f"genda.{name}")
    for key in module.__all__:
        value = getattr(module, key)
        if not callable(value) or getattr(value, "__module__", None) != module.__name__:
            continue
        yield f"{name}.{key}"
        if inspect.isclass(value):
            yield from (f"{name}.{key}.{method}" for method in methods(value))


@each_area
def test_every_public_function_has_a_case(area):
    "A new function without a case is found here."
    covered = {name.split(":")[0] for name in area.NAMES} | set(area.EXEMPT)
    asked = [name for module in area.MODULES for name in public(module)]
    assert not [name for name in asked if name not in covered], "neither a case nor a reason"


@each_area
def test_no_case_or_reason_is_left_over(area):
    "A function that is gone takes its case and its reason along."
    asked = {name for module in area.MODULES for name in public(module)}
    listed = [*(name.split(":")[0] for name in area.NAMES), *area.EXEMPT]
    assert not [name for name in listed if name not in asked]
    doubled = set(area.EXEMPT) & {name.split(":")[0] for name in area.NAMES}
    assert not doubled, "a case and a reason to have none"


def test_every_module_stands_in_one_list():
    listed = [*EXEMPT, *(module for area in AREAS for module in area.MODULES)]
    assert sorted(listed) == sorted(modules())
