"A training that diverges stops at once and says so; nothing that is no number is stored or drawn."

import copy
import json

import pytest
import torch
from fastai.callback.core import Callback
from fastai.callback.schedule import Learner
from torch import nn

from genda.adaptation.dann import SourceOnly, adaptation_learner, dann_learner, digit_net
from genda.adaptation.domain_gap import Watch
from genda.data.domains import pair_dls
from genda.data.registry import dls
from genda.diffusion.ddpm import denoiser, diffusion_learner, generate
from genda.diffusion.process import GaussianDiffusion
from genda.evaluation.evaluators import train_evaluator
from genda.gan import Generator, draw_images, gan_learner
from genda.models.unet import UNet
from genda.training.callbacks import KeepBest, StopDiverged, TimeBudget, TrainingDiverged
from genda.training.checkpoints import load_weights, save_weights
from genda.training.resume import Resume, load_state

PROCESS = GaussianDiffusion.vp(100, "cosine")
NAN = float("nan")
MUCH = 1e30  # a learning rate at which every network is lost after one step


class Break(Callback):
    "Put NaN into the network after a training batch, as a step too far does."

    order = 30

    def __init__(self, batch):
        self.batch = batch

    def after_step(self):
        if self.train_iter == self.batch:
            next(self.learn.model.parameters()).data.fill_(NAN)


@pytest.fixture(scope="module")
def digits():
    return dls("mnist5k", bs=8, n=40, n_valid=8, device="cpu")


def diffusion(digits, **options):
    torch.manual_seed(0)
    return diffusion_learner(digits, UNet(1, (8, 16), 1, fold=2), PROCESS, "v", **options)


def fit(learn, lr=1e-3, epochs=1, **options):
    with learn.no_bar(), learn.no_logging():
        learn.fit(epochs, lr, **options)


def broken(net):
    "A copy of a network with one weight that is no number."
    net = copy.deepcopy(net)
    next(net.parameters()).data.flatten()[3] = NAN
    return net


def test_a_diffusion_training_stops_at_the_first_loss_that_is_no_number(digits):
    learn = diffusion(digits)
    with pytest.raises(TrainingDiverged) as caught:
        fit(learn, MUCH)
    text = str(caught.value)
    assert "the loss is" in text
    assert "in batch 1" in text
    assert "learning rate of 1e+30" in text
    assert "\n" not in text


def test_the_step_of_a_loss_that_is_no_number_is_not_taken(digits):
    learn = diffusion(digits, cbs=Break(2))
    with pytest.raises(TrainingDiverged, match="in batch 3"):
        fit(learn)
    second = list(learn.model.parameters())[1]
    assert second.isfinite().all(), "a step would have made all weights NaN"
    assert len(learn.recorder.losses) == 3


def test_a_training_whose_last_step_breaks_the_network_does_not_end_well(digits):
    with pytest.raises(TrainingDiverged, match="the network"):
        fit(diffusion(digits, cbs=Break(4)))


@pytest.mark.parametrize("batch", [6, 9])
def test_the_last_good_checkpoint_stays(digits, batch, tmp_path):
    "Batch 6 is in the middle of the second epoch; 9 is its last, after which one is written."
    learn = diffusion(digits, cbs=[Break(batch), Resume(tmp_path, every=3)])
    with pytest.raises(TrainingDiverged):
        fit(learn, epochs=2)
    saved = load_state(tmp_path / "checkpoint.safetensors")
    assert (saved["epoch"], saved["iter"]) == {6: (1, 0), 9: (1, 3)}[batch]
    for state in (saved["model"], saved["callbacks"]["ema.average"]):
        assert all(v.isfinite().all() for v in state.values())


def test_every_training_of_the_course_stops(digits):
    pair = pair_dls("optdigits-mnist5k", bs=16, size=28, n=40, n_valid=10, device="cpu")
    learners = [
        dann_learner(pair, digit_net("svhn", 1)),
        adaptation_learner(pair, digit_net("svhn", 1), SourceOnly()),
        gan_learner(digits, base=4),
    ]
    for learn in learners:
        first = next(p for p in learn.model.parameters())
        first.data.fill_(NAN)
        with pytest.raises(TrainingDiverged, match="lower the learning rate"):
            fit(learn)
    with pytest.raises(TrainingDiverged, match="lower the learning rate"):
        train_evaluator(digits, 40, "classes", lr=MUCH)


def test_weights_that_are_no_numbers_are_not_stored(tmp_path):
    net = nn.Linear(4, 2)
    save_weights(net, "net", {}, tmp_path)
    before = (tmp_path / "net.safetensors").read_bytes()
    with pytest.raises(ValueError, match="NaN or infinity"):
        save_weights(broken(net), "net", {}, tmp_path)
    nn.init.constant_(net.weight, 1e6)
    with pytest.raises(ValueError, match="16 bits"):
        save_weights(net, "net", {}, tmp_path, half=True)
    assert (tmp_path / "net.safetensors").read_bytes() == before
    assert load_weights("net", tmp_path)[0]["weight"].isfinite().all()


def test_weights_that_are_no_numbers_are_not_drawn_with(digits):
    net = UNet(1, (8, 16), 1, fold=2)
    with pytest.raises(ValueError, match="the network: 1 of"):
        denoiser(broken(net), PROCESS, "v")
    with pytest.raises(ValueError, match="the generator: 1 of"):
        draw_images(broken(Generator(1, 28, z=4, base=2)), n=2)


