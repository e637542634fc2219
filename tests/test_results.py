"What makes a stored figure stale, and where figures are written, in a scratch project."

import json

import pytest

from genda.settings import settings
from genda.training import tracking
from genda.training.tracking import circumstances, code_hash, record, study_row

NOTEBOOK = "1_start/1_toy"
LESSON = """#| default_exp toy
from genda.settings import budget
from genda.toy import train
hp = budget(steps=1000, bs=48, smoke=dict(steps=SMOKE), full=dict(bs=128))
loss = train(hp.steps)"""
TOY = """from .settings import budget

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
    (tmp_path / "nbs" / "1_start").mkdir(parents=True)
    (tmp_path / "package").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("GENDA_BUDGET", "GENDA_RESULTS", "GENDA_SEED", "GENDA_SET"):
        monkeypatch.delenv(name, raising=False)
    for name in ("settings.py", "checks.py"):
        source = tracking.PACKAGE / name
        (tmp_path / "package" / name).write_text(source.read_text(encoding="utf-8"))
    monkeypatch.setattr(tracking, "PACKAGE", tmp_path / "package")

    def write(lesson_smoke=50, toy_smoke=0.1, toy_lr=0.5):
        source = LESSON.replace("SMOKE", str(lesson_smoke))
        nb = dict(cells=[dict(cell_type="code", source=source.splitlines(keepends=True))])
        (tmp_path / "nbs" / "1_start" / "1_toy.ipynb").write_text(json.dumps(nb))
        toy = TOY.replace("SMOKE", str(toy_smoke)).replace("LR", str(toy_lr))
        (tmp_path / "package" / "toy.py").write_text(toy)
        tracking._top.cache_clear()

    write()
    yield write
    tracking._top.cache_clear()


def test_a_smoke_number_does_not_change_the_fingerprint_of_a_lesson(project):
    before = {name: code_hash(NOTEBOOK, name) for name in ("smoke", "lesson", "study", "full")}
    assert before["lesson"] == before["study"], "the same numbers"
    assert len(set(before.values())) == 3
    project(lesson_smoke=20)  # in the notebook
    assert code_hash(NOTEBOOK, "lesson") == before["lesson"]
    assert code_hash(NOTEBOOK, "full") == before["full"]
    assert code_hash(NOTEBOOK, "smoke") != before["smoke"]
    project(toy_smoke=0.2)  # in a function that the notebook reaches
    assert code_hash(NOTEBOOK, "lesson") == before["lesson"]
    assert code_hash(NOTEBOOK, "smoke") != before["smoke"]


def test_a_number_of_the_lesson_changes_its_fingerprint(project):
    before = code_hash(NOTEBOOK, "lesson")
    project(toy_lr=0.4)
    assert code_hash(NOTEBOOK, "lesson") != before


def test_a_changed_run_does_not_overwrite_the_figures(project, tmp_path, monkeypatch, capsys):
    record(NOTEBOOK, dict(loss=1))
    stored = (tmp_path / "results" / "1_start" / "1_toy.json").read_text()
    monkeypatch.setenv("GENDA_SET", "steps=200")
    record(NOTEBOOK, dict(loss=2))
    assert "nothing is written to results/" in capsys.readouterr().out
    monkeypatch.setenv("GENDA_RESULTS", str(tmp_path / "results"))  # the same folder by name
    record(NOTEBOOK, dict(loss=2))
    assert (tmp_path / "results" / "1_start" / "1_toy.json").read_text() == stored
    monkeypatch.setenv("GENDA_RESULTS", str(tmp_path / "mine"))
    record(NOTEBOOK, dict(loss=2))
    mine = json.loads((tmp_path / "mine" / "1_start" / "1_toy.json").read_text())
    assert (mine["figures"], mine["changes"]) == (dict(loss=2), dict(steps=200))


def test_figures_of_another_seed_stand_beside_those_that_are_shown(
    project, tmp_path, monkeypatch, capsys
):
    record(NOTEBOOK, dict(figures_shown=["loss", "train_minutes"], loss=1.0, train_minutes=3))
    monkeypatch.setenv("GENDA_SEED", "2")
    figures = dict(figures_shown=["loss"], loss=dict(value=4.0, n=10))
    assert record(NOTEBOOK, figures)["seed"] == 2
    assert "GENDA_SEED is set: nothing is written to results/" in capsys.readouterr().out
    assert tracking.seeds_of(NOTEBOOK) == dict(loss={42: 1.0})
    monkeypatch.setenv("GENDA_RESULTS", str(tmp_path / "mine"))
    record(NOTEBOOK, figures)
    (tmp_path / "results/seeds/1_start/1_toy").mkdir(parents=True)
    mine = tmp_path / "mine/1_start/1_toy.json"
    mine.rename(tmp_path / "results/seeds/1_start/1_toy/2.json")
    assert tracking.seeds_of(NOTEBOOK) == dict(loss={42: 1.0, 2: 4.0})
    minutes = tracking.seeds_of(NOTEBOOK, ("train_minutes",))
    assert minutes == dict(train_minutes={42: 3}), "the second seed did not store it"
    tracking.show_seeds(NOTEBOOK)
    assert "loss: mean 2.5, 1 to 4, seeds 2, 42" in capsys.readouterr().out
    tracking.show_seeds("1_start/never_run")
    assert "no run of this lesson" in capsys.readouterr().out


@pytest.mark.parametrize("seed", ["-1", "2.5", "x"])
def test_a_seed_that_is_none_is_refused(project, monkeypatch, seed):
    monkeypatch.setenv("GENDA_SEED", seed)
    with pytest.raises(ValueError, match="GENDA_SEED="):
        settings()


def double(x):
    return dict(y=2 * x)


def test_a_changed_run_stores_no_row(project, tmp_path, monkeypatch):
    monkeypatch.setenv("GENDA_BUDGET", "study")
    monkeypatch.setenv("GENDA_SET", "steps=200")
    assert study_row(NOTEBOOK, "double", double, x=2)["figures"] == dict(y=4)
    assert not (tmp_path / "results").exists()
    monkeypatch.delenv("GENDA_SET")
    study_row(NOTEBOOK, "double", double, x=2)
    assert (tmp_path / "results" / "study" / "1_start" / "1_toy" / "double.json").is_file()


def test_a_row_is_compared_at_the_budget_that_made_it(project, monkeypatch):
    monkeypatch.setenv("GENDA_BUDGET", "study")
    study_row(NOTEBOOK, "double", double, x=2)
    monkeypatch.setenv("GENDA_BUDGET", "smoke")
    assert not study_row(NOTEBOOK, "double", double, x=2)["stale"]


def test_modules_in_folders_are_followed(project, tmp_path):
    package = tmp_path / "package"
    (package / "data").mkdir()
    (package / "data" / "__init__.py").write_text("from .faces import draw\n")
    (package / "data" / "faces.py").write_text(
        "from ..checks import lookup\n\ndef draw(name):\n    return lookup('face', name, {})\n"
    )
    (reached,) = [s for s in tracking._reached([("data", "draw")]) if "def draw" in s]
    assert "lookup" in reached
    assert any("def lookup" in s for s in tracking._reached([("data.faces", "draw")]))
    (package / "several.py").write_text(
        "from genda.checks import (\n    lookup,\n)\n\nfound = lookup\n"
    )
    assert any("def lookup" in s for s in tracking._reached([("several", "found")]))


def test_circumstances_name_what_was_changed(project, monkeypatch):
    assert "changes" not in circumstances()
    monkeypatch.setenv("GENDA_SET", "steps=200")
    assert circumstances()["changes"] == dict(steps=200)


ROW = """
from genda.settings import budget
hp = budget(factor=FACTOR, bs=BS)
class Scale:
    def __call__(self, x):
        return hp.factor * x
