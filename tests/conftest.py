import ast
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from run import notebook_name, notebooks  # noqa: E402 - the folder of tools is added above

NOTEBOOKS = notebooks(ROOT)
INDEX = ROOT / "nbs/index.ipynb"
TEACHING = "1_start", "2_diffusion", "3_gan", "4_adaptation"
LESSONS = [p for p in NOTEBOOKS if p.parent.name in TEACHING]
MODULES = sorted(p for p in (ROOT / "genda").rglob("*.py") if not p.name.startswith("_"))
BUDGETS = "smoke", "lesson", "study", "full"
INI = "[genda]\ndata = data\nmodels = models\nresults = results\nseed = 1\nbudget = smoke\n"


def read(path):
    return path.read_text(encoding="utf-8")


def cells(path):
    "The cells of a notebook as (type, source, metadata)."
    return [
        (cell["cell_type"], "".join(cell["source"]), cell["metadata"])
        for cell in json.loads(read(path))["cells"]
    ]


def code(path):
    return [source for kind, source, _ in cells(path) if kind == "code"]


def prose(path):
    return [source for kind, source, _ in cells(path) if kind == "markdown"]


def exported(source):
    return any(line.startswith("#| export") for line in source.splitlines())


def module_of(path):
    "The module that a notebook exports, such as 'diffusion.process', or None."
    for source in code(path):
        for line in source.splitlines():
            if line.startswith("#| default_exp"):
                return line.split()[-1]
    return None


def module_name(path):
    "The dotted name of a module's file below genda/."
    return ".".join(path.relative_to(ROOT / "genda").with_suffix("").parts)


def tree(source):
    "The syntax tree of a cell, without the lines that only IPython understands."
    lines = [
        "pass" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines()
    ]
    return ast.parse("\n".join(lines))


def imports(source):
    "Full names that Python `source` imports, at any depth; 'genda.' stands before relative ones."
    for node in ast.walk(tree(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, ["genda" if node.level else "", node.module]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def name_of(path):
    return notebook_name(path, ROOT)


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=name_of)
each_module = pytest.mark.parametrize("path", MODULES, ids=module_name)


# Files whose tests share something slow, such as a built wheel or a killed training: one worker
# runs each of them whole. All other tests go to whichever worker is free.
WHOLE = {
    "test_browser.py",
    "test_cli_tuning.py",
    "test_notebooks.py",
    "test_package.py",
    "test_processes.py",
    "test_resume.py",
    "test_site.py",
}


@pytest.hookimpl(tryfirst=True)  # before xdist, which reads the marks in the same hook
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name in WHOLE:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
        if item.path.parent.name == "faults":  # they fork from one process, which imports for all
            item.add_marker(pytest.mark.xdist_group("faults"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    "With GENDA_NO_SKIPS a test that is skipped has failed."
    report = yield
    if report.skipped and os.environ.get("GENDA_NO_SKIPS"):
        report.outcome = "failed"
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"{item.name} was skipped, which GENDA_NO_SKIPS forbids: {why}"
    return report


def set_bf16(patch, fast):
    "Let PyTorch say that the processor is fast at bfloat16, or that it is not."
    import torch

    able = torch.cpu.get_capabilities() | dict(avx512_bf16=False, amx_bf16=False, bf16=fast)
    patch.setattr(torch.cpu, "get_capabilities", lambda: able)
    if fast:  # also where PyTorch may not use more than AVX2
        patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")


@pytest.fixture(scope="session", autouse=True)
def number_format():
    "GENDA_BF16=1 or 0: train as on a processor that is fast at bfloat16, or as on one that is not."
    wanted = os.environ.get("GENDA_BF16")
    with pytest.MonkeyPatch.context() as patch:
        if wanted:
            set_bf16(patch, wanted == "1")
        yield


ATTACKED = "attacked", "attacks", "survived whole", "resumed", "orphans left"


def pytest_terminal_summary(terminalreporter):
    "The table of what tests/faults attacked; on GitHub also on the page of the job."
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    noted = [value for r in reports for key, value in r.user_properties if key == "attack"]
    if not noted:
        return
    lines = [f"Attacks at random moments; GENDA_KILLS_SEED={noted[0][0]} repeats them.", ""]
    lines += [" | ".join(ATTACKED), " | ".join(["---"] * len(ATTACKED))]
    lines += [" | ".join(map(str, row)) for _, *row in noted]
    terminalreporter.write_sep("=", "faults")
    terminalreporter.write_line("\n".join(lines))
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page:
        with open(page, "a", encoding="utf-8") as f:
            f.write("\n".join(["", *lines, ""]))


@pytest.fixture(scope="session")
def chromium():
    "A running Chromium; tests are skipped without one, unless GENDA_BROWSER is set."
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
            first_line = error.message.splitlines()[0]
            absent(
                "no Chromium: apt install chromium, or python -m playwright install chromium "
                f"({first_line})"
            )
        yield browser
        browser.close()


@pytest.fixture
def project(tmp_path, monkeypatch):
    "An empty project, whose data folder is its own."
    (tmp_path / "settings.ini").write_text(INI)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENDA_DATA", raising=False)
    return tmp_path
