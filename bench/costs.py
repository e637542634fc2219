"Time and memory against batch, width, resolution and number of steps, beside what is counted."

import statistics
import time
import weakref

import torch
from machine import apart, memory, name_of, peak_memory, precision
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from genda.diffusion.ddpm import denoiser, generate
from genda.diffusion.process import GaussianDiffusion
from genda.diffusion.samplers import ddim
from genda.models.unet import UNet
from genda.training.callbacks import keep_memory

# What each axis goes through while the others stay at the centre.
CENTRE = dict(batch=64, width=48, size=32, T=10)
AXES = dict(
    batch=(8, 16, 32, 64, 128),
    width=(16, 32, 48, 64, 96),
    size=(16, 24, 32, 48, 64),
    T=(5, 10, 20, 50, 100),
)
WARM_UP = 2  # steps that do not count


class LiveBytes(TorchDispatchMode):
    "Count the bytes of the tensors that exist at once, and the most of it in `peak`."

    def __init__(self):
        super().__init__()
        self.held = {}  # address of a storage -> its bytes
        self.peak = 0

    def hold(self, tensor):
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.held:
            self.held[key] = storage.nbytes()
            weakref.finalize(storage, self.held.pop, key, None)
            self.peak = max(self.peak, sum(self.held.values()))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.hold(tensor)
        return out


def network(width):
    "The UNet of the lessons: `width` channels in the fine level, twice as many in the coarse one."
    net = UNet(1, (width, 2 * width), 1, fold=2, emb=4 * width)
    return net.to(memory_format=torch.channels_last)


def forward_flops(net, size):
    "Operations of one forward pass of one image."
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 1, size, size), torch.ones(1).long())
    return counter.get_total_flops()


class Training:
    "A network in training on noise: what it costs does not depend on what images show."

    def __init__(self, batch, width, size, T):
        self.net = network(width)
        self.process = GaussianDiffusion.vp(T, "cosine")
        self.opt = torch.optim.AdamW(self.net.parameters(), 1e-4, fused=True)
        self.x0 = torch.rand(batch, 1, size, size) * 2 - 1
        self.dtype = precision()

    def step(self):
        x0 = self.x0
        t = torch.randint(1, self.process.T + 1, (len(x0),))
        eps = torch.randn_like(x0)
        xt = self.process.corrupt(x0, t, eps).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            pred = self.net(xt, t)
        F.mse_loss(pred.float(), self.process.target(x0, eps, t, "v")).backward()
        self.opt.step()
        self.opt.zero_grad()


class Drawing:
    "A network that draws a batch of images in T steps of DDIM."

    def __init__(self, batch, width, size, T):
        self.net = network(width).eval()
        self.process = GaussianDiffusion.vp(T, "cosine")
        self.denoise = denoiser(self.net, self.process, "v")
        self.n = batch
        self.shape = (1, size, size)

    def step(self):
        how = dict(n=self.n, sampler=ddim, bs=self.n, steps=self.process.T, progress=False)
        generate(self.denoise, self.process, self.shape, **how)


def counted_bytes(kind, point):
    "The most bytes of tensors at once, weights included."
    with LiveBytes() as live:
        run = kind(**point | dict(T=min(point["T"], 3)))  # later steps hold no more
        for _ in range(WARM_UP):
            run.step()
    return live.peak


def median_seconds(run, repeats):
    "Of some steps; what is held by the process grows until the first ones are done."
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run.step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def training_point(point, repeats):
    "Seconds, FLOPs and bytes of a training step."
    keep_memory()
    Training(1, 16, 16, 1).step()  # libraries take their own memory now
    before = memory()
    run = Training(**point)
    median_seconds(run, WARM_UP)
    found = dict(seconds=median_seconds(run, repeats), bytes=max(0, peak_memory() - before))
    found["flops"] = 3 * point["batch"] * forward_flops(run.net, point["size"])
    yield found | dict(counted_bytes=counted_bytes(Training, point))


def drawing_point(point, repeats):
    "Seconds and FLOPs of an image, bytes of the batch that it is drawn in."
    keep_memory()
    Drawing(1, 16, 16, 1).step()
    before = memory()
    Drawing(**point | dict(T=1)).step()  # the first evaluation is slower
    run = Drawing(**point)
    seconds = median_seconds(run, max(1, repeats // 4))
    found = dict(seconds=seconds / point["batch"], bytes=max(0, peak_memory() - before))
    found["flops"] = point["T"] * forward_flops(run.net, point["size"])
    yield found | dict(counted_bytes=counted_bytes(Drawing, point))


def settings_of(axes, centre):
    "(axis, setting) along each axis, where the setting of the centre comes once per axis."
    return [(axis, centre | {axis: value}) for axis, values in axes.items() for value in values]


def measure(axes=AXES, centre=CENTRE, repeats=5):
    "Every setting in a process of its own, as memory is kept by the process that asked for it."
    threads = torch.get_num_threads()
    found = dict(centre=centre, precision=dict(train=name_of(precision()), draw="float32"))
    known = {}
    points = []
    for axis, point in settings_of(axes, centre):
        key = tuple(point.values())
        if key not in known:
            [train] = apart(training_point, threads, point=point, repeats=repeats)
            [draw] = apart(drawing_point, threads, point=point, repeats=repeats)
            known[key] = dict(train=train, draw=draw)
            print(
                f"  {point}: step {train['seconds']:.3f} s, {train['bytes'] / 1e6:.0f} MB "
                f"(counted {train['counted_bytes'] / 1e6:.0f}), "
                f"image {draw['seconds']:.4f} s, {draw['bytes'] / 1e6:.0f} MB "
                f"(counted {draw['counted_bytes'] / 1e6:.0f})"
            )
        points.append(dict(axis=axis, setting=point, **known[key]))
        yield found | dict(points=list(points))