class Overflows(nn.Module):
    "A network of finite weights that gives no numbers."

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1e38))

    def forward(self, xin, t):
        return xin * self.weight * 10 - xin * self.weight * 10


def test_images_that_are_no_numbers_are_not_drawn():
    with pytest.raises(ValueError, match="the images hold NaN"):
        generate(denoiser(Overflows(), PROCESS, "v"), PROCESS, (1, 4, 4), n=2, progress=False)


def test_weights_that_are_no_numbers_are_not_read(tmp_path):
    from hashlib import sha256

    from safetensors.torch import save_file

    path = tmp_path / "net.safetensors"
    save_file({"weight": torch.tensor([1.0, NAN])}, path)
    card = dict(format=1, sha256=sha256(path.read_bytes()).hexdigest())
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="NaN or infinity"):
        load_weights("net", tmp_path)


def test_looking_for_a_learning_rate_leaves_no_trace(digits, tmp_path):
    scored = []
    best = KeepBest(lambda net: scored.append(1) or 0.5)
    learn = diffusion(digits, cbs=best, path=tmp_path)
    before = copy.deepcopy(learn.model.state_dict())
    with learn.no_bar(), learn.no_logging():
        learn.lr_find(num_it=40, end_lr=MUCH, stop_div=False, show_plot=False)
    assert scored == best.scores == []
    average = learn.ema.model.state_dict()
    for name, value in learn.model.state_dict().items():
        assert torch.equal(value, before[name])
        assert torch.equal(average[name], before[name])
    assert int(learn.ema.average.n_averaged) == 0
    fit(learn, 1e-3)
    assert len(scored) == 1
    assert int(learn.ema.average.n_averaged) == 5


@pytest.mark.parametrize("kind", ["gan", "dann"])
def test_looking_for_a_learning_rate_leaves_no_trace_in_what_is_logged(digits, kind, tmp_path):
    if kind == "gan":
        learn = gan_learner(digits, base=4, path=tmp_path)
    else:
        pair = pair_dls("optdigits-mnist5k", bs=16, size=28, n=40, n_valid=10, device="cpu")
        learn = dann_learner(pair, digit_net("svhn", 1), path=tmp_path)
    before = copy.deepcopy(learn.model.state_dict())
    with learn.no_bar(), learn.no_logging():
        learn.lr_find(num_it=40, end_lr=MUCH, stop_div=False, show_plot=False)
    if kind == "gan":
        assert learn.turns.losses == dict(discriminator=[], generator=[])
        assert learn.turns.useless == [0, 0]
        assert int(learn.ema.average.n_averaged) == 0
    else:
        assert learn.dann.log == []
    assert all(torch.equal(v, before[name]) for name, v in learn.model.state_dict().items())


def look_for_rate(learn, n=10):
    with learn.no_bar(), learn.no_logging():
        learn.lr_find(num_it=n, show_plot=False)


def test_looking_for_a_learning_rate_leaves_a_training_as_it_was(digits, tmp_path):
    learn = diffusion(digits, cbs=Resume(tmp_path / "new"), path=tmp_path)
    look_for_rate(learn)
    assert not (tmp_path / "new").exists()
    watch = Watch(lambda learn: learn.train_iter, 4)
    learn = diffusion(digits, cbs=[Resume(tmp_path / "run"), watch], path=tmp_path)
    fit(learn, epochs=2)
    file = tmp_path / "run" / "checkpoint.safetensors"
    before = (file.read_bytes(), file.stat().st_mtime_ns, list(watch.kept))
    look_for_rate(learn)
    assert (file.read_bytes(), file.stat().st_mtime_ns, watch.kept) == before


def test_looking_for_a_learning_rate_is_on_no_clock(digits, tmp_path):
    clock = TimeBudget(1e-9, lr=3.0)
    learn = diffusion(digits, cbs=clock, path=tmp_path)
    look_for_rate(learn)
    assert len(learn.recorder.lrs) == 10


@pytest.mark.parametrize(
    ("scores", "kept"), [([NAN, 0.5, 0.2], 1), ([0.1, NAN, 0.3], 2), ([0.3, NAN, 0.1], 0)]
)
def test_a_score_that_is_no_number_is_never_the_best(digits, scores, kept):
    weights = []
    given = iter(scores)

    def score(net):
        weights.append(next(net.parameters()).detach().clone())
        return next(given)

    best = KeepBest(score)
    learn = diffusion(digits, cbs=best)
    fit(learn, 1e-2, epochs=3)
    assert torch.equal(next(iter(best.best.values())), weights[kept])


def test_without_any_score_the_last_weights_are_kept(digits, tmp_path):
    best = KeepBest(lambda net: NAN, save_as="none")
    learn = diffusion(digits, cbs=best)
    fit(learn, 1e-2, epochs=2)
    last = next(learn.ema.model.parameters())
    assert torch.equal(next(iter(best.best.values())), last)
    with pytest.raises(FileNotFoundError):
        load_weights("none")


@pytest.mark.parametrize("every", [0, -1, 2.5])
def test_scores_are_whole_epochs_apart(every):
    with pytest.raises(ValueError, match="every="):
        KeepBest(lambda net: 1, every=every)


def test_any_learner_stops_with_the_callback(digits):
    batches = [0]

    class Count(Callback):
        def after_batch(self):
            batches[0] += 1

    net = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    learn = Learner(digits, net, loss_func=nn.CrossEntropyLoss(), cbs=[Break(2), Count()])
    with pytest.raises(TrainingDiverged):
        fit(learn, cbs=StopDiverged())
    assert batches[0] < len(digits.train)
