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
from genda.diffusion.ddpm import last
from genda.diffusion.samplers import SAMPLERS
from genda.diffusion.score import ScoreNet
from genda.evaluation.evaluators import Evaluator
from genda.settings import PACKAGE
from genda.zoo import ENTRIES, RECIPES, Drawing, load_model, recheck

SHIPPED = sorted(p.stem for p in (PACKAGE / "weights").glob("*.safetensors"))


def test_each_file_is_an_entry_and_has_a_card():
    assert {"digits", "evaluator_mnist", "evaluator_mnistm"} <= set(SHIPPED) <= set(ENTRIES)
    assert sorted(p.stem for p in (PACKAGE / "weights").glob("*.json")) == SHIPPED


def test_all_weights_together_are_small():
    assert sum(p.stat().st_size for p in (PACKAGE / "weights").iterdir()) < 20e6


GENERATORS = dict(digits=10, digits_score=10, digits_few=10, mnistm=10, faces=12, shapes=24)
BY_RECIPE = sorted(set(GENERATORS) - {"digits_few"})  # which is tuned from digits


OF_A_GENERATOR = {
    "net",
    "process",
    "predict",
    "data",
    "images",
    "recipe",
    "seconds",
    "sampler",
    "licence",
    "source",
    "figures",
}
OF_THE_MACHINE = {"budget", "seed", "cores", "device", "processor", "versions"}
OF_THE_FILE = {"name", "format", "sha256"}


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_are_small_and_know_no_condition(name):
    model, card = load_model(name, device="cpu")
    most = 4_000_000 if card.get("size") == 64 else 2_000_000  # bytes, two for each weight
    assert 2 * sum(p.numel() for p in model.parameters()) <= most
    assert (PACKAGE / "weights" / f"{name}.safetensors").stat().st_size <= most
    assert (model.cond.classes or model.cond.attributes) == GENERATORS[name]
    assert card["recipe"]["drop"] > 0, "the null condition was trained"
    assert set(card) >= OF_A_GENERATOR


def first_card(name):
    "What the recipe of a network writes on its card, as JSON gives it back."
    return json.loads(json.dumps(zoo._first_card(name, RECIPES[name].data)))


@pytest.mark.parametrize("name", BY_RECIPE)
def test_recipes_are_those_of_the_cards(name, monkeypatch):
    monkeypatch.setenv("GENDA_BUDGET", "study")
    _, card = load_model(name, device="cpu")
    planned = first_card(name)
    for key in ("made_from", "licence"):  # of mnistm: they name the photographs that are here
        planned.pop(key, None)
        card.pop(key, None)
    assert planned == {key: card[key] for key in planned}
    images = RECIPES[name].large["images"]
    assert abs(images - card["images"]) < 0.03 * images  # whole batches and epochs
    made_by_the_training = {"images", "seconds", "figures"}
    assert set(card) == set(planned) | made_by_the_training | OF_THE_MACHINE | OF_THE_FILE


def test_a_tuned_network_is_that_of_its_card(monkeypatch):
    monkeypatch.setenv("GENDA_BUDGET", "smoke")
    model, card = zoo.train_few(None, "mnist5k")
    _, shipped = load_model("digits_few", device="cpu")
    assert set(card) | {"figures"} == set(shipped) - OF_THE_FILE
    changing = {"data", "images", "recipe", "seconds"} | OF_THE_MACHINE
    for key in set(card) - changing:
        assert json.loads(json.dumps(card[key])) == shipped[key], key
    before = load_model("digits", device="cpu")[0].state_dict()
    assert any(not torch.equal(w, before[name]) for name, w in model.state_dict().items())


