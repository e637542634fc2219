"""Kills at random moments, full disks, read-only folders and two at once: GENDA_KILLS of them.

`make faults` asks for fifty, `make test` for a few. Each ends in a row of one table.
"""

import gzip
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zipfile import BadZipFile

import children
import numpy as np
import processes
import pytest
from PIL import Image
from processes import Process, call, half_files, left_over, one_line
from safetensors import SafetensorError
from safetensors.numpy import load_file
from test_data_faults import FILES

home = processes.home  # a fixture
KILLS = int(os.environ.get("GENDA_KILLS") or 5)
SEED = int(os.environ.get("GENDA_KILLS_SEED") or time.time_ns() % 10**6)
ROUNDS = max(1, KILLS // 10)  # of each attack that kills nobody
TRAIN = children.train_long, 640, "train", "--data"
SAMPLE = "sample", "--model", "digits", "--label", "0123456789", "--steps", "3", "--out", "a.png"
PIECE = 2**13  # bytes that the server sends at once
DAMAGED = OSError, ValueError, EOFError, SafetensorError, BadZipFile
FETCHED = FILES | {
    name.removesuffix(".gz"): gzip.decompress(content) for name, content in FILES.items()
}


class Slow(BaseHTTPRequestHandler):
    "Serves files of the MNIST format piece by piece, so that there is time to be killed."

    def log_message(self, *args):
        pass

    def do_GET(self):
        body = FILES[self.path.split("/")[-1]]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # whoever was killed reads no further
            for start in range(0, len(body), PIECE):
                self.wfile.write(body[start : start + PIECE])
                time.sleep(0.01)


@pytest.fixture(scope="module")
def mirror():
    "The address of a slow mirror of MNIST."
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(scope="module")
def calls(mirror):
    "What is attacked: what each process calls."
    resources = [(name, md5(content).hexdigest()) for name, content in FILES.items()]
    return {
        "train": (*TRAIN, "optdigits"),
        "cache": (children.keep, 4_000_000),
        "fetch": (children.fetch_by_command, mirror, resources),
        "lab": (children.genda, "lab", "class"),
        "sample": (children.genda, *SAMPLE),
    }


NAMES = "train", "cache", "fetch", "lab", "sample"


def again(name, calls, folder):
    "What a person calls after an attack."
    if name == "train" and (folder / "run" / "train.json").exists():
        return children.train_long, 640, "train", "--resume", "run"
    return calls[name]


def read_whole(path):
    "The content of a file in a form to compare; an error where it is not whole."
    if path.name in FETCHED:
        if path.read_bytes() != FETCHED[path.name]:
            raise ValueError(f"{path} is not what was fetched")
        return path.name
    if path.suffix == ".safetensors":
        return {key: a.tobytes() for key, a in load_file(path).items()}
    if path.suffix in (".json", ".ipynb"):
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {key: md5(arrays[key].tobytes()).hexdigest() for key in arrays}
    if path.suffix == ".png":
        with Image.open(path) as image:
            return image.tobytes()
    return path.read_bytes()


def visible(folder):
    "The files that a reader would take for whole, by their names from there."
    hidden = left_over(folder)
    found = [p for p in folder.rglob("*") if p.is_file() and p.name not in hidden]
    return {p.relative_to(folder).as_posix(): p for p in found}


def damaged(folder, before):
    "Files that are not whole. One that was `before` an attack has to be there still."
    names = [name for name in before if not (folder / name).is_file()]
    for name, path in visible(folder).items():
        try:
            read_whole(path)
        except DAMAGED:
            names.append(name)
    return names


def outcome(folder):
    "What a call has made, without the seconds that it took."
    made = {}
    for name, path in visible(folder).items():
        made[name] = read_whole(path)
        if name == "run/model.json":
            made[name].pop("seconds")
    made.pop("run/checkpoint.safetensors", None)  # holds the seconds, too
    return made


class Attacks:
    "Attacks on one call, one after the other, and what came of them."

    def __init__(self, name, calls, folder):
        self.name = name
        self.calls = calls
        self.folder = folder
        self.counts = Counter()
        assert call(self.place(), print).code == 0, "the first process imports for all"
        whole = self.place()
        start = time.monotonic()
        end = call(whole, *calls[name])
        self.seconds = time.monotonic() - start
        assert end.code == 0, end.err
        self.expected = outcome(whole)
        self.largest = max(p.stat().st_size for p in visible(whole).values())

    def place(self):
        "An empty project."
        folder = self.folder / f"{self.name}{len(list(self.folder.iterdir()))}" / "home"
        folder.mkdir(parents=True)
        if self.name == "sample":
            Image.new("L", (8, 8), 7).save(folder / "a.png")
        return folder

    def note(self, folder, before):
        "Look at what an attack left, go on, and look again."
        self.counts["attacks"] += 1
        bad = damaged(folder, before)
        self.counts["whole"] += not bad
        end = call(folder, *again(self.name, self.calls, folder))
        same = end.code == 0 and outcome(folder) == self.expected
        self.counts["resumed"] += same
        orphans = left_over(folder)
        self.counts["orphans"] += len(orphans)
        if bad or orphans or not same:
            print(f"{self.name}: {folder}: damaged {bad}, orphans {orphans}, {end}")

    def kill(self, rnd):
        "One kill at a random moment, or when the next half file is there after it."
        folder = self.place()
        before = list(visible(folder))
        process = Process(folder, *self.calls[self.name])
        moment = time.monotonic() + rnd.random() * self.seconds
        in_file = rnd.random() < 0.5
        while process.process.exitcode is None:
            if time.monotonic() >= moment and (half_files(folder) or not in_file):
                break
            time.sleep(0.0005)
        with suppress(ProcessLookupError):
            process.signal(signal.SIGKILL)
        if process.end().code == -signal.SIGKILL:
            self.note(folder, before)

    def fill(self, rnd):
        "One call on a disk that is full at a random size of a file."
        folder = self.place()
        before = list(visible(folder))
        size = rnd.randrange(self.largest)
        end = call(folder, children.on_a_full_disk, size, *self.calls[self.name])
        self.refused(end)
        self.note(folder, before)

    def forbid(self, _rnd):
        "One call in a folder where nothing may be written."
        folder = self.place()
        call(folder, print)  # writes what belongs to the project itself
        before = list(visible(folder))
        folder.chmod(0o555)
        end = call(folder, children.without_rights, *self.calls[self.name])
        made = set(visible(folder)) - set(before)
        folder.chmod(0o755)
        assert not made
        self.refused(end)
        self.note(folder, before)

    def refused(self, end):
        "Check what a call says that could not write: one line, or a warning where it worked."
        if self.name == "cache":
            assert end.code == 0, end
        elif end.code:
            assert end.code == 1, end
            one_line(end.err, "genda")

    def row(self, what):
        "The row of the table, and whether all is well."
        counts = self.counts
        row = [what, *(counts[key] for key in ("attacks", "whole", "resumed", "orphans"))]
        well = counts["attacks"] == counts["whole"] == counts["resumed"] and not counts["orphans"]
        return row, well


def spread(what):
    "How many of the kills are of this."
    return len(range(NAMES.index(what), KILLS, len(NAMES)))


@pytest.mark.parametrize("name", NAMES)
def test_killed_at_random_moments(name, calls, tmp_path, record_property):
    rnd = random.Random(f"{SEED} {name}")
    attacks = Attacks(name, calls, tmp_path)
    wanted = max(1, spread(name))
    for _ in range(10 * wanted):
        if attacks.counts["attacks"] < wanted:
            attacks.kill(rnd)
    row, well = attacks.row(f"{name}: kill")
    record_property("attack", [SEED, *row])
    assert attacks.counts["attacks"] == wanted
    assert well, row


@pytest.mark.parametrize("what, attack", [("full disk", "fill"), ("read-only", "forbid")])
def test_without_room(what, attack, calls, tmp_path, record_property):
    rnd = random.Random(f"{SEED} {what}")
    names = rnd.sample(NAMES, len(NAMES))[:ROUNDS]
    for name in names:
        attacks = Attacks(name, calls, tmp_path)
        for _ in range(len(range(names.index(name), ROUNDS, len(NAMES)))):
            getattr(attacks, attack)(rnd)
        row, well = attacks.row(f"{name}: {what}")
        record_property("attack", [SEED, *row])
        assert well, row


def test_two_trainings_at_random_moments(tmp_path, record_property):
    rnd = random.Random(f"{SEED} two")
    sets = "optdigits", "mnist5k"
    counts = Counter()
    for k in range(ROUNDS):
        folder = tmp_path / str(k) / "home"
        folder.mkdir(parents=True)
        first = Process(folder, *TRAIN, sets[0])
        time.sleep(3 * rnd.random() ** 2)
        second = Process(folder, *TRAIN, sets[1])
        ends = [first.end(), second.end()]
        assert sorted(end.code for end in ends) == [0, 1], ends
        one_line(max(ends, key=lambda end: end.code).err, "run")
        counts["attacks"] += 1
        plan = json.loads((folder / "run" / "train.json").read_text())
        card = json.loads((folder / "run" / "model.json").read_text())
        counts["whole"] += not damaged(folder, []) and card["data"] == plan["data"]
        counts["resumed"] += call(folder, *TRAIN[:2], "train", "--resume", "run").code == 0
        counts["orphans"] += len(left_over(folder))
    row = ["train: two at once", *(counts[key] for key in ("attacks", "whole", "resumed"))]
    record_property("attack", [SEED, *row, counts["orphans"]])
    assert counts["attacks"] == counts["whole"] == counts["resumed"]
    assert counts["orphans"] == 0
