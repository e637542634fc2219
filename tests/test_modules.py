"What holds for the exported modules: their order, their size, their documentation, what they import."

import ast
import importlib
import inspect
import re
import sys
import textwrap
import tomllib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

import pytest
from conftest import (
    MODULES,
    NOTEBOOKS,
    ROOT,
    code,
    each_module,
    each_notebook,
    imports,
    module_of,
    read,
)
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ORDER = [m for m in map(module_of, NOTEBOOKS) if m]
PROJECT = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]


def declared(*extras):
    "Distributions that the package, or one of its extras, asks for."
    asked = PROJECT["dependencies"] + [
        r for e in extras for r in PROJECT["optional-dependencies"][e]
    ]
    return {canonicalize_name(Requirement(r).name) for r in asked}


providers = lru_cache(packages_distributions)


def outside(names):
    "The distributions that provide the imported `names`, apart from Python itself and genda."
    tops = {n.split(".")[0] for n in names} - set(sys.stdlib_module_names) - {"genda", ""}
    return {provider(t) for t in tops}


def provider(top):
    "The distribution that provides a module; one that holds data only is not listed by Python 3.11, and is asked for by name."
    try:
        return canonicalize_name(
            providers()[top][0] if top in providers() else distribution(top).name
        )
    except PackageNotFoundError:
        return f"{top} (not installed)"


def test_every_module_has_a_notebook():
    assert sorted(p.stem for p in MODULES) == sorted(ORDER)


@each_module
def test_imports_only_modules_with_a_smaller_number(path):
    used = {
        m
        for n in imports(read(path))
        if n.startswith("genda.")
        for m in [n.split(".")[1]]
        if m in ORDER
    }
    later = sorted(m for m in used if ORDER.index(m) >= ORDER.index(path.stem))
    assert not later, f"{path.stem} imports {later}, which stand later: move the shared piece down"


@each_notebook
def test_notebooks_use_only_earlier_modules(path):
    at = NOTEBOOKS.index(path)
    later = {module_of(p) for p in NOTEBOOKS[at + 1 :]} - {None}
    used = {n.split(".")[1] for s in code(path) for n in imports(s) if n.startswith("genda.")}
    assert not used & later


@each_module
def test_modules_import_nothing_but_dependencies(path):
    assert outside(imports(read(path))) <= declared()


@each_notebook
def test_lessons_import_nothing_but_dependencies_and_oracles(path):
    used = outside(n for s in code(path) for n in imports(s))
    assert used <= declared("test") - {"nbdev", "pytest", "build", "hatchling", "playwright"}


def test_no_dependency_without_a_use():
    "What the package asks for is imported by a module or a lesson; IPython also comes in as `display`."
    used = outside(n for p in MODULES for n in imports(read(p))) | outside(
        n for p in NOTEBOOKS for s in code(p) for n in imports(s)
    )
    assert sorted(declared() - used) == []


@each_module
def test_modules_are_short(path):
    assert len(read(path).splitlines()) < 250


def public():
    for path in MODULES:
        module = importlib.import_module(f"genda.{path.stem}")
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if (
                inspect.isfunction(thing) or inspect.isclass(thing)
            ) and thing.__module__ == module.__name__:
                yield pytest.param(thing, id=f"{path.stem}.{name}")


@pytest.mark.parametrize("thing", public())
def test_public_docstring_is_one_line(thing):
    doc = thing.__dict__.get("__doc__") if inspect.isclass(thing) else thing.__doc__
    assert doc and doc.strip() and "\n" not in doc.strip()


@pytest.mark.parametrize("thing", public())
def test_public_parameters_are_documented(thing):
    "A comment on the line of each parameter of a function, or of a class's own __init__, says its shape, unit or range."
    call = thing.__dict__.get("__init__") if inspect.isclass(thing) else thing
    if not inspect.isfunction(call):
        return
    lines = textwrap.dedent(inspect.getsource(call)).splitlines()
    args = next(
        n for n in ast.walk(ast.parse("\n".join(lines))) if isinstance(n, ast.FunctionDef)
    ).args
    names = [
        a
        for a in [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, [args.vararg])]
        if a.arg not in ("self", "cls") and a.arg[0] != "_"
    ]
    assert [a.arg for a in names if "#" not in lines[a.end_lineno - 1]] == []


def sources():
    yield from (
        (p.name, read(p))
        for folder in ("genda", "tools", "bench", "docs")
        for p in sorted((ROOT / folder).glob("*.py"))
    )
    yield from ((p.name, "\n".join(code(p))) for p in NOTEBOOKS)


UNPICKLES = r"torch\.load\(|\bpickle\.load\(|\b[Ll]oad_learner\(|\.load_pickle\(|joblib\.load\(|allow_pickle\s*=\s*True|read_pickle\(|Learner\.load\(|learn\.load\("


@pytest.mark.parametrize("name, text", sources(), ids=lambda x: x if len(x) < 40 else "")
def test_nothing_unpickles(name, text):
    assert re.findall(UNPICKLES, text) == []