def helper(x):
    return Scale()(x)
unrelated = OTHER
"""


def scaled(x):
    return dict(y=helper(x))  # noqa: F821 - the notebook below defines it


@pytest.fixture
def row_code(project, tmp_path):
    "The fingerprint of a row whose notebook has other numbers or another cell."

    def fingerprint(factor="3", bs="8", other="1", then=""):
        cells = ROW.replace("FACTOR", factor).replace("BS", bs).replace("OTHER", other) + then
        nb = dict(cells=[dict(cell_type="code", source=[cells])])
        (tmp_path / "nbs" / "1_start" / "1_toy.ipynb").write_text(json.dumps(nb))
        return tracking._row_code(NOTEBOOK, scaled, "study")

    return fingerprint


def test_a_row_covers_what_it_uses_in_its_notebook(row_code):
    before = row_code()
    assert row_code(factor="5") != before, "a number, two calls away"
    assert row_code(then="def helper(x):\n    return x\n") != before, "a function"


def test_a_row_does_not_cover_the_rest_of_its_notebook(row_code):
    before = row_code()
    assert row_code(bs="16") == before
    assert row_code(other="2") == before
    assert row_code(then="def new(x):\n    return helper(x)\n") == before


def test_a_row_follows_the_module_that_its_notebook_exports(project, tmp_path, monkeypatch):
    def trained():
        return dict(y=train(1000))  # noqa: F821 - the notebook's module defines it

    before = tracking._row_code(NOTEBOOK, trained, "study")
    project(toy_lr=0.4)
    assert tracking._row_code(NOTEBOOK, trained, "study") != before


def test_a_row_with_a_tuple_is_not_run_again(project, monkeypatch):
    monkeypatch.setenv("GENDA_BUDGET", "study")
    runs = []

    def counted(sizes):
        runs.append(sizes)
        return dict(n=len(sizes))

    for _ in range(2):
        study_row(NOTEBOOK, "tuple", counted, sizes=(1, 2))
    assert runs == [(1, 2)]
