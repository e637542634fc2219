"Trainings and lessons that a signal stops: one line, and how to go on; what a kill leaves behind."

import json
import os
import signal
import subprocess
import sys
import time

import children
import processes
import psutil
import pytest
from conftest import INI, ROOT
from processes import Process, call, left_over, one_line

from genda.checks import replace_file
from genda.training.checkpoints import load_weights
from genda.training.resume import load_state

home = processes.home  # a fixture
ENV = os.environ | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", GENDA_DATA="")
LONG = "train", "--data", "optdigits"


def wait_for(path, process):
    "Wait until a file is there."
    for _ in range(12_000):
        if path.exists():
            return
        assert process.exitcode is None, "it ended before"
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


@pytest.mark.parametrize("name, code", [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_training_that_is_told_to_end_can_go_on(home, name, code):
    training = Process(home, children.long_training, *LONG)
    file = home / "run" / "checkpoint.safetensors"
    wait_for(file, training.process)
    first = load_state(file)
    training.signal(getattr(signal, name))
    end = training.end()
    assert end.code == code, end
    one_line(end.err, "genda train --resume run")
    last = load_state(file)
    assert (last["epoch"], last["iter"]) >= (first["epoch"], first["iter"])
    assert left_over(home) == []


def test_a_script_that_is_told_to_end_leaves_a_checkpoint(home):
    end = call(home, children.end_myself, signal.SIGTERM)
    assert end.code == -signal.SIGTERM
    one_line(end.out, "SIGTERM", "folder/checkpoint.safetensors")
    saved = load_state(home / "folder" / "checkpoint.safetensors")
    assert saved["place"][0] == 3, "the batch was ended"


def test_an_ignored_hangup_stays_ignored(home):
    end = call(home, children.with_ignored, "SIGHUP", children.end_myself, signal.SIGHUP)
    assert end.code == 0, end
    assert load_state(home / "folder" / "checkpoint.safetensors")["epoch"] == 3


STOPPED_IN_IMPORT = """
import importlib.abc, signal, sys

class Stop(importlib.abc.MetaPathFinder):
    at = sys.argv[1]

    def find_spec(self, name, *rest):
        if name == self.at:
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Stop())
from genda.__main__ import main
sys.argv[1:] = ["train", "--data", "optdigits"]
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["fastcore", "torch"])
def test_ctrl_c_in_the_first_moment(home, module):
    (home / "settings.ini").write_text(INI)
    command = [sys.executable, "-c", STOPPED_IN_IMPORT, module]
    done = subprocess.run(command, cwd=home, env=ENV, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    one_line(done.stderr, "genda", "stopped")
    assert [p.name for p in home.iterdir()] == ["settings.ini"]


def test_the_installed_command_is_the_one_that_can_be_stopped():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"genda": "genda.__main__:main"}


@pytest.fixture
def course(tmp_path):
    "A course of one lesson that says when it runs, and then waits."
    (tmp_path / "settings.ini").write_text(INI)
    folder = tmp_path / "nbs" / "1_start"
    folder.mkdir(parents=True)
    source = "import pathlib, time\npathlib.Path('runs').touch()\ntime.sleep(600)"
    cell = dict(cell_type="code", id="a", metadata={}, outputs=[], execution_count=None)
    notebook = dict(cells=[cell | dict(source=source)], metadata={}, nbformat=4, nbformat_minor=5)
    (folder / "1_wait.ipynb").write_text(json.dumps(notebook))
    return tmp_path


def press_ctrl_c(command, course, started):
    "Run a command, press Ctrl-C when a file is there: how it ended."
    job = subprocess.Popen(
        command,
        cwd=course,
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    for _ in range(12_000):
        if started.exists() or job.poll() is not None:
            break
        time.sleep(0.05)
    os.killpg(job.pid, signal.SIGINT)
    out, err = job.communicate(timeout=600)
    return job.returncode, out, err


def test_ctrl_c_stops_a_lesson(course):
    run = [sys.executable, str(ROOT / "tools" / "run.py")]
    genda = [
        sys.executable,
        "-c",
        "import sys; from genda.__main__ import main; sys.exit(main())",
        "course",
    ]
    lesson = "1_wait", "--budget", "smoke"
    for command in (
        [*run, "--root", str(course), "--apart", *lesson],
        [*genda, "--lesson", *lesson],
    ):
        started = course / "nbs" / "1_start" / "runs"
        started.unlink(missing_ok=True)
        code, _, err = press_ctrl_c(command, course, started)
        assert code == 130, err
        one_line(err.strip(), "stopped", "again")


def test_a_kill_of_the_command_ends_its_lesson(course):
    command = [sys.executable, "-m", "genda", "course", "--lesson", "1_wait", "--budget", "smoke"]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    job = subprocess.Popen(command, cwd=course, env=ENV, **pipes)
    started = course / "nbs" / "1_start" / "runs"
    for _ in range(12_000):
        if started.exists() or job.poll() is not None:
            break
        time.sleep(0.05)
    below = psutil.Process(job.pid).children(recursive=True)
    assert len(below) >= 2, "what runs the lesson, and its kernel"
    job.terminate()
    try:
        _, err = job.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.kill(job.pid, signal.SIGKILL)
        for process in below:
            process.kill()
        raise
    assert job.returncode == 143, err
    one_line(err.strip(), "stopped", "again")
    assert psutil.wait_procs(below, timeout=60)[1] == []


def test_ctrl_c_before_a_lesson_runs():
    script = STOPPED_IN_IMPORT.split("from genda")[0]
    script += "sys.argv[:] = [sys.argv[2], '1_wait']\n"
    script += "import runpy\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", script, "nbclient", str(ROOT / "tools" / "run.py")]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    one_line(done.stderr.strip(), "stopped", "again")


def test_a_kill_while_weights_are_written_leaves_nothing_for_long(home):
    save = (children.die_in_write, "net.safetensors", children.save_once)
    assert call(home, *save).code == -signal.SIGKILL
    assert len(left_over(home)) >= 1, "half a file, and nobody who could remove it"
    assert call(home, children.save_once).code == 0
    assert left_over(home) == []
    assert load_weights("net", home / "models")[1]["value"] == 1


def test_a_killed_lab_is_made_whole_by_the_next(home):
    killed = (children.die_in_write, "3_ddpm", children.genda, "lab", "class")
    assert call(home, *killed).code == -signal.SIGKILL
    assert not (home / "class/nbs/2_diffusion/3_ddpm.ipynb").exists()
    assert call(home, children.genda, "lab", "class").code == 0
    assert (home / "class/nbs/2_diffusion/3_ddpm.ipynb").is_file()
    assert left_over(home) == []


def test_a_cache_loses_what_a_kill_left_in_it(home):
    end = call(home, children.die_in_cache)
    assert end.code == -signal.SIGKILL
    assert len(left_over(home)) == 1
    assert call(home, children.keep, 10).code == 0, "something else is kept"
    assert left_over(home) == []


def test_half_files_of_the_living_and_of_strangers_stay(home):
    with replace_file(home / "a.json") as mine:
        mine.write_text("not yet whole")
        strangers = [home / "a.json.part", home / "a.json.000.part", home / "b.7.part"]
        for path in strangers:
            path.write_text("mine")
        elsewhere = home / "a.json.999999999.0000beef.part"
        elsewhere.write_text("of another machine")
        with replace_file(home / "a.json") as other:
            other.write_text("whole")
        assert mine.is_file(), "its process lives"
        assert elsewhere.is_file(), "nobody here knows whether its process lives"
        os.utime(elsewhere, (0, 0))
        with replace_file(home / "a.json") as other:
            other.write_text("whole")
        assert not elsewhere.exists(), "nobody writes for so long"
        assert all(path.read_text() == "mine" for path in strangers)
