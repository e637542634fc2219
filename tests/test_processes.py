"Two processes compute what one computes; one of them writes; and a killed one ends the training."

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time

import psutil
import pytest
import torch
import two_processes
from conftest import ROOT, read

from genda import cli
from genda.training import processes
from genda.training.resume import load_state

ENV = os.environ | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", PYTHONUNBUFFERED="1")
PLAN = dict(
    data="mnist5k",
    size=28,
    budget="smoke",
    seed=3,
    net=dict(name="unet", in_channels=1, channels=[8, 16], layers=1, fold=2, classes=10),
    process=dict(T=100, schedule="cosine"),
    images=2 * 32 * 30,
    n=32 * 30,
    n_valid=20,
    bs=32,
    lr=[2e-3, 1e-3],
    drop=0.1,
    decay=0.9,
)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    "What two processes found, what one found, and the folder of the two; what the two printed."
    alone, together = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    place = dict(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
    command = [sys.executable, "-W", "ignore", ROOT / "tests/two_processes.py", together / "out"]
    jobs = [
        subprocess.Popen(
            command,
            env=ENV | place | dict(RANK=str(i), LOCAL_RANK=str(i)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    two_processes.run(alone / "out")
    printed = [job.communicate(timeout=500) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], printed
    said = [out for out, _ in printed]
    return load_state(together / "out"), load_state(alone / "out"), (together, alone), said


def close(a, b, share):
    "Whether two tensors differ by at most a share of the length of the second."
    return ((a - b).norm() / b.norm()).item() < share


def test_two_halves_are_one_whole(found):
    two, one, _, _ = found
    assert len(two["grads"]) == len(one["grads"]) == 4
    assert close(two["grads"][0], one["grads"][0], 1e-5)
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-3)
    assert close(two["weights"], one["weights"], 1e-3)


def test_each_process_sees_other_images_and_noise(found):
    _, _, (together, alone), _ = found
    parts = [load_state(together / f"seen by {i}") for i in range(2)]
    whole = load_state(alone / "seen by 0")
    for name in ("xin", "t", "target"):
        first, second = (part[name].unflatten(0, (4, 64)) for part in parts)
        assert torch.equal(torch.cat([first, second], 1), whole[name].unflatten(0, (4, 128)))
        assert not torch.equal(first, second)


def test_validation_is_that_of_one_process(found):
    two, one, _, _ = found
    assert two["validation"] == pytest.approx(one["validation"], rel=1e-3)


def test_what_two_processes_draw_and_measure(found):
    two, one, _, _ = found
    assert two["drawn"].shape == (7, 1, 28, 28)
    for name in ("drawn", "guided"):
        assert (two[name] - one[name]).abs().max() < 0.02
    assert not torch.equal(two["drawn"], two["guided"])
    assert two["fd"] == pytest.approx(one["fd"], rel=1e-4)
    assert two["layer"] == one["layer"]


def test_ctrl_c_in_one_process_stops_all_after_the_same_batch(found):
    two, one, (together, _), _ = found
    assert two["stopped"] == one["stopped"] == 1
    assert (together / "stopped" / "of process 0" / "checkpoint.safetensors").is_file()


def test_only_the_first_process_writes_and_prints(found):
    _, _, (together, _), said = found
    assert "printed by 0" in said[0]
    assert said[1] == ""
    assert not list(together.glob("*/of process 1"))


def launcher():
    "The command of accelerate where it is installed, else that of PyTorch."
    if importlib.util.find_spec("accelerate"):
        command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
        command += ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
        command += ["--dynamo_backend", "no", "--main_process_port", "0"]
        return [*command, "--no_python"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*command, "--nproc-per-node", "2", "--no-python"]


def kill_second(job):
    "Kill the second process that a launcher started."
    for child in psutil.Process(job.pid).children(recursive=True):
        if child.environ().get("RANK") == "1":
            child.kill()
            return
    raise AssertionError("no second process")


def test_a_killed_process_leaves_a_checkpoint_that_one_process_goes_on_from(tmp_path, capfd):
    script = "import sys; from genda.cli import main; sys.exit(main())"
    plan = json.dumps(PLAN | dict(images=3 * PLAN["n"]))
    for name in ("run", "whole"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.json").write_text(plan, encoding="utf-8")
    words = [sys.executable, "-W", "ignore", "-c", script, "train", "--resume", "run"]
    log = tmp_path / "log"
    with log.open("w") as out:
        job = subprocess.Popen([*launcher(), *words], cwd=tmp_path, env=ENV, stdout=out, stderr=out)
    while "s in all" not in read(log) and job.poll() is None:  # more than ten batches are done
        time.sleep(0.1)
    assert job.poll() is None, read(log)
    kill_second(job)
    assert job.wait(timeout=100) != 0
    said = re.findall(r"genda train:.*\n", read(log))
    assert said == [
        "genda train: one of 2 processes has ended (killed, or out of memory); "
        "genda train --resume run goes on\n"
    ]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint.safetensors",
        "train.json",
    ]
    stopped = load_state(tmp_path / "run" / "checkpoint.safetensors")
    assert stopped["epoch"] or stopped["iter"] >= 2, "written when the process was lost"
    cli.train(resume=tmp_path / "run")
    cli.train(resume=tmp_path / "whole")
    out = capfd.readouterr().out
    assert f"going on after batch {stopped['iter'] + 1} of 30" in out
    ended, whole = (
        load_state(tmp_path / name / "checkpoint.safetensors") for name in ("run", "whole")
    )
    for state in (ended, whole):
        state["losses"] = torch.stack(state["callbacks"]["recorder.losses"])
    assert len(ended["losses"]) == 3 * 30
    assert torch.allclose(ended["losses"], whole["losses"], rtol=0.05)


@pytest.fixture
def five(monkeypatch):
    "As if there were five processes."
    monkeypatch.setattr(processes, "n_processes", lambda: 5)


def test_a_batch_that_does_not_divide_is_refused_before_anything_is_written(tmp_path, five):
    with pytest.raises(ValueError, match="32 images does not divide by 5 processes: 30 or 35"):
        cli.train("mnist5k", "lesson", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("bs", "wanted"), [(0, "the images to train with"), (100_000, "4,000")])
def test_a_batch_of_so_many_images_is_refused(tmp_path, bs, wanted):
    with pytest.raises(ValueError, match=f"--bs={bs}: 1 to {wanted}"):
        cli.train("mnist5k", out=tmp_path / "run", bs=bs)


def test_rows_that_do_not_divide_are_filled_up(five, monkeypatch):
    parts = []
    for i in range(5):
        monkeypatch.setattr(processes, "rank", lambda i=i: i)
        parts.append(processes.own_rows(torch.arange(7)))
    assert torch.cat(parts)[:7].tolist() == list(range(7))
    assert {len(part) for part in parts} == {2}


def test_other_processes_that_do_not_come_are_named(monkeypatch):
    place = dict(WORLD_SIZE="2", RANK="5", MASTER_ADDR="127.0.0.1", MASTER_PORT="no port")
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConnectionError, match=r"not found at .*:no port"), processes.joined():
        pass


def test_a_process_without_a_gpu_of_its_own_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="2 GPUs are here, too few"), processes.joined():
        pass


def test_one_process_of_several_reports_an_error(monkeypatch):
    assert processes.first_to_report(), "one alone reports"

    class Store:
        "What a meeting place counts."

        count = 0

        def add(self, name, more):
            self.count += more
            return self.count

    monkeypatch.setattr(processes, "_meeting", [Store()])
    assert [processes.first_to_report() for _ in range(3)] == [True, False, False]
