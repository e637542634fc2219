"What holds for the exported modules: their layers, their documentation, what they import."

import ast
import importlib
import inspect
import re
import subprocess
import sys
import textwrap
import tomllib
from dataclasses import is_dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from conftest import (
    INDEX,
    MODULES,
    NOTEBOOKS,
    ROOT,
    code,
    each_module,
    each_notebook,
    imports,
    module_name,
    module_of,
    read,
)
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
EVERY_NOTEBOOK = [INDEX, *NOTEBOOKS]


def declared(*extras):
    "Distributions that the package, or one of its extras, asks for."
    asked = list(PROJECT["dependencies"])
    for extra in extras:
        asked += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(Requirement(r).name) for r in asked}


providers = lru_cache(packages_distributions)


def outside(names):
    "The distributions that provide the imported `names`, apart from Python itself and genda."
    tops = {n.split(".")[0] for n in names} - set(sys.stdlib_module_names) - {"genda", ""}
    return {provider(t) for t in tops}


def provider(top):
    "The distribution of a module; one that holds data only is asked for by name."
    try:
        if top in providers():
            return canonicalize_name(providers()[top][0])
        return canonicalize_name(distribution(top).name)
    except PackageNotFoundError:
        return f"{top} (not installed)"


def test_every_module_has_one_notebook():
    exporting = [m for m in map(module_of, NOTEBOOKS) if m]
    packages = {"data.__init__", "diffusion.__init__"}
    assert sorted(exporting) == sorted(set(exporting)), "two notebooks export one module"
    assert sorted(map(module_name, MODULES)) == sorted(set(exporting) - packages)


def test_layers_are_kept():
    "The contract of layers in pyproject.toml, by import-linter."
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_settings_and_checks_import_neither_fastai_nor_matplotlib():
    script = (
        "import sys, genda.checks, genda.settings; "
        "print([m for m in ('fastai', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_zoo_is_read_in_without_what_takes_seconds_and_without_a_warning():
    late = ("torchvision", "torch._dynamo", "dicebear", "IPython", "ipywidgets", "mlxtend")
    script = f"import sys, genda.zoo; print([name for name in {late} if name in sys.modules])"
    command = [sys.executable, "-W", "always::FutureWarning", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
    assert "FutureWarning" not in done.stderr


def test_no_string_names_a_module():
    "A registry is filled by a package that imports its members, not by strings."
    named = []
    for path in MODULES:
        for node in ast.walk(ast.parse(read(path))):
            value = getattr(node, "value", None)
            if isinstance(value, str) and re.fullmatch(r"genda\.[a-z_.]+", value):
                named.append((path.name, value))
    assert named == []


@each_module
def test_modules_import_nothing_but_dependencies(path):
    assert outside(imports(read(path))) <= declared()


@each_notebook
def test_lessons_import_nothing_but_dependencies_and_oracles(path):
    used = outside(name for source in code(path) for name in imports(source))
    tools = {"nbdev", "pytest", "build", "hatchling", "playwright", "ruff", "import-linter"}
    assert used <= declared("test") - tools


def test_no_dependency_without_a_use():
    "What the package asks for is imported by a module or a lesson."
    used = set()
    for path in MODULES:
        used |= outside(imports(read(path)))
    for path in EVERY_NOTEBOOK:
        for source in code(path):
            used |= outside(imports(source))
    assert sorted(declared() - used) == []


def public():
    for path in MODULES:
        module = importlib.import_module(f"genda.{module_name(path)}")
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if not (inspect.isfunction(thing) or inspect.isclass(thing)):
                continue
            if thing.__module__ == module.__name__:
                yield pytest.param(thing, id=f"{module_name(path)}.{name}")


@pytest.mark.parametrize("thing", list(public()))
def test_public_docstring_is_one_line(thing):
    doc = thing.__dict__.get("__doc__") if inspect.isclass(thing) else thing.__doc__
    assert doc and doc.strip() and "\n" not in doc.strip()


def commented(lines, parameter):
    "Whether a comment stands on the line of a parameter, or alone on the line above it."
    above = lines[parameter.lineno - 2].strip() if parameter.lineno > 1 else ""
    return "#" in lines[parameter.end_lineno - 1] or above.startswith("#")


def signature_of(thing):
    "The function whose parameters count; None where there is none that was written out."
    if inspect.isfunction(thing):
        return thing
    written = thing.__dict__.get("__init__")
    return written if inspect.isfunction(written) and not is_dataclass(thing) else None


@pytest.mark.parametrize("thing", list(public()))
def test_public_parameters_are_documented(thing):
    "One parameter a line, with a comment that says its shape, unit or range."
    call = signature_of(thing)
    if call is None:
        return
    lines = textwrap.dedent(inspect.getsource(call)).splitlines()
    definition = next(
        n for n in ast.walk(ast.parse("\n".join(lines))) if isinstance(n, ast.FunctionDef)
    )
    args = definition.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, [args.vararg])]
    named = [a for a in every if a.arg not in ("self", "cls") and a.arg[0] != "_"]
    assert [a.arg for a in named if not commented(lines, a)] == []
    assert len({a.lineno for a in named}) == len(named), "two parameters on one line"


def sources():
    for folder in ("genda", "tools", "bench", "docs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield pytest.param(read(path), id=path.relative_to(ROOT).as_posix())
    for path in EVERY_NOTEBOOK:
        yield pytest.param("\n".join(code(path)), id=path.relative_to(ROOT).as_posix())


UNPICKLES = (
    r"torch\.load\(|\bpickle\.load\(|\b[Ll]oad_learner\(|\.load_pickle\(|joblib\.load\("
    r"|allow_pickle\s*=\s*True|read_pickle\(|Learner\.load\(|learn\.load\("
)


@pytest.mark.parametrize("text", list(sources()))
def test_nothing_unpickles(text):
    assert re.findall(UNPICKLES, text) == []


@pytest.mark.parametrize("text", list(sources()))
def test_no_semicolons(text):
    "One statement a line; semicolons stand in strings and comments only."
    if text:
        import io
        import tokenize

        lines = ["pass" if t.lstrip().startswith(("%", "!")) else t for t in text.splitlines()]
        tokens = tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline)
        assert [t.line for t in tokens if t.type == tokenize.OP and t.string == ";"] == []
