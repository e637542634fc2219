import ast
import json
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").rglob("[0-9]*.ipynb"))
MODULES = sorted(p for p in (ROOT / "genda").glob("*.py") if not p.name.startswith("_"))
BUDGETS = "smoke", "lesson", "study", "full"


def read(path):
    return path.read_text(encoding="utf-8")


def cells(path):
    "The cells of a notebook as (type, source, metadata)."
    return [
        (c["cell_type"], "".join(c["source"]), c["metadata"])
        for c in json.loads(read(path))["cells"]
    ]


def code(path):
    return [s for kind, s, _ in cells(path) if kind == "code"]


def prose(path):
    return [s for kind, s, _ in cells(path) if kind == "markdown"]


def exported(source):
    return any(l.startswith("#| export") for l in source.splitlines())


def module_of(path):
    "The module that a notebook exports, or None."
    names = [
        l.split()[-1] for s in code(path) for l in s.splitlines() if l.startswith("#| default_exp")
    ]
    return names[0] if names else None


def tree(source):
    "The syntax tree of a cell, without the lines that only IPython understands."
    return ast.parse(
        "\n".join("pass" if l.lstrip().startswith(("%", "!")) else l for l in source.splitlines())
    )


def imports(source):
    "Full names that Python `source` imports, at any depth; 'genda.' stands before relative ones."
    for node in ast.walk(tree(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        if isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, ["genda" if node.level else "", node.module]))
            yield base
            yield from (f"{base}.{a.name}" for a in node.names)


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)


@pytest.fixture(scope="session")
def chromium():
    "A running Chromium, the system's or Playwright's own. Without one its tests are skipped, unless GENDA_BROWSER says that there has to be one."
    absent = pytest.fail if os.environ.get("GENDA_BROWSER") else pytest.skip
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        absent("no Playwright: pip install playwright")
    with sync_playwright() as p:
        try:
            browser = p.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
        except Error as error:
            absent(
                f"no Chromium: apt install chromium, or python -m playwright install chromium ({error.message.splitlines()[0]})"
            )
        yield browser
        browser.close()
