"What `make install` says while pip works, and when pip fails."

import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import install

TOOL = ROOT / "tools" / "install.py"


@pytest.mark.parametrize(
    "line, said",
    [
        ("Collecting torch==2.15.0 (from -c constraints.txt)", "looking up torch==2.15.0"),
        (
            "  Downloading https://somewhere/numpy-2.4.6-cp311.whl (16 MB)",
            "fetching numpy-2.4.6-cp311.whl",
        ),
        ("  Building editable for genda (pyproject.toml): started", "building genda"),
        ("Installing collected packages: a, b", "unpacking all of them"),
        ("Requirement already satisfied: pip", None),
    ],
)
def test_the_moving_line_says_what_pip_does(line, said):
    found = install.step(line)
    assert found is None if said is None else found.startswith(said)


def test_a_failure_names_its_cause_and_the_file_with_the_rest(tmp_path):
    log = tmp_path / "new" / "pip.log"
    command = [sys.executable, TOOL, log, "install", "--no-index", "surely-not-here"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == ""
    *causes, last = done.stdout.strip().splitlines()
    assert any("surely-not-here" in cause for cause in causes) and len(causes) <= 5
    assert str(log) in last and "surely-not-here" in log.read_text()
