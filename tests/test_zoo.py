"Every checkpoint that ships can be loaded and keeps what its card promises; all are small."

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from conftest import ROOT

from genda import zoo
from genda.data.registry import ready
from genda.evaluation.evaluators import Evaluator
from genda.settings import PACKAGE
from genda.zoo import ENTRIES, RECIPES, load_model, recheck, train

SHIPPED = sorted(p.stem for p in (PACKAGE / "weights").glob("*.safetensors"))


def test_each_file_is_an_entry_and_has_a_card():
    assert {"digits", "evaluator_mnist", "evaluator_mnistm"} <= set(SHIPPED) <= set(ENTRIES)
    assert sorted(p.stem for p in (PACKAGE / "weights").glob("*.json")) == SHIPPED


def test_all_weights_together_are_small():
    assert sum(p.stat().st_size for p in (PACKAGE / "weights").iterdir()) < 20e6


GENERATORS = dict(digits=10, digits_score=10, mnistm=10, faces=12, shapes=24)


@pytest.mark.parametrize("name", [n for n in GENERATORS if n in SHIPPED])
def test_generators_are_small_and_know_no_condition(name):
    model, card = load_model(name, device="cpu")
    assert sum(p.numel() for p in model.parameters()) <= 1_000_000
    assert (PACKAGE / "weights" / f"{name}.safetensors").stat().st_size <= 2_000_000
    assert (model.cond.classes or model.cond.attributes) == GENERATORS[name]
    assert card["recipe"]["drop"] > 0, "the null condition was trained"
    assert {
        "net",
        "process",
        "predict",
        "data",
        "images",
        "seconds",
        "processor",
        "sampler",
        "licence",
        "source",
        "figures",
    } <= set(card)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_are_those_of_the_cards(name, monkeypatch):
    if name not in SHIPPED:
        pytest.skip(f"{name} is not shipped")
    monkeypatch.setenv("GENDA_BUDGET", "study")
    monkeypatch.setattr(zoo, "train_conditional", lambda *args, **kwargs: (args, kwargs))
    (folder, data, net, process, images, options), about = train(name, "folder")
    _, card = load_model(name, device="cpu")
    assert (folder, data, net, process) == ("folder", card["data"], card["net"], card["process"])
    assert abs(images - card["images"]) < 0.03 * images  # whole batches and epochs
    assert options == (dict(n_scenes=6003) if name == "shapes" else {})
    schedule = card["recipe"].get(
        "schedule", "warm_linear"
    )  # older cards do not name the usual one
    assert about.pop("schedule").__name__ == schedule
    kinds = dict(mnistm=["KeepBest"], faces=["Signed"])
    assert [type(cb).__name__ for cb in about.pop("cbs")] == kinds.get(name, [])
    assert about.pop("source") == f"genda.zoo.train({name!r})"
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in about.items()} == {
        k: card[k] for k in about
    }
    made_by_the_training = {"net", "process", "predict", "data", "images", "recipe", "seconds"}
    of_the_machine = {"budget", "seed", "cores", "device", "processor", "versions"}
    of_the_file = {"source", "figures", "name", "format", "sha256"}
    assert set(card) == made_by_the_training | of_the_machine | of_the_file | set(about)


def copied(folder, name="evaluator_mnist", weights=None, **card):
    "A copy of an entry whose weights are other bytes, or whose card says something else."
    files = [PACKAGE / "weights" / f"{name}.{end}" for end in ("safetensors", "json")]
    for file in files:
        shutil.copy(file, folder)
    if weights is not None:
        (folder / files[0].name).write_bytes(weights)
    text = json.loads(files[1].read_text(encoding="utf-8"))
    (folder / files[1].name).write_text(json.dumps(text | card), encoding="utf-8")


