"What the processes of the tests of faults do. Each function runs in a process of its own."

import os
import signal
from pathlib import Path


def small(**changes):
    "Make `genda train` as small as can be."
    from genda import cli

    usual = cli.recipe

    def recipe(budget=None):
        numbers = dict(channels=(8, 16), bs=16, images=64, train=64, valid=16, steps=10)
        return usual(budget) | numbers | changes

    cli.recipe = recipe


def genda(*words, **changes):
    "The command, with small trainings."
    from genda.cli import main

    small(**changes)
    return main([str(word) for word in words])


def long_training(*words):
    "The command, with a training that is ended by somebody else."
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):  # whoever runs the tests may ignore them
        signal.signal(number, signal.SIG_DFL)
    return genda(*words, images=10**6)


def train_long(images, *words):
    "The command, with a training that sees so many images."
    return genda(*words, images=images)


def without_rights(function, *args):
    "Call a function as one whom the rights of files and folders bind, which root is not."
    import ctypes

    version_3 = 0x20080522
    header = (ctypes.c_uint32 * 2)(version_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if os.geteuid() == 0 and ctypes.CDLL(None).capset(header, none):
        raise OSError("capset was refused")
    return function(*args)


def limit_files(size):
    "A disk that has room for no file larger than this: writing more raises OSError."
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def on_a_full_disk(size, function, *args):
    "Call a function while no file can become larger than `size` bytes."
    limit_files(size)
    return function(*args)


def limit_memory(more):
    "Allow this many bytes more than are in use: taking more raises MemoryError."
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def full_after(saves, *words):
    "Train; after that many checkpoints the disk is full."
    from genda.training import resume

    usual = resume.save_state
    count = 0

    def save_state(path, state):
        nonlocal count
        usual(path, state)
        count += 1
        if count == saves:
            limit_files(20_000)

    resume.save_state = save_state
    return genda(*words, images=6000)  # three epochs


def die_in_write(name, function, *args):
    "Call a function, and be killed in the middle of the file whose name begins so."
    usual = Path.write_bytes

    def write_bytes(path, content):
        if path.name.startswith(name):
            usual(path, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(path, content)

    Path.write_bytes = write_bytes
    return function(*args)


def network(value):
    "A network of one layer whose weights all have this value."
    import torch

    net = torch.nn.Linear(3, 4)
    for parameter in net.parameters():
        torch.nn.init.constant_(parameter, value)
    return net


def save_slowly(written, go_on):
    "Save weights, with a pause between the weights and their card."
    from genda.training import checkpoints

    usual = checkpoints.write_json

    def write_json(*args):
        written.set()
        go_on.wait(1)
        return usual(*args)

    checkpoints.write_json = write_json
    checkpoints.save_weights(network(1.0), "net", dict(value=1))


def save_at_once(written, done):
    "Save other weights under the same name while `save_slowly` pauses."
    from genda.training.checkpoints import save_weights

    written.wait(600)
    save_weights(network(2.0), "net", dict(value=2))
    done.set()


def write_often(path, text):
    "Write one JSON file again and again."
    from genda.checks import write_json

    for _ in range(100):
        write_json(path, [text] * 1000)


def use_mirror(mirror, resources):
    "Take MNIST from a mirror."
    from torchvision import datasets as tv

    tv.MNIST.mirrors = [mirror]
    tv.MNIST.resources = resources


def fetch_by_command(mirror, resources):
    "Let the command fetch MNIST from a mirror."
    use_mirror(mirror, resources)
    return genda("data", "--fetch", "mnist")


def fetch_mnist(mirror, resources):
    "Load MNIST from a mirror."
    from genda.data.registry import load_raw

    use_mirror(mirror, resources)
    print(len(load_raw("mnist", "train+valid")[1]))


def keep(n):
    "Make something that is cached, twice, n bytes each; print the files of the cache."
    import numpy as np

    from genda.data.downloads import cached
    from genda.settings import settings

    def make():
        return np.zeros((n, 1, 1), np.uint8), np.zeros(n, np.uint8)

    for _ in range(2):
        cached("thing", make, n)
    folder = settings().data / "cache"
    print(sorted(p.name for p in folder.iterdir()) if folder.is_dir() else [])


def resume_alone(held, end):
    "A training with `Resume` that says when it has begun and goes on until it is told to end."
    learn, callbacks = learner()

    def wait():
        held.set()
        end.wait(600)

    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=[*callbacks, each_batch(wait)])


def resume_too(held, end):
    "The same training in the same folder, while that of `resume_alone` runs."
    held.wait(600)
    learn, callbacks = learner()
    try:
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, cbs=callbacks)
    finally:
        end.set()


def learner():
    "A tiny Learner, and a `Resume` for it."
    from fastai.learner import Learner
    from torch import nn

    from genda.data.registry import dls
    from genda.training.resume import Resume

    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    learn = Learner(dls("optdigits", bs=16, n=64, n_valid=16), net, nn.CrossEntropyLoss())
    return learn, [Resume("folder", every=1)]


def each_batch(f):
    "A callback that calls a function before each batch."
    from fastai.callback.core import Callback

    class Each(Callback):
        def before_batch(self):
            f()

    return Each()


def end_myself(number):
    "A plain script with a training that gets a signal in its third batch."
    learn, callbacks = learner()

    def send():
        if learn.train_iter == 2:
            os.kill(os.getpid(), number)

    with learn.no_bar(), learn.no_logging():
        learn.fit(3, cbs=[*callbacks, each_batch(send)])


def with_memory(more, function, *args):
    "Call a function that may take so many bytes; the error that it raises is printed."
    import torchvision.datasets  # noqa: F401, read in late, and not to count

    limit_memory(more)
    try:
        function(*args)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")


def unpickle(content):
    from genda.data.archives import plain_pickle

    plain_pickle(content)


def batch_of(folder):
    from genda.data.archives import read_batches

    read_batches(folder, ["one"], 10)


def read_members(path):
    from genda.data.archives import members

    for _ in members(path):
        pass


def read_npz(path):
    from genda.data.archives import read_arrays

    read_arrays(path, "x", "y")


def load_set(name, data):
    "Load a set from a folder of data."
    from genda.data.registry import load_raw

    os.environ["GENDA_DATA"] = str(data)
    load_raw(name, "test")


def picture(path):
    from genda.data.downloads import open_image

    open_image(path)


def with_ignored(name, function, *args):
    "Call a function in a process that ignores a signal, as one under nohup does."
    signal.signal(getattr(signal, name), signal.SIG_IGN)
    return function(*args)


def save_once():
    "Save weights."
    from genda.training.checkpoints import save_weights

    save_weights(network(1.0), "net", dict(value=1))


def die_in_cache():
    "Be killed while an array is written into the cache."
    import numpy as np

    def savez(file, **_):
        file.write(b"half a fi")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    np.savez = savez
    keep(20)


def fetch_file(url):
    "Fetch a file from two mirrors."
    from genda.data.downloads import fetch

    fetch([url, url], Path("data", "file.gz"), "0" * 32)