def test_recipes_choose_what_watches_a_training():
    assert set(RECIPES) == set(BY_RECIPE)
    kinds = dict(faces=["SignedAttributes"])
    for name, recipe in RECIPES.items():
        assert [type(cb).__name__ for cb in recipe.callbacks()] == kinds.get(name, [])
    assert RECIPES["shapes"].options == ("n_scenes",)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_drawing_is_what_a_card_says(name):
    drawing = Drawing(*load_model(name, device="cpu"))
    n = GENERATORS[name]
    y = drawing.condition([]).repeat(2, 1) if n > 10 else torch.arange(2)
    sampler, options, w = drawing.how(steps=2)
    assert sampler is SAMPLERS[drawing.card["sampler"]["name"]]
    assert w == drawing.card["sampler"].get("w", 0)
    images = []
    for denoise in (drawing.denoise(y, w), drawing.denoise(w=w).with_y(y)):
        generator = torch.Generator().manual_seed(0)
        xT = drawing.prior(2, generator)
        assert xT.shape == (2, *drawing.shape)
        frames = sampler(denoise, drawing.process, xT, generator=generator, **options)
        images.append(last(frames))
    assert torch.equal(*images)


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


def test_a_finished_training_only_gives_its_network_back(tmp_path, monkeypatch):
    monkeypatch.setenv("GENDA_BUDGET", "smoke")
    one, card = zoo.train("digits_score", tmp_path, "mnist5k")
    again, _ = zoo.train("digits_score", tmp_path, "mnist5k")
    assert isinstance(one, ScoreNet) and isinstance(again, ScoreNet)
    for a, b in zip(one.state_dict().values(), again.state_dict().values()):
        assert torch.equal(a, b)
    assert (card["predict"], card["process"]["kind"]) == ("score", "ve")


@pytest.mark.parametrize("name", [n for n in SHIPPED if n.startswith("evaluator_")])
def test_each_evaluator_loads_by_name_and_keeps_what_it_is(name):
    evaluator = Evaluator(name.removeprefix("evaluator_"), device="cpu")
    x = torch.zeros(3, evaluator.channels, evaluator.size, evaluator.size)
    assert evaluator.features(x).shape == (3, evaluator.dim)
    answers = (3, len(evaluator.names))
    assert evaluator.logits(x).shape == answers
    assert evaluator.probs(x).shape == answers
    y = torch.eye(len(evaluator.names), dtype=torch.long)[:3]
    if evaluator.card["kind"] == "classes":
        y = y.argmax(1)
    assert 0 <= evaluator.accuracy(x, y) <= 1
    assert (PACKAGE / "weights" / f"{name}.safetensors").stat().st_size < 1e6


@pytest.mark.parametrize("name", SHIPPED)
def test_figures_hold(name):
    if "mnistm" in name and not ready("mnist"):
        pytest.skip("its figures are of all MNIST over the BSDS500 photographs")
    if name == "evaluator_cifar10" and not ready("cifar10"):
        pytest.skip("its figure is of photographs that are not here")
    n = 200 if name.startswith("evaluator") else 40
    found = recheck(name, 20 if name == "digits_score" else n)  # Langevin is slow
    assert len(found) and found.holds.all(), found.to_string()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_training_anew_goes_on_after_a_kill_and_keeps_what_is_better(tmp_path):
    weights = tmp_path / "weights"
    runs = tmp_path / "runs"
    weights.mkdir()
    for end in ("safetensors", "json"):
        shutil.copy(PACKAGE / "weights" / f"faces.{end}", weights)

    def files():
        "Content and time of each file of weights, there and in the package."
        found = [*weights.iterdir(), *(PACKAGE / "weights").iterdir()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}

    before = files()
    where = ["--folder", weights, "--runs", runs]
    command = [sys.executable, ROOT / "tools" / "zoo.py", "--budget", "smoke", *where, "faces"]
    about = dict(
        cwd=tmp_path,
        env=os.environ | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    job = subprocess.Popen(command, start_new_session=True, **about)
    end = time.monotonic() + 300
    checkpoint = runs / "faces" / "checkpoint.safetensors"
    while not checkpoint.is_file() and job.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    job.kill()
    printed = job.communicate()[0]
    assert job.returncode == -signal.SIGKILL, printed
    assert not (runs / "faces.safetensors").is_file()
    assert files() == before
    done = subprocess.run(command, **about)
    assert done.returncode == 0, done.stdout
    assert "faces: going on" in done.stdout
    assert "faces is worse than the one in" in done.stdout
    assert (runs / "faces.safetensors").is_file()
    assert (runs / "faces.json").is_file()
    assert files() == before
