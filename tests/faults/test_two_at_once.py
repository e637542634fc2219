"Two processes that want the same file or folder at the same moment: nothing is mixed, nobody dies."

import hashlib
import json

import children
import processes
import test_data_faults
from processes import call, events, left_over, one_line, together
from test_data_faults import FILES

from genda.training.checkpoints import load_weights

home = processes.home  # a fixture
server = test_data_faults.server  # another


def test_two_trainings_into_one_folder(home):
    trainings = [(children.genda, "train", "--data", data) for data in ("mnist5k", "optdigits")]
    ends = together(home, *trainings)
    first, second = sorted(ends, key=lambda end: end.code)
    assert (first.code, second.code) == (0, 1), ends
    one_line(second.err, "run", "--out")
    plan = json.loads((home / "run" / "train.json").read_text())
    state, card = load_weights("model", home / "run")
    assert f"{plan['data']}:" in first.out
    assert card["data"] == plan["data"]
    assert left_over(home) == []
    assert state


def test_two_that_go_on_in_one_folder(home):
    assert call(home, children.genda, "train", "--data", "optdigits").code == 0
    ends = together(home, *[(children.genda, "train", "--resume", "run")] * 2)
    first, second = sorted(ends, key=lambda end: end.code)
    assert (first.code, second.code) == (0, 1), ends
    one_line(second.err, "run")


def test_a_folder_of_checkpoints_belongs_to_one_process(home):
    held, end = events(2)
    first, second = together(
        home, (children.resume_alone, held, end), (children.resume_too, held, end)
    )
    assert first.code == 0, first.err
    assert second.code == 99
    assert "folder" in second.err.splitlines()[-1]
    assert "another process" in second.err.splitlines()[-1]
    assert left_over(home) == []
    assert call(home, children.resume_too, held, end).code == 0, "free again"


def test_weights_and_their_card_are_of_one_process(home):
    written, done = events(2)
    ends = together(
        home, (children.save_slowly, written, done), (children.save_at_once, written, done)
    )
    assert [end.code for end in ends] == [0, 0], ends
    state, card = load_weights("net", home / "models")
    assert (state["weight"] == card["value"]).all()
    assert left_over(home) == []


def test_one_file_written_by_three(home):
    calls = [(children.write_often, home / "a" / "x.json", name) for name in "abc"]
    ends = together(home, *calls)
    assert [end.code for end in ends] == [0, 0, 0], ends
    assert json.loads((home / "a" / "x.json").read_text())[0] in "abc"
    assert left_over(home) == []


def test_mnist_fetched_by_two(home, server):
    server.requests.clear()
    resources = [(name, hashlib.md5(content).hexdigest()) for name, content in FILES.items()]
    mirror = f"http://127.0.0.1:{server.server_port}/ok/"
    ends = together(home, *[(children.fetch_mnist, mirror, resources)] * 2)
    assert [end.code for end in ends] == [0, 0], ends
    assert [end.out.splitlines()[-1] for end in ends] == ["240", "240"]
    raw = sorted(p.name for p in (home / "data" / "MNIST" / "raw").iterdir())
    assert raw == ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]
    assert set(server.requests.values()) == {1}, "each file was fetched once"
