"nbdev's own commands leave README.md and all else that is committed as it was."

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, read

# In place of Quarto: it writes what it is asked for where the true one does, and notes its words.
QUARTO = """#!{python}
import json, sys
from pathlib import Path

with open({log!r}, "a") as log:
    print(*sys.argv[1:], file=log)
if sys.argv[1] == "inspect":
    print(json.dumps(dict(config=dict(project=dict(type="default")))))
elif "-o" in sys.argv:
    Path(sys.argv[sys.argv.index("-o") + 1]).write_text("rendered by Quarto")
else:
    site = Path(sys.argv[sys.argv.index("--output-dir") + 1])
    site.mkdir(parents=True, exist_ok=True)
    (site / "index.html").write_text("rendered by Quarto")
"""
FILES = [
    ".gitignore",
    "pyproject.toml",
    "settings.ini",
    "README.md",
    "CONTRIBUTING.md",
    "nbs/index.ipynb",
    "nbs/5_data/3_archives.ipynb",  # writes its results at the lesson budget
    "results/5_data/3_archives.json",
]


@pytest.fixture
def project(tmp_path):
    "A repository with one notebook, whose README.md is older than its index."
    folder = tmp_path / "project"
    for name in ("genda", "tools"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    os.utime(folder / "README.md", (0, 0))
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    return folder


def git(folder, *words):
    "What git prints."
    command = ["git", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(os.name == "nt", reason="a script cannot stand in for a program on Windows")
@pytest.mark.parametrize("name", ["prepare", "readme", "docs"])
def test_a_command_of_nbdev_changes_nothing_that_is_committed(project, tmp_path, name):
    log = tmp_path / "quarto.log"
    quarto = tmp_path / "bin" / "quarto"
    quarto.parent.mkdir()
    quarto.write_text(QUARTO.format(python=sys.executable, log=str(log)))
    quarto.chmod(0o755)
    env = os.environ | dict(
        PATH=f"{quarto.parent}{os.pathsep}{os.environ['PATH']}",
        PYTHONPATH=str(project),
        OMP_NUM_THREADS="1",
    )
    for changed in ("GENDA_BUDGET", "GENDA_DATA", "GENDA_RESULTS", "GENDA_SET", "GENDA_SEED"):
        env.pop(changed, None)
    command = Path(sys.executable).parent / f"nbdev-{name}"
    done = subprocess.run([command], cwd=project, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert git(project, "diff", "--name-only") == ""
    assert git(project, "ls-files", "--others", "--exclude-standard") == ""
    assert log.exists() == (name == "docs"), "Quarto is called by nbdev-docs alone"
    if name == "prepare":
        assert "Success." in done.stdout
    if name == "docs":
        assert read(project / "_docs" / "index.html") == "rendered by Quarto"
