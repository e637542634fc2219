"What makes a stored figure stale, and where figures are written, in a scratch project."

import json

import pytest

from genda import results
from genda.training.tracking import code_hash, record, study_row

LESSON = """from genda.core import budget
from genda.toy import train
hp = budget(steps=1000, bs=48, smoke=dict(steps=SMOKE), full=dict(bs=128))
loss = train(hp.steps)"""
TOY = """from .core import budget

def train(steps):
    numbers = budget(lr=LR, smoke=dict(lr=SMOKE))
    return steps * numbers.lr
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    "A project with one lesson and one module; returns what writes both anew."
    (tmp_path / "settings.ini").write_text(
        "[genda]\ndata = data\nmodels = models\nresults = results\nseed = 42\nbudget = lesson\n"
    )
    (tmp_path / "nbs").mkdir()
    (tmp_path / "package").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("GENDA_BUDGET", "GENDA_RESULTS", "GENDA_SET"):
        monkeypatch.delenv(name, raising=False)
    core = results.PACKAGE / "core.py"
    (tmp_path / "package" / "core.py").write_text(core.read_text(encoding="utf-8"))
    monkeypatch.setattr(results, "PACKAGE", tmp_path / "package")

    def write(lesson_smoke=50, toy_smoke=0.1, toy_lr=0.5):
        source = LESSON.replace("SMOKE", str(lesson_smoke))
        nb = dict(cells=[dict(cell_type="code", source=source.splitlines(keepends=True))])
        (tmp_path / "nbs" / "01_toy.ipynb").write_text(json.dumps(nb))
        toy = TOY.replace("SMOKE", str(toy_smoke)).replace("LR", str(toy_lr))
        (tmp_path / "package" / "toy.py").write_text(toy)
        results._top.cache_clear()

    write()
    yield write
    results._top.cache_clear()


def test_a_smoke_number_does_not_change_the_fingerprint_of_a_lesson(project):
    before = {name: code_hash("01_toy", name) for name in ("smoke", "lesson", "study", "full")}
    assert before["lesson"] == before["study"], "the same numbers"
    assert len(set(before.values())) == 3
    project(lesson_smoke=20)  # in the notebook
    assert code_hash("01_toy", "lesson") == before["lesson"]
    assert code_hash("01_toy", "full") == before["full"]
    assert code_hash("01_toy", "smoke") != before["smoke"]
    project(toy_smoke=0.2)  # in a function that the notebook reaches
    assert code_hash("01_toy", "lesson") == before["lesson"]
    assert code_hash("01_toy", "smoke") != before["smoke"]


def test_a_number_of_the_lesson_changes_its_fingerprint(project):
    before = code_hash("01_toy", "lesson")
    project(toy_lr=0.4)
    assert code_hash("01_toy", "lesson") != before


def test_a_changed_run_does_not_overwrite_the_figures(project, tmp_path, monkeypatch, capsys):
    record("01_toy", dict(loss=1))
    stored = (tmp_path / "results" / "01_toy.json").read_text()
    monkeypatch.setenv("GENDA_SET", "steps=200")
    record("01_toy", dict(loss=2))
    assert "nothing is written to results/" in capsys.readouterr().out
    monkeypatch.setenv("GENDA_RESULTS", str(tmp_path / "results"))  # the same folder by name
    record("01_toy", dict(loss=2))
    assert (tmp_path / "results" / "01_toy.json").read_text() == stored
    monkeypatch.setenv("GENDA_RESULTS", str(tmp_path / "mine"))
    record("01_toy", dict(loss=2))
    mine = json.loads((tmp_path / "mine" / "01_toy.json").read_text())
    assert (mine["figures"], mine["changes"]) == (dict(loss=2), dict(steps=200))


def double(x):
    return dict(y=2 * x)


def test_a_changed_run_stores_no_row(project, tmp_path, monkeypatch):
    monkeypatch.setenv("GENDA_BUDGET", "study")
    monkeypatch.setenv("GENDA_SET", "steps=200")
    assert study_row("01_toy", "double", double, x=2)["figures"] == dict(y=4)
    assert not (tmp_path / "results").exists()
    monkeypatch.delenv("GENDA_SET")
    study_row("01_toy", "double", double, x=2)
    assert (tmp_path / "results" / "study" / "01_toy" / "double.json").is_file()


def test_a_row_is_compared_at_the_budget_that_made_it(project, monkeypatch):
    monkeypatch.setenv("GENDA_BUDGET", "study")
    study_row("01_toy", "double", double, x=2)
    monkeypatch.setenv("GENDA_BUDGET", "smoke")
    assert not study_row("01_toy", "double", double, x=2)["stale"]


def test_modules_in_folders_are_followed(project, tmp_path):
    package = tmp_path / "package"
    (package / "data").mkdir()
    (package / "data" / "__init__.py").write_text("from .faces import draw\n")
    (package / "data" / "faces.py").write_text(
        "from ..core import lookup\n\ndef draw(name):\n    return lookup('face', name, {})\n"
    )
    (reached,) = [s for s in results._reached([("data", "draw")]) if "def draw" in s]
    assert "lookup" in reached
    assert any("def lookup" in s for s in results._reached([("data.faces", "draw")]))
