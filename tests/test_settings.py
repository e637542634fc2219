"Settings are read once, and again when anything that they depend on has changed."

import os
from pathlib import Path

import pytest
import torch
from fastcore.xdg import xdg_cache_home
from PIL import Image

import genda.settings
from genda.checks import replace_file
from genda.settings import Numbers, Settings, budget, overrides, settings
from genda.show import animate

INI = "[genda]\ndata = data\nmodels = models\nresults = results\nseed = {}\nbudget = lesson\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "settings.ini").write_text(INI.format(1))
    monkeypatch.chdir(tmp_path)
    for name in ("GENDA_BUDGET", "GENDA_DATA", "GENDA_RESULTS", "GENDA_SET"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_file_is_read_once(project, monkeypatch):
    reads = []
    read = genda.settings._read_settings

    def counted(*args):
        reads.append(args)
        return read(*args)

    monkeypatch.setattr(genda.settings, "_read_settings", counted)
    assert [settings().seed for _ in range(5)] == [1] * 5
    assert len(reads) == 1


def test_a_changed_file_is_read_again(project):
    assert settings().seed == 1
    (project / "settings.ini").write_text(INI.format(2))
    os.utime(project / "settings.ini", ns=(1, 1))  # also where the clock of the disk is coarse
    assert settings().seed == 2


def test_the_environment_counts_at_each_call(project, monkeypatch):
    assert settings().budget == "lesson" and settings().data_dirs == [project / "data"]
    monkeypatch.setenv("GENDA_BUDGET", "smoke")
    monkeypatch.setenv("GENDA_DATA", str(project / "mine"))
    monkeypatch.setenv("GENDA_RESULTS", str(project / "apart"))
    s = settings()
    assert s.budget == "smoke" and s.data_dirs == [project / "mine", project / "data"]
    assert (s.results, s.kept) == (project / "apart", project / "results")


def test_relative_folders_follow_the_working_folder(project, monkeypatch):
    monkeypatch.setenv("GENDA_DATA", "mine")
    assert settings().data_dirs[0] == project / "mine"
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    assert settings().data_dirs[0] == project / "below" / "mine"
    assert settings().root == project


def test_a_nearer_file_is_found_when_it_appears(project, monkeypatch):
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    assert settings().seed == 1
    (project / "below" / "settings.ini").write_text(INI.format(3))
    assert settings().seed == 3


def test_who_changes_the_answer_changes_only_a_copy(project):
    s = settings()
    s.seed = 7
    s.data_dirs.append("elsewhere")
    assert settings().seed == 1 and settings().data_dirs == [project / "data"]


def test_away_from_any_project_the_packed_copy_answers(project):
    (project / "settings.ini").write_text("[DEFAULT]\nlib_name = other\n")  # not ours
    s = settings()
    assert s.root == xdg_cache_home() / "genda"
    assert s.data == (xdg_cache_home() / "genda" / "data").resolve()
    assert s.seed == 42


def test_a_budget_without_a_section_is_a_budget(project, monkeypatch):
    monkeypatch.setenv("GENDA_BUDGET", "study")
    assert budget(steps=9, study=dict(steps=3)).steps == 3


def test_numbers_and_settings_list_what_they_have(project):
    with pytest.raises(AttributeError, match="it has: steps"):
        _ = Numbers(steps=9).bs
    with pytest.raises(AttributeError, match="it has: seed"):
        _ = Settings(seed=1).steps


def test_an_override_counts_for_one_run(project, monkeypatch):
    assert overrides() == {}
    monkeypatch.setenv("GENDA_SET", "steps=2, channels=(8, 16)")
    assert overrides() == dict(steps=2, channels=(8, 16))
    assert budget(steps=9).steps == 2


def test_a_value_without_a_name_is_no_override(project, monkeypatch):
    for text in ("5", "steps", "steps=", "steps=x", "a=1)+(2"):
        monkeypatch.setenv("GENDA_SET", text)
        with pytest.raises(ValueError, match="write it as"):
            budget(steps=9)


def test_an_interrupted_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "made" / "file.txt"
    with replace_file(path) as part:
        part.write_text("old")
        assert not path.exists() and part.suffix == ".part"
    with pytest.raises(KeyboardInterrupt), replace_file(path) as part:
        part.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]


def test_an_animation_is_written_whole_or_not_at_all(tmp_path):
    frames = torch.zeros(3, 2, 1, 8, 8)
    for ending in (".gif", ".webp"):
        animate(frames, path=tmp_path / f"film{ending}")
        assert Image.open(tmp_path / f"film{ending}").format == ending[1:].upper()
    with pytest.raises(ValueError, match=r"one of [.]webp, [.]gif"):
        animate(frames, path=Path(tmp_path, "film.mov"))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
def test_a_byte_order_mark_and_a_percent_sign_are_no_harm(project, encoding):
    text = INI.format(5).replace("data = data", "data = 100%/d%s")
    (project / "settings.ini").write_text(text, encoding=encoding)
    assert settings().seed == 5
    assert settings().data == project / "100%" / "d%s"


BROKEN = {
    "not UTF-8": (INI.format(1).encode() + b"owner = Andr\xe9\n", "can't decode"),
    "UTF-16": (INI.format(1).encode("utf-16"), "can't decode"),
    "no values": (b"[genda]\ndata\n", "no settings file"),
    "twice": (INI.format(1).encode() + b"seed = 2\n", "already exists"),
    "before": (b"data = data\n" + INI.format(1).encode(), "no section headers"),
    "empty": (b"[genda]\n", "lacks data, models, results, seed, budget"),
    "no seed": (INI.format(1).replace("seed", "sead").encode(), "lacks seed"),
    "seed x": (INI.format("x").encode(), "seed='x': a whole number from 0"),
    "seed 1.5": (INI.format("1.5").encode(), "seed=1.5"),
    "seed -1": (INI.format("-1").encode(), "seed=-1"),
    "budget": (INI.format(1).replace("lesson", "huge").encode(), "unknown budget 'huge'"),
    "budgets": (INI.format(1).replace("lesson", "[1]").encode(), "unknown budget '[1]'"),
    "no folder": (INI.format(1).replace("= data", "=").encode(), "names no folder: it is empty"),
    "nobody": (INI.format(1).replace("= data", "= ~nobody9/x").encode(), "names no folder"),
    "nested": (INI.format("(" * 5000).encode(), "seed="),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_line(project, name):
    content, says = BROKEN[name]
    (project / "settings.ini").write_bytes(content)
    with pytest.raises(ValueError) as error:
        settings()
    assert says in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00\x01 what is this",
        b"[caf\xe9]\n",
        b"# our [genda] is elsewhere\n[[[\n",
        b"key = [genda]\n",
        b"",
    ],
)
def test_a_file_of_somebody_else_is_passed_by(project, monkeypatch, content):
    below = project / "theirs" / "mine"
    below.mkdir(parents=True)
    (project / "theirs" / "settings.ini").write_bytes(content)
    monkeypatch.chdir(below)
    assert settings().seed == 1 and settings().root == project


def test_folders_of_the_environment_exist_by_name(project, monkeypatch):
    monkeypatch.setenv("GENDA_DATA", "~nobody9/x")
    with pytest.raises(ValueError, match="GENDA_DATA = '~nobody9/x' names no folder"):
        settings()
