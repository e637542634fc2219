"A training that begins with a trained network: what it keeps, how it goes on, what is refused."

import json

import numpy as np
import pytest
import torch
from fastcore.script import CliError
from PIL import Image

from genda.cli import conditions, network, train
from genda.diffusion.fine_tuning import NewLabels
from genda.training.checkpoints import load_weights


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    "A folder of grey images, with one class that the digits have and one that they have not."
    folder = tmp_path_factory.mktemp("images")
    for kind, shade in (("3", 60), ("bar", 200)):
        (folder / kind).mkdir()
        for i in range(10):
            grey = np.full((28, 28), shade + i, np.uint8)
            Image.fromarray(grey).save(folder / kind / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def tuned(images, tmp_path_factory):
    "The folder of a finished training of an adapter."
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(str(images), "smoke", out=out, from_="digits", rank=2)
    return out


def test_the_network_stays_one_that_a_card_describes(tuned):
    drawing = network(tuned)
    card = drawing.card
    assert card["classes"] == [*map(str, range(10)), "bar"]
    assert (card["start"], card["rank"], card["labels"]) == ("digits", 2, [3, 10])
    assert "MNIST" in card["licence"]
    before = load_weights("digits")[0]
    after = drawing.model.state_dict()
    assert before.keys() == after.keys()
    assert torch.equal(after["cond.table.weight"][4].cpu(), before["cond.table.weight"][4])
    assert not torch.equal(after["cond.table.weight"][3].cpu(), before["cond.table.weight"][3])
    assert conditions("3,bar", drawing).tolist() == [3, 10]


def test_a_stopped_one_goes_on_to_the_same_network(images, tuned, tmp_path, monkeypatch, capsys):
    before_batch = NewLabels.before_batch
    seen = []

    def stopping(self):
        seen.append(self.training)
        if sum(seen) == 7:
            raise KeyboardInterrupt
        before_batch(self)

    monkeypatch.setattr(NewLabels, "before_batch", stopping)
    with pytest.raises(KeyboardInterrupt, match="--resume"):
        train(str(images), "smoke", out=tmp_path / "run", from_="digits", rank=2)
    monkeypatch.setattr(NewLabels, "before_batch", before_batch)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    train(resume=tmp_path / "run")
    assert "going on after batch" in capsys.readouterr().out
    ours = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert ours == (tuned / "model.safetensors").read_bytes()


def test_a_tuned_network_can_be_tuned_again_with_all_weights(images, tuned, tmp_path):
    train(str(images), "smoke", out=tmp_path / "again", from_=str(tuned))
    card = network(tmp_path / "again").card
    assert card["classes"] == [*map(str, range(10)), "bar"]
    assert card["start"] == str(tuned.resolve())


def test_what_does_not_fit_says_what_would_do(images, tmp_path):
    for words, says in (
        (dict(from_="digist"), r"unknown network 'digist': one of .*digits"),
        (dict(from_="evaluator_mnist"), "takes classes and predicts v is wanted"),
        (dict(from_="faces"), "takes classes and predicts v is wanted: digits, digits_few, mnistm"),
        (dict(from_="digits_score"), "predicts v"),
        (dict(from_="digits", size=32), "digits draws 28 px, so leave --size out"),
        (dict(from_="mnistm"), "the images are grey, and mnistm draws colour"),
        (dict(from_="digits", rank=0), "--rank=0"),
        (dict(from_="digits", bs=1000), "--bs=1000"),
        (dict(from_=str(images)), "holds no trained network"),
        (dict(rank=4), "say --from digits"),
    ):
        with pytest.raises((ValueError, OSError, CliError), match=says):
            train(str(images), "smoke", out=tmp_path / "no", **words)
        assert not (tmp_path / "no").exists(), words


@pytest.mark.parametrize(
    "changes", [dict(rank="x"), dict(start=3), dict(labels=[99]), dict(classes=["1"])]
)
def test_a_plan_that_was_edited_is_damaged(tuned, tmp_path, changes):
    plan = json.loads((tuned / "train.json").read_text(encoding="utf-8"))
    (tmp_path / "train.json").write_text(json.dumps(plan | changes), encoding="utf-8")
    with pytest.raises(CliError, match=r"train.json is damaged"):
        train(resume=tmp_path)