def test_files_that_went_wrong_say_so(tmp_path):
    good = (PACKAGE / "weights" / "evaluator_mnist.safetensors").read_bytes()
    other = (PACKAGE / "weights" / "evaluator_mnistm.safetensors").read_bytes()
    with pytest.raises(FileNotFoundError, match="no weights 'evaluator_mnist'"):
        load_model("evaluator_mnist", tmp_path)
    copied(tmp_path)
    load_model("evaluator_mnist", tmp_path)
    for says, changed in (
        ("sha256 differs", dict(weights=good[:-100])),
        ("sha256 differs", dict(weights=other)),
        ("a newer genda", dict(format=2)),
        ("do not fit the network", dict(channels=3)),
    ):
        copied(tmp_path, **changed)
        with pytest.raises(ValueError, match=says):
            load_model("evaluator_mnist", tmp_path)
    with pytest.raises(ValueError, match="one of evaluator_mnist"):
        load_model("digit")


def test_training_needs_the_whole_set(tmp_path):
    if ready("mnist"):
        pytest.skip("all of MNIST is on this machine")
    with pytest.raises(RuntimeError, match="mnist5k holds a tenth"):
        zoo.build("digits", tmp_path)


@pytest.mark.parametrize("name", [n for n in SHIPPED if n.startswith("judge_")])
def test_each_judge_loads_by_name_and_keeps_what_it_is(name):
    evaluator = Evaluator(name.removeprefix("judge_"), device="cpu")
    x = torch.zeros(3, evaluator.channels, evaluator.size, evaluator.size)
    assert evaluator.features(x).shape == (3, evaluator.dim) and evaluator.logits(
        x
    ).shape == evaluator.probs(x).shape == (3, len(evaluator.names))
    y = torch.eye(len(evaluator.names), dtype=torch.long)[:3]
    assert (
        0 <= evaluator.accuracy(x, y.argmax(1) if evaluator.card["kind"] == "classes" else y) <= 1
    )
    assert (PACKAGE / "weights" / f"{name}.safetensors").stat().st_size < 1e6


@pytest.mark.parametrize("name", SHIPPED)
def test_figures_hold(name):
    if "mnistm" in name and not ready("mnist"):
        pytest.skip("its figures are of all MNIST over the BSDS500 photographs")
    if name == "evaluator_cifar10" and not ready("cifar10"):
        pytest.skip("its figure is of photographs that are not here")
    found = recheck(name, 200)
    assert len(found) and found.holds.all(), found.to_string()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_training_anew_goes_on_after_a_kill_and_keeps_what_is_better(tmp_path):
    weights, runs = tmp_path / "weights", tmp_path / "runs"
    weights.mkdir()
    for end in ("safetensors", "json"):
        shutil.copy(PACKAGE / "weights" / f"faces.{end}", weights)

    def files():
        return {
            p: (p.read_bytes(), p.stat().st_mtime_ns)
            for folder in (weights, PACKAGE / "weights")
            for p in folder.iterdir()
        }

    before, command = (
        files(),
        [
            sys.executable,
            ROOT / "tools" / "zoo.py",
            "--budget",
            "smoke",
            "--folder",
            weights,
            "--runs",
            runs,
            "faces",
        ],
    )
    about = dict(
        cwd=tmp_path,
        env=os.environ | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    job, end = subprocess.Popen(command, start_new_session=True, **about), time.monotonic() + 300
    while (
        not (runs / "faces" / "checkpoint.safetensors").is_file()
        and job.poll() is None
        and time.monotonic() < end
    ):
        time.sleep(0.01)
    job.kill()
    said = job.communicate()[0]
    assert job.returncode == -signal.SIGKILL, said
    assert not (runs / "faces.safetensors").is_file() and files() == before
    done = subprocess.run(command, **about)
    assert done.returncode == 0, done.stdout
    assert "faces: going on" in done.stdout and "faces is worse than the one in" in done.stdout, (
        done.stdout
    )
    assert (
        (runs / "faces.safetensors").is_file()
        and (runs / "faces.json").is_file()
        and files() == before
    )
