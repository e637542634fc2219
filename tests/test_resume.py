"Trainings killed with SIGKILL at random points end as if nothing had happened."

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

TRAININGS = "digits", "domains"


@dataclass
class Trainings:
    "What killed_trainings.py did."

    runs: Path  # the folder of its runs
    lines: dict  # (training, run) -> the words of that line
    log: str  # its seed and all that it printed


@pytest.fixture(scope="module")
def trainings(tmp_path_factory):
    if not hasattr(os, "fork"):
        pytest.skip("no fork and no SIGKILL on this system")
    runs = tmp_path_factory.mktemp("runs")
    seed = int.from_bytes(os.urandom(2), "big")
    variables = dict(GENDA_BUDGET="smoke", PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", GENDA_DATA="")
    done = subprocess.run(
        [sys.executable, ROOT / "tests/killed_trainings.py", runs, str(seed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | variables,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    lines = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if words and words[0] in TRAININGS:
            lines[words[0], words[1]] = words[2:]
    return Trainings(runs, lines, f"seed {seed}:\n{done.stdout}")


def end_of(run):
    "What a run wrote at its end: state, checksum, tensors."
    from safetensors import safe_open

    with safe_open(run / "end.safetensors", "pt") as f:
        names = f.keys()  # the file itself cannot be iterated over
        tensors = {name: f.get_tensor(name) for name in names}
        about = f.metadata()
    return json.loads(about["state"]), about["sha256"], tensors


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("run", ["again", "killed", "half"])
def test_ends_bit_for_bit_as_the_uninterrupted_run(trainings, name, run):
    import torch

    state, checksum, tensors = end_of(trainings.runs / name / "whole")
    other_state, other_checksum, other_tensors = end_of(trainings.runs / name / run)
    nothing = torch.zeros(0)
    differ = [k for k, v in tensors.items() if not torch.equal(v, other_tensors.get(k, nothing))]
    assert differ == [], trainings.log
    assert state == other_state, trainings.log
    assert checksum == other_checksum, trainings.log


@pytest.mark.parametrize("name", TRAININGS)
def test_it_was_killed_several_times(trainings, name):
    ends = trainings.lines[name, "killed"]
    assert len(ends) >= 2, trainings.log
    assert set(ends) == {"-9"}, trainings.log


@pytest.mark.parametrize("name", TRAININGS)
def test_a_kill_while_writing_leaves_the_old_checkpoint(trainings, name):
    lines = trainings.lines
    assert lines[name, "half"] == ["-9"], trainings.log
    # What was half written bears the number of the process that died, and one of its own.
    left = [re.sub(r"\.\d+\.[0-9a-f]{8}\.part$", ".part", file) for file in lines[name, "left"]]
    half = "checkpoint.safetensors.part"
    assert sorted(left) == ["checkpoint.safetensors", half], trainings.log
    code, begun = lines[name, "finished"]
    _, total = lines[name, "whole"]
    assert code == "0", trainings.log
    assert int(begun) < int(total), f"it must go on, not begin anew: {trainings.log}"
