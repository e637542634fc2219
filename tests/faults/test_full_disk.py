"A disk without room: one line that names the file, and what was there before is still there."

import children
import processes
import pytest
from PIL import Image
from processes import call, left_over, one_line

from genda.training.checkpoints import load_weights
from genda.training.resume import load_state

home = processes.home  # a fixture
TRAIN = "train", "--data", "optdigits"


def test_a_training_says_so_and_keeps_its_checkpoint(home):
    end = call(home, children.full_after, 2, *TRAIN)
    assert end.code == 1
    one_line(end.err, "run/checkpoint.safetensors", "genda train --resume run")
    assert load_state(home / "run" / "checkpoint.safetensors")["epoch"] == 1
    assert left_over(home) == []
    plan = (home / "run" / "train.json").read_bytes()
    stamp = (home / "run" / "train.json").stat().st_mtime_ns
    end = call(home, children.on_a_full_disk, 0, children.genda, "train", "--resume", "run")
    assert end.code != 0
    assert (home / "run" / "train.json").read_bytes() == plan
    end = call(home, children.full_after, 99, "train", "--resume", "run")
    assert end.code == 0, end.err
    assert "going on after batch" in end.out
    assert (home / "run" / "train.json").stat().st_mtime_ns == stamp, "not written again"
    assert load_weights("model", home / "run")[1]["data"] == "optdigits"


def test_a_training_that_cannot_write_its_weights(home):
    end = call(home, children.on_a_full_disk, 100_000, children.genda, *TRAIN)
    assert end.code == 1
    one_line(end.err, "run/", "genda train --resume run")
    assert left_over(home) == []


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif"])
def test_a_picture_that_was_there_stays(home, name):
    Image.new("L", (8, 8), 7).save(home / name)
    before = (home / name).read_bytes()
    sample = ("sample", "--label", "1", "--steps", "2", "--zoom", "8", "--out")
    for out in (name, f"new-{name}"):
        end = call(home, children.on_a_full_disk, 400, children.genda, *sample, out)
        assert end.code == 1
        one_line(end.err, out)
    assert (home / name).read_bytes() == before
    assert sorted(p.name for p in home.iterdir()) == sorted([name, "settings.ini"])


def test_lessons_are_whole_or_not_there(home):
    end = call(home, children.on_a_full_disk, 20_000, children.genda, "lab", "class")
    assert end.code == 1
    one_line(end.err, "class/")
    assert left_over(home) == []
    written = {p: p.read_bytes() for p in (home / "class").rglob("*") if p.is_file()}
    end = call(home, children.genda, "lab", "class")
    assert end.code == 0, end.err
    assert f"{len(written)} that were there kept" in end.out
    assert call(home, children.genda, "lab", "other").code == 0
    for path in (home / "other").rglob("*"):
        if path.is_file():
            copy = home / "class" / path.relative_to(home / "other")
            assert copy.read_bytes() == path.read_bytes(), path


def test_a_cache_that_cannot_be_written_leaves_nothing(home):
    end = call(home, children.on_a_full_disk, 1000, children.keep, 5000)
    assert end.code == 0, end.err
    assert "could not be kept" in end.err
    assert "thing" in end.err
    assert end.out.strip() == "[]", "not filled further"


def test_every_file_has_the_usual_rights(home):
    assert call(home, children.genda, *TRAIN).code == 0
    sample = call(home, children.genda, "sample", "--model", "run", "--steps", "2")
    assert sample.code == 0, sample.err
    assert call(home, children.keep, 10).code == 0
    (home / "mine").touch()
    usual = (home / "mine").stat().st_mode
    files = [p for p in home.rglob("*") if p.is_file()]
    assert len(files) >= 7
    assert [p.name for p in files if p.stat().st_mode != usual] == []
