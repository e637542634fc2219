"The Fréchet distance of two sets of images: genda beside torch-fidelity on the same features."

import importlib.util
import time
import warnings

import torch
from machine import apart, memory, peak_memory
from torch.utils.data import Dataset

from genda.data.digits import digit_set
from genda.data.registry import load_raw
from genda.data.splits import to_signed
from genda.evaluation.evaluators import Evaluator
from genda.evaluation.metrics import frechet_distance

BS = 500
PEER = "torch-fidelity"


def digits(n):
    "n training and n test digits as bytes, from the start again where there are fewer."
    for split in ("train", "test"):
        images, _ = load_raw(digit_set(), split)
        yield images[torch.arange(n) % len(images)]


def ready():
    "The evaluator, after a first batch."
    evaluator = Evaluator("mnist", device="cpu", bs=BS)
    evaluator.features(torch.zeros(BS, 1, 28, 28))
    return evaluator


def timed(work, n):
    "The distance that `work` gives, with seconds and bytes that it took."
    before = memory()
    start = time.perf_counter()
    distance = float(work())
    seconds = time.perf_counter() - start
    yield dict(n=n, fd=distance, seconds=seconds, bytes=max(0, peak_memory() - before))


def ours(n):
    "By genda, batch by batch."
    evaluator = ready()
    fake, real = digits(n)

    def batches(images):
        return map(to_signed, images.split(BS))

    yield from timed(lambda: frechet_distance(batches(fake), batches(real), evaluator), n)


class Images(Dataset):
    "Bytes, image by image, as torch-fidelity takes them."

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i]


def extractor(evaluator):
    "The evaluator's features as a class that torch-fidelity can use."
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    class Extractor(FeatureExtractorBase):
        def __init__(self, name, features_list, **kwargs):
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list():
            return ("features",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "features"

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, images):
            return (evaluator.features(to_signed(images)),)

    return Extractor


def theirs(n, save_memory):
    "By torch-fidelity, with workers that load, or without them to save memory."
    import torch_fidelity

    warnings.filterwarnings("ignore", message="This DataLoader will create")
    evaluator = ready()
    fake, real = digits(n)
    torch_fidelity.register_feature_extractor("digits", extractor(evaluator))

    def work():
        found = torch_fidelity.calculate_metrics(
            input1=Images(fake),
            input2=Images(real),
            fid=True,
            feature_extractor="digits",
            batch_size=BS,
            cuda=False,
            cache=False,
            save_cpu_ram=save_memory,
            verbose=False,
        )
        return found["frechet_inception_distance"]

    yield from timed(work, n)


def plan(n):
    "Name -> function and its options; the fourth part shows how memory grows."
    found = {"genda": (ours, dict(n=n)), "genda, a fourth": (ours, dict(n=n // 4))}
    if importlib.util.find_spec("torch_fidelity") is None:
        print(f"  {PEER}: not installed, bench/README.md says how")
        return found
    return found | {
        PEER: (theirs, dict(n=n, save_memory=True)),
        f"{PEER}, a fourth": (theirs, dict(n=n // 4, save_memory=True)),
        f"{PEER}, with workers": (theirs, dict(n=n, save_memory=False)),
    }


def ratios(runs):
    "The faster of the peer's two ways over ours, and bytes of its leaner way over ours."
    if PEER not in runs:
        return {}
    seconds = min(runs[PEER]["seconds"], runs[f"{PEER}, with workers"]["seconds"])
    return dict(
        seconds_over_torch_fidelity=seconds / runs["genda"]["seconds"],
        bytes_over_torch_fidelity=runs[PEER]["bytes"] / max(1, runs["genda"]["bytes"]),
        difference=abs(runs[PEER]["fd"] / runs["genda"]["fd"] - 1),
    )


def measure(n=10_000):
    "Each way in a process of its own, as the peak of memory is one of a process."
    threads = torch.get_num_threads()
    runs = {}
    for name, (function, options) in plan(n).items():
        [runs[name]] = apart(function, threads, **options)
        r = runs[name]
        print(
            f"  {name:30} {r['seconds']:6.2f} s, {r['bytes'] / 1e6:5.0f} MB "
            f"for the FD {r['fd']:.4f} of {r['n']:,} digits"
        )
        yield dict(runs=dict(runs))
    found = dict(runs=runs, **ratios(runs))
    if found.get("difference", 0) > 1e-3:
        raise AssertionError(f"the two distances differ by {found['difference']:.2%}")
    yield found
