"The wheel, where nothing but its declared dependencies can be seen, trains a step and samples."

import os
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from conftest import ROOT, read
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def sh(*command, cwd, **env):
    "What a command prints; it sees nothing but what is installed."
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=inherited | env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def files_below(*folders):
    "The names of the files in folders of `ROOT`, from there."
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    sh(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
    return next(folder.glob("*.whl"))


def test_wheel_holds_the_package_and_the_settings(wheel):
    packed = zipfile.ZipFile(wheel)
    names = {name for name in packed.namelist() if name.startswith("genda/")}
    course = files_below("nbs", "results") | {"tools/run.py"}
    lessons = {f"genda/course/{name}" for name in course}
    assert names == files_below("genda") | lessons | {"genda/settings.ini"}
    assert packed.read("genda/settings.ini") == (ROOT / "settings.ini").read_bytes()


def closure(requirements):
    """Names of every distribution that `requirements` lead to.

    A missing one fails, and so does a version that does not fit.
    """
    names = set()
    todo = [(Requirement(text), "") for text in requirements]
    while todo:
        wanted, extra = todo.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        found = distribution(wanted.name)
        assert wanted.specifier.contains(found.version, prereleases=True), (
            f"{wanted} wanted, {found.version} installed"
        )
        for more in ["", *wanted.extras]:
            if (canonicalize_name(wanted.name), more) in names:
                continue
            names.add((canonicalize_name(wanted.name), more))
            todo += [(Requirement(text), more) for text in found.requires or []]
    return {name for name, _ in names}


REQUIRES = "Requires-Dist: "


def requirements(site):
    "What the installed wheel declares that it needs, without its extras."
    metadata = read(next(site.glob("genda-*.dist-info")) / "METADATA")
    lines = [line for line in metadata.splitlines() if line.startswith(REQUIRES)]
    return [line.removeprefix(REQUIRES) for line in lines if "extra ==" not in line]


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    "An interpreter that sees the wheel, links to its declared dependencies and nothing else."
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, symlinks=os.name != "nt")
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ask = 'import sysconfig; print(sysconfig.get_path("purelib"))'
    site = Path(sh(interpreter, "-c", ask, cwd=folder).strip())
    zipfile.ZipFile(wheel).extractall(site)
    for name in closure(requirements(site)):
        found = distribution(name)
        tops = {file.parts[0] for file in found.files} - {"..", "__pycache__"}
        for top in tops:
            if not (site / top).exists():
                (site / top).symlink_to(found.locate_file(top))
    return interpreter


@pytest.mark.parametrize("name", ["nbdev", "diffusers", "torchmetrics", "pytest", "sphinx"])
def test_nothing_undeclared_can_be_seen(python, tmp_path, name):
    find = f"import importlib.util as u; print(u.find_spec({name!r}))"
    assert sh(python, "-c", find, cwd=tmp_path).strip() == "None"


TRAIN_AND_SAMPLE = """
import torch
from fastai.learner import Learner

import genda
from genda.data.registry import dls
from genda.diffusion.ddpm import DiffusionCB, DiffusionLoss, ddpm, denoiser, last
from genda.diffusion.process import GaussianDiffusion
from genda.models.unet import UNet
from genda.settings import set_seed, settings

assert "site-packages" in genda.__file__, genda.__file__
set_seed()
loaders = dls("mnist5k", bs=16, n=32)
process = GaussianDiffusion.vp(T=8)
model = UNet(1, channels=(8, 16))
before = [p.detach().clone() for p in model.parameters()]
learn = Learner(loaders, model, loss_func=DiffusionLoss(), cbs=[DiffusionCB(process)])
with learn.no_bar(), learn.no_logging():
    learn.fit(1, 1e-3)
after = [p.detach().cpu() for p in model.parameters()]
assert any(not torch.equal(a, b) for a, b in zip(before, after)), "nothing was trained"
xT = torch.randn(2, *loaders.one_batch()[0].shape[1:])
x = last(ddpm(denoiser(model.cpu().eval(), process, "eps"), process, xT))
assert x.shape == xT.shape
assert x.isfinite().all()
assert x.std() > 0
print(settings().file, settings().data)
"""


@pytest.fixture
def at_home(tmp_path):
    "Variables of an environment whose home and cache are the test's own."
    return dict(
        HOME=str(tmp_path),
        USERPROFILE=str(tmp_path),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        GENDA_DATA="",
        OMP_NUM_THREADS="1",
    )


def test_installed_wheel_trains_a_step_and_samples(python, tmp_path, at_home):
    printed = sh(python, "-c", TRAIN_AND_SAMPLE, cwd=tmp_path, GENDA_BUDGET="smoke", **at_home)
    assert "site-packages" in printed
    assert str(tmp_path / "cache") in printed


ENTRY_POINT = """
from importlib.metadata import entry_points
print(*[p.value for p in entry_points(group="console_scripts", name="genda")])
"""


@pytest.fixture
def genda(python, tmp_path, at_home):
    "The command that pip would make, in an empty folder: a function of its words."
    module, function = sh(python, "-c", ENTRY_POINT, cwd=tmp_path).strip().split(":")
    script = f"import sys; from {module} import {function}; sys.exit({function}())"

    def run(*words):
        return sh(python, "-W", "ignore", "-c", script, *words, cwd=tmp_path, **at_home)

    return run


def test_installed_command_helps_and_samples(genda, tmp_path):
    assert "genda sample --model digits" in genda("--help")
    options = "--label 0123456789 --steps 3 --guidance 1 --seed 7 --out digits.png"
    assert "10 images in" in genda("sample", *options.split())
    assert (tmp_path / "digits.png").stat().st_size > 1000
    assert "digits" in genda("zoo")


def test_installed_command_hands_out_lessons(genda, python, tmp_path, at_home):
    genda("lab", "class", "--no-solutions")
    genda("lab", "lab")
    lab = tmp_path / "lab"
    copied = {p.relative_to(lab).as_posix() for p in lab.rglob("*") if p.is_file()}
    assert copied == files_below("nbs", "results") | {"settings.ini"}
    for path in (ROOT / "nbs").rglob("*.ipynb"):
        name = path.relative_to(ROOT)
        assert read(lab / name) == read(path)
        assert '"solution"' not in read(tmp_path / "class" / name)
    ask = "from genda.settings import settings; print(settings().root)"
    root = sh(python, "-W", "ignore", "-c", ask, cwd=lab / "nbs" / "1_start", **at_home)
    assert root.strip() == str(lab.resolve())
