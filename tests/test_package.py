"The wheel, installed where nothing but its declared dependencies can be seen, trains a step and samples."

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
    ours = {
        k: v for k, v in os.environ.items() if k != "PYTHONPATH"
    }  # nothing but what is installed
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=ours | env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    sh(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
    return next(folder.glob("*.whl"))


def test_wheel_holds_the_package_and_the_settings(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "genda").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    lessons = {
        f"genda/course/{p.relative_to(ROOT).as_posix()}"
        for p in [*(ROOT / "nbs").rglob("*"), *(ROOT / "results").rglob("*"), ROOT / "tools/run.py"]
        if p.is_file()
    }
    assert ours | lessons | {"genda/settings.ini"} == {n for n in names if n.startswith("genda/")}
    assert zipfile.ZipFile(wheel).read("genda/settings.ini") == (ROOT / "settings.ini").read_bytes()


def closure(requirements):
    "Names of every distribution that `requirements` lead to; a missing one or a version that does not fit fails."
    names, todo = set(), [(Requirement(r), "") for r in requirements]
    while todo:
        wanted, extra = todo.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        found = distribution(wanted.name)
        assert wanted.specifier.contains(found.version, prereleases=True), (
            f"{wanted} wanted, {found.version} installed"
        )
        for e in ["", *wanted.extras]:
            if (canonicalize_name(wanted.name), e) in names:
                continue
            names.add((canonicalize_name(wanted.name), e))
            todo += [(Requirement(r), e) for r in found.requires or []]
    return {n for n, _ in names}


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    "An interpreter of an empty environment with the wheel, and links to its declared dependencies and no others."
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, symlinks=os.name != "nt")
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = Path(
        sh(
            interpreter, "-c", 'import sysconfig; print(sysconfig.get_path("purelib"))', cwd=folder
        ).strip()
    )
    zipfile.ZipFile(wheel).extractall(site)
    requires = [
        l.removeprefix("Requires-Dist: ")
        for l in read(next(site.glob("genda-*.dist-info")) / "METADATA").splitlines()
        if l.startswith("Requires-Dist: ")
    ]
    for name in closure(r for r in requires if "extra ==" not in r):
        found = distribution(name)
        for top in {f.parts[0] for f in found.files if f.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(found.locate_file(top))
    return interpreter


def test_nothing_undeclared_can_be_seen(python, tmp_path):
    for name in "nbdev", "diffusers", "torchmetrics", "pytest", "sphinx":
        assert (
            sh(
                python,
                "-c",
                f"import importlib.util as u; print(u.find_spec({name!r}))",
                cwd=tmp_path,
            ).strip()
            == "None"
        )


TRAIN_AND_SAMPLE = """
import torch, genda
from fastai.learner import Learner
from genda.core import settings, set_seed
from genda.data import dls
from genda.process import GaussianDiffusion
from genda.unet import UNet
from genda.ddpm import DiffusionCB, DiffusionLoss, ddpm, denoiser, last
assert 'site-packages' in genda.__file__, genda.__file__
set_seed()
loaders = dls('mnist5k', bs=16, n=32)
process = GaussianDiffusion.vp(T=8)
model = UNet(1, channels=(8, 16))
before = [p.detach().clone() for p in model.parameters()]
learn = Learner(loaders, model, loss_func=DiffusionLoss(), cbs=[DiffusionCB(process)])
with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3)
assert any(not torch.equal(a, b.cpu()) for a, b in zip(before, model.parameters())), 'nothing was trained'
xT = torch.randn(2, *loaders.one_batch()[0].shape[1:])
x = last(ddpm(denoiser(model.cpu().eval(), process, 'eps'), process, xT))
assert x.shape == xT.shape and x.isfinite().all() and x.std() > 0
print(settings().file, settings().data)
"""


def test_installed_wheel_trains_a_step_and_samples(python, tmp_path):
    env = dict(
        HOME=str(tmp_path),
        USERPROFILE=str(tmp_path),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        GENDA_DATA="",
        GENDA_BUDGET="smoke",
        OMP_NUM_THREADS="1",
    )
    said = sh(python, "-c", TRAIN_AND_SAMPLE, cwd=tmp_path, **env)
    assert "site-packages" in said and str(tmp_path / "cache") in said


def test_installed_command_helps_samples_and_hands_out_lessons(python, tmp_path):
    """The entry point that pip would make, in an empty folder, with nothing but the declared dependencies."""
    env = dict(
        HOME=str(tmp_path),
        USERPROFILE=str(tmp_path),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        GENDA_DATA="",
        OMP_NUM_THREADS="1",
    )
    entry = sh(
        python,
        "-c",
        'from importlib.metadata import entry_points as e; print(*[p.value for p in e(group="console_scripts", name="genda")])',
        cwd=tmp_path,
    ).strip()

    def genda(*words):
        return sh(
            python,
            "-W",
            "ignore",
            "-c",
            f"import sys; from {entry.replace(':', ' import ')}; sys.exit(main())",
            *words,
            cwd=tmp_path,
            **env,
        )

    assert "genda sample --model digits" in genda("--help")
    assert "10 images in" in genda(
        "sample",
        "--label",
        "0123456789",
        "--steps",
        "3",
        "--guidance",
        "1",
        "--seed",
        "7",
        "--out",
        "digits.png",
    )
    assert (tmp_path / "digits.png").stat().st_size > 1000 and "digits" in genda("zoo")
    genda("lab", "class", "--no-solutions")
    genda("lab", "lab")
    copied = {
        p.relative_to(tmp_path / "lab").as_posix()
        for p in (tmp_path / "lab").rglob("*")
        if p.is_file()
    }
    assert copied == {"settings.ini"} | {
        p.relative_to(ROOT).as_posix()
        for k in ("nbs", "results")
        for p in (ROOT / k).rglob("*")
        if p.is_file()
    }
    for path in (ROOT / "nbs").rglob("*.ipynb"):
        name = path.relative_to(ROOT)
        assert read(tmp_path / "lab" / name) == read(path) and '"solution"' not in read(
            tmp_path / "class" / name
        )
    assert sh(
        python,
        "-W",
        "ignore",
        "-c",
        "from genda.core import settings; print(settings().root)",
        cwd=tmp_path / "lab" / "nbs",
        **env,
    ).strip() == str((tmp_path / "lab").resolve())
