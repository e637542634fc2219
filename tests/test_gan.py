"What a GAN's training does when something goes wrong: alarms, and resume after a crash."

import pytest
import torch
from fastai.callback.core import Callback
from torch import nn

from genda.data.digits import digit_set
from genda.data.registry import dls
from genda.gan import TrainingDiverged, gan_learner
from genda.settings import set_seed
from genda.training.resume import Resume


def tiny(n=320, **how):
    "A small GAN on few digits."
    set_seed(0)
    loaders = dls(digit_set(), bs=32, n=n, n_valid=32, drop_last=True)
    return gan_learner(loaders, z=16, label=8, base=8, **how)


def fit(learn, *cbs, epochs=1, lr=1e-3):
    with learn.no_bar(), learn.no_logging():
        learn.fit(epochs, lr, cbs=[*cbs])
    return learn


def test_a_silent_discriminator_is_noticed():
    learn = tiny(patience=4)
    for parameter in learn.model.discriminator.real.parameters():
        nn.init.zeros_(parameter)
    with pytest.raises(TrainingDiverged, match="says the same of every image"):
        fit(learn, lr=(1e-3, 0.0))


def test_a_discriminator_that_has_won_is_noticed():
    learn = tiny(patience=20, adversarial="minimax")
    with pytest.raises(TrainingDiverged, match="told every real image from every fake"):
        fit(learn, epochs=40, lr=(0.0, 3e-3))


def test_a_loss_that_is_no_number_ends_the_training():
    learn = tiny()
    nn.init.constant_(learn.model.discriminator.real[0].weight, torch.nan)
    with pytest.raises(TrainingDiverged, match="the discriminator's loss is nan in batch 0"):
        fit(learn)


class Crash(Callback):
    "End a training in the middle of the second epoch."

    order = 3000

    def before_batch(self):
        if self.train_iter == 14:
            raise RuntimeError("no power")


def weights(learn):
    nets = (learn.model, learn.ema.model)
    return [p.detach().flatten() for net in nets for p in net.state_dict().values()]


def test_resume_after_a_crash_is_exact(tmp_path):
    "Both networks, the optimiser, the average, both histories and whose turn it is come back."
    whole = fit(tiny(), epochs=3)
    with pytest.raises(RuntimeError, match="no power"):
        fit(tiny(), Resume(tmp_path / "run", 3), Crash(), epochs=3)
    again = fit(tiny(), Resume(tmp_path / "run", 3), epochs=3)
    assert torch.equal(torch.cat(weights(whole)), torch.cat(weights(again)))
    assert whole.turns.losses == again.turns.losses
