"Digits per second into batches: genda's loaders beside torchvision's data set in a DataLoader."

import statistics
import struct
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from genda.data.digits import digit_set
from genda.data.registry import dls, load_raw


def write_idx(path, array):
    "A file in the format of MNIST: two zero bytes, the type, the number of sizes, the sizes."
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.byte().numpy().tobytes())


def torchvision_set(folder, images, labels):
    "The digits as torchvision.datasets.MNIST reads them, with the transforms that are usual."
    raw = Path(folder) / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):  # it wants to see both
        write_idx(raw / f"{part}-images-idx3-ubyte", images[:, 0])
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels)
    signed = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
    return datasets.MNIST(folder, train=True, transform=signed)


def rate(loader, epochs):
    "Images per second, the median of some epochs after a first one."
    rates = []
    for _ in range(epochs + 1):
        start = time.perf_counter()
        n = sum(len(x) for x, _ in loader)
        rates.append(n / (time.perf_counter() - start))
    return statistics.median(rates[1:])


def same_digits(ours, theirs):
    "The bytes of one epoch in a fixed order, which must be the same on both sides."

    def ordered(loader):
        x = torch.cat([x for x, _ in loader])
        return sorted(image.numpy().tobytes() for image in ((x + 1) * 127.5).round().byte())

    assert ordered(ours) == ordered(theirs), "the loaders give other digits"


def measure(n=10_000, bs=128, epochs=3):
    "Per way images per second; workers are started before the first epoch."
    name = digit_set()
    n = min(n, len(load_raw(name, "train")[1]))
    mine = dls(name, bs, n=n, device="cpu").train
    found = dict(n=n, bs=bs, images_per_second=dict(genda=rate(mine, 4 * epochs)))
    rates = found["images_per_second"]
    print(f"  {'genda':30} {rates['genda']:9,.0f} images/s")
    yield dict(found)
    images, labels = load_raw(name, "train", n=n)
    with tempfile.TemporaryDirectory() as folder:
        theirs = torchvision_set(folder, images, labels)
        same_digits(mine, DataLoader(theirs, bs))
        for workers in (0, 2):
            loader = DataLoader(
                theirs, bs, shuffle=True, num_workers=workers, persistent_workers=workers > 0
            )
            key = f"torchvision, num_workers={workers}"
            rates[key] = rate(loader, epochs)
            print(f"  {key:30} {rates[key]:9,.0f} images/s")
            yield dict(found)
    best = max(value for key, value in rates.items() if key != "genda")
    yield found | dict(over_torchvision=rates["genda"] / best)
