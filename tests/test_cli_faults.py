"A training that cannot start, or cannot go on, says so and leaves everything as it was."

import pytest
from fastcore.script import CliError

from genda.cli import network, train


def test_a_folder_with_a_training_is_not_overwritten(tmp_path):
    plan = tmp_path / "train.json"
    plan.write_text("{}", encoding="utf-8")
    with pytest.raises(CliError, match="holds a training already: genda train --resume"):
        train("mnist5k", "smoke", out=tmp_path)
    assert plan.read_text(encoding="utf-8") == "{}"


def test_nothing_to_resume(tmp_path):
    with pytest.raises(CliError, match="holds no training"):
        train(resume=tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_plan_is_named(tmp_path):
    (tmp_path / "train.json").write_text('{"data":', encoding="utf-8")
    with pytest.raises(CliError, match=r"train.json is damaged"):
        train(resume=tmp_path)


def test_a_training_that_has_not_ended_draws_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="genda train --resume"):
        network(tmp_path)
