"Processes of their own for the tests of faults, forked after the slow imports to be quick."

import contextlib
import multiprocessing
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import INI

PRELOAD = ["genda.cli", "genda.zoo", "genda.widgets", "genda.data.registry", "children"]

if "forkserver" not in multiprocessing.get_all_start_methods():
    pytest.skip("no fork on this system", allow_module_level=True)
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(PRELOAD)


@dataclass
class Ended:
    "How a process ended."

    code: int  # its exit code; minus the signal that ended it
    out: str
    err: str


def _life(folder, name, barrier, function, args):
    "What a forked process does: go to the folder, wait for the others, call the function."
    os.chdir(folder)
    os.environ.pop("GENDA_DATA", None)
    for number, kind in ((1, "out"), (2, "err")):
        sys.__stdout__.flush()
        os.dup2(os.open(f"{name}.{kind}", os.O_WRONLY | os.O_CREAT), number)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    if barrier:
        barrier.wait(600)
    try:
        code = function(*args) or 0
    except Exception:
        traceback.print_exc()
        code = 99
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


class Process:
    "A function that runs in a process of its own."

    def __init__(self, folder, function, *args, barrier=None):
        if not (folder / "settings.ini").exists():
            (folder / "settings.ini").write_text(INI)
        logs = folder.parent / "logs"
        logs.mkdir(exist_ok=True)
        self.logs = logs / str(len(list(logs.iterdir())))
        self.logs.with_suffix(".out").touch()
        life = (folder, self.logs, barrier, function, args)
        self.process = CONTEXT.Process(target=_life, args=life)
        self.process.start()

    def signal(self, number):
        os.kill(self.process.pid, number)

    def end(self, timeout=240):
        "Wait for its end: how it was."
        self.process.join(timeout)
        assert self.process.exitcode is not None, "it goes on for ever"
        texts = []
        for kind in ("out", "err"):
            path = Path(f"{self.logs}.{kind}")
            texts.append(path.read_text() if path.is_file() else "")
        return Ended(self.process.exitcode, *texts)


def call(folder, function, *args):
    "Call a function in a process of its own: how it ended."
    return Process(folder, function, *args).end()


def together(folder, *calls):
    "Call functions at the same moment, each in a process of its own: how they ended."
    barrier = CONTEXT.Barrier(len(calls))
    started = [Process(folder, *call, barrier=barrier) for call in calls]
    return [process.end() for process in started]


def events(n):
    "Events that processes can wait for."
    return [CONTEXT.Event() for _ in range(n)]


@pytest.fixture
def home(tmp_path):
    "An empty project."
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def one_line(text, *words):
    "Check that a text is one line that holds these words."
    assert len(text.splitlines()) == 1, text
    for word in words:
        assert str(word) in text, text


def left_over(folder):
    "Files of a folder that no reader asked for: half ones, locks and other hidden ones."
    found = [p for p in folder.rglob("*") if p.is_file()]
    return sorted(p.name for p in found if p.name.startswith(".") or p.suffix == ".part")


def half_files(folder):
    "Whether a file below a folder is being written."
    return any(name.endswith(".part") for _, _, names in os.walk(folder) for name in names)
