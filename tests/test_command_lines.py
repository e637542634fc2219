"Wrong command lines: each ends with 1 or 2 and one line that says why, never with a traceback."

import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import INI, ROOT
from PIL import Image

from genda import cli
from genda.cli import COMMANDS, conditions, main, network, recipe, sample
from genda.models.unet import make_net
from genda.training.checkpoints import save_weights
from genda.zoo import check_net

NET = dict(name="unet", in_channels=1, channels=[8, 16], layers=1, fold=2, classes=10)
PLAN = dict(
    data="mnist5k",
    size=28,
    budget="smoke",
    seed=42,
    net=NET,
    process=dict(T=100, schedule="cosine"),
    images=100,
    n=100,
    n_valid=20,
    bs=50,
    lr=[0.006, 0.002],
    drop=0.05,
    decay=0.9,
)
CARD = PLAN | dict(
    predict="v", classes=[str(i) for i in range(10)], sampler=dict(name="ddim", steps=3)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "A folder of images, of networks and of trainings, all tiny."
    home = tmp_path_factory.mktemp("home")
    (home / "a file").write_text("no folder")
    for kind in ("dark", "light"):
        (home / "images" / kind).mkdir(parents=True)
        for i in range(12):
            grey = np.full((16, 16), 9 * i, np.uint8)
            Image.fromarray(grey).save(home / "images" / kind / f"{i}.png")
    (home / "deep").mkdir()
    for i in range(2):
        Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(home / "deep" / f"{i}.png")
    (home / "shadow" / "faces").mkdir(parents=True)
    (home / "shadow" / "digits").mkdir()
    return home


@pytest.fixture
def run(folder, monkeypatch, capsys):
    "Run a command line in the folder: its exit code and its lines on the error stream."
    monkeypatch.chdir(folder)

    def answer(*words):
        try:
            code = main(list(words))
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.err.splitlines()

    return answer


LINES = [  # words, the exit code, what is said
    ("", 2, "COMMAND"),
    ("nosuch", 2, "invalid choice"),
    ("--bogus", 2, "--help"),
    ("sample extra", 2, "unrecognized arguments: extra"),
    ("sample --bogus", 2, "unrecognized arguments: --bogus"),
    ("sample --pdb", 2, "unrecognized arguments: --pdb"),
    ("sample --xtra x", 2, "unrecognized arguments: --xtra"),
    ("sample --n", 2, "expected one argument"),
    ("sample --n x", 2, "invalid int value: 'x'"),
    ("sample --n 2.5", 2, "invalid int value: '2.5'"),
    ("sample --n 0", 1, "at least 1"),
    ("sample --n -1", 1, "at least 1"),
    ("sample --n 1000000000", 1, "at most 1,000 images"),
    ("sample --zoom 0", 1, "at least 1"),
    ("sample --zoom 100000", 1, "100,000,000 pixels in all"),
    ("sample --n 3 --zoom 1000 --out a.webp --steps 2", 1, "sides up to 16,383"),
    ("sample --n 3 --zoom 1000 --out a.jpg --ncols 1", 1, "sides up to 65,500"),
    ("sample --ncols 0", 1, "at least 1"),
    ("sample --steps 0", 1, "1 to T"),
    ("sample --steps -3", 1, "1 to T"),
    ("sample --steps 1000000000", 1, "1 to T"),
    ("sample --steps many", 2, "invalid int"),
    ("sample --eta x", 2, "invalid float"),
    ("sample --eta .5 --sampler heun", 1, "takes no eta"),
    ("sample --guidance nan --label 1", 1, "from -1000 to 1000"),
    ("sample --guidance inf --label 1", 1, "from -1000 to 1000"),
    ("sample --guidance 1e300 --label 1", 1, "from -1000 to 1000"),
    ("sample --guidance 1", 1, "a --label"),
    ("sample --seed -1", 1, "--seed is 0 to"),
    ("sample --seed 99999999999999999999", 1, "--seed is 0 to"),
    ("sample --out a.bmp", 1, "kind of picture '.bmp': one of .png"),
    ("sample --out a", 1, "kind of picture ''"),
    ("sample --out=", 2, "is empty"),
    ("sample --out images", 1, "kind of picture"),
    ("sample --model nosuch", 1, "unknown network 'nosuch': one of"),
    ("sample --model ./nosuch", 1, "no folder ./nosuch"),
    ("sample --model evaluator_mnist", 1, "draws nothing"),
    ("sample --model images", 1, "holds no trained network"),
    (f"sample --model {'x' * 5000}", 1, "xxx ... xxx"),
    ("sample --label ,", 1, "unknown class ''"),
    ("sample --label x", 1, "unknown class 'x'"),
    ("sample --label 1,,2", 1, "unknown class ''"),
    ("sample --label \N{SUPERSCRIPT TWO}", 1, "unknown class"),
    (f"sample --label {'1' * 1001}", 1, "at most 1,000"),
    ("sample --model shapes --label pink", 1, "unknown attribute 'pink'"),
    ("sample --sampler foo", 1, "unknown sampler 'foo'"),
    ("train --data nosuch", 1, "unknown data set 'nosuch': one of"),
    ("train --data ./nosuch", 1, "no folder ./nosuch"),
    ("train --data ~nosuchuser/x", 1, "no folder ~nosuchuser/x"),
    ("train --data images --size 0", 1, "size=0: a whole number from 1 to 4,096"),
    ("train --data images --size -5", 1, "size=-5: a whole number from 1 to 4,096"),
    ("train --data images --size 1000000", 1, "from 1 to 4,096"),
    ("train --data images --size x", 2, "invalid int"),
    ("train --data images --out images/run", 1, "lies inside images"),
    ("train --data . --out run", 1, "lies inside ."),
    ("train --data deep", 1, "0.png, 1.png (more than 8 bits per channel)"),
    ("train --data mnist5k --budget huge", 1, "unknown budget 'huge'"),
    ("train --from", 2, "argument --from: expected one argument"),
    ("train --from nosuch", 1, "unknown network 'nosuch': one of"),
    ("train --from images", 1, "holds no trained network"),
    ("train --rank x --from digits", 2, "argument --rank: invalid int"),
    ("train --rank 4", 1, "say --from digits"),
    ("train --resume nosuch", 1, "holds no training"),
    ("train --resume images", 1, "holds no training"),
    ("data --fetch nosuch", 1, "unknown data set 'nosuch'"),
    ("data extra", 2, "unrecognized"),
    ("zoo --name nosuch", 1, "unknown network 'nosuch'"),
    ("lab", 2, "folder"),
    ("course --lesson nosuch", 1, "unknown lesson 'nosuch'"),
    ("course --budget huge", 1, "unknown budget 'huge'"),
]


def refused(answer, code, says, words):
    got, errors = answer
    assert (got, len(errors)) == (code, 1), (words, answer)
    assert says in errors[0], (words, errors)
    assert len(errors[0]) <= 1600 and "Traceback" not in errors[0], (words, errors)


@pytest.mark.parametrize("words, code, says", LINES, ids=[line[0][:40] or "-" for line in LINES])
def test_a_wrong_line_gets_one_line(run, words, code, says):
    refused(run(*words.split()), code, says, words)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_empty_words_and_files_in_the_place_of_folders(run, name):
    first = dict(sample="--model", train="--data", data="--fetch", zoo="--name", course="--lesson")
    refused(run(name, *filter(None, [first.get(name)]), ""), 2, "is empty", name)


def test_a_file_stands_where_a_folder_is_wanted(run):
    for words in (
        ("sample", "--model", "a file"),
        ("sample", "--model", "./a file"),
        ("sample", "--out", "a file/x.png", "--n", "1", "--steps", "1"),
        ("train", "--data", "a file"),
        ("train", "--resume", "a file"),
        ("lab", "a file"),
        ("lab", "a file/x"),
    ):
        refused(run(*words), 1, "a file", words)


# What a card says that does not fit, and what is said of it.
CARDS = {
    "no network": (dict(net=None), "must be a mapping"),
    "a number": (dict(net=3), "must be a mapping"),
    "another network": (dict(net=dict(name="unet")), "loading state_dict"),
    "wider": (dict(net=NET | dict(channels=[8, 32])), "size mismatch"),
    "text for channels": (dict(net=NET | dict(channels="x")), "channels='x'"),
    "10^9 layers": (dict(net=NET | dict(layers=10**9)), "layers=1000000000: a whole number"),
    "10^9 blocks": (dict(net=NET | dict(mid=10**9)), "mid=1000000000"),
    "10^9 channels": (dict(net=NET | dict(channels=[10**9] * 2)), "channels=1000000000"),
    "many channels": (dict(net=NET | dict(channels=[4096] * 2)), "channels squared"),
    "many levels": (dict(net=NET | dict(channels=[8] * 99)), "entries of channels=99"),
    "no groups": (dict(net=NET | dict(groups=-1)), "groups=-1"),
    "text for classes": (dict(net=NET | dict(classes="x")), "classes='x'"),
    "linear classes": (dict(net=NET | dict(linear=True)), "linear=True"),
    "no prediction": (dict(predict=None), "prediction None"),
    "foreign prediction": (dict(predict="foo"), "prediction 'foo'"),
    "no process": (dict(process=None), "AttributeError"),
    "no steps": (dict(process={}), "T=None"),
    "text for T": (dict(process=dict(T="x")), "T='x'"),
    "T below 0": (dict(process=dict(T=-1)), "T=-1"),
    "T of 10^12": (dict(process=dict(T=10**12)), "T=1000000000000"),
    "foreign constant": (dict(process=dict(T=9, bogus=1)), "bogus"),
    "no sampler": (dict(sampler=3), "TypeError"),
    "sampler without name": (dict(sampler={}), "KeyError"),
    "foreign sampler": (dict(sampler=dict(name="foo")), "sampler 'foo'"),
    "text for steps": (dict(sampler=dict(name="ddim", steps="x")), "steps='x'"),
    "foreign option": (dict(sampler=dict(name="ddim", bogus=3)), "bogus=3"),
    "text for w": (dict(sampler=dict(name="ddim", w="x")), "w='x'"),
    "10^9 for each": (dict(sampler=dict(name="langevin", steps_each=10**9)), "steps_each"),
    "text for size": (dict(size="x"), "size='x'"),
    "no size": (dict(size=0), "size=0"),
    "half a pixel": (dict(size=1.5), "size=1.5"),
    "10^6 px": (dict(size=10**6), "size=1000000"),
    "a number for names": (dict(classes=3), "TypeError"),
    "too few names": (dict(classes=["1"]), "1 classes are named"),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_that_does_not_fit_is_one_line(run, folder, name):
    changes, says = CARDS[name]
    place = folder / "networks" / name.replace(" ", "_")
    save_weights(make_net(**NET), "model", CARD | changes, place, half=True)
    refused(run("sample", "--model", str(place), "--n", "1"), 1, says, name)


def test_a_network_that_gives_no_numbers_draws_nothing(run, folder):
    net = make_net(**NET)
    for weights in net.parameters():
        weights.data.fill_(1e38)
    place = folder / "networks" / "overflows"
    save_weights(net, "model", CARD, place)
    out = folder / "overflows.png"
    refused(
        run("sample", "--model", str(place), "--n", "1", "--out", str(out)), 1, "no numbers", ""
    )
    assert not out.exists()


# What train.json says that `train` would not have written.
PLANS = {
    "empty": "",
    "a list": [],
    "a number": 3,
    "nothing": None,
    "no keys": {},
    "latin": b'{"data": "\xe9"}',
    "half": '{"data":',
    "bs 0": PLAN | dict(bs=0),
    "bs 2.5": PLAN | dict(bs=2.5),
    "text for bs": PLAN | dict(bs="x"),
    "data 3": PLAN | dict(data=3),
    "no data": PLAN | dict(data=None),
    "text for size": PLAN | dict(size="x"),
    "images below 0": PLAN | dict(images=-1),
    "text for images": PLAN | dict(images="x"),
    "n 0": PLAN | dict(n=0),
    "text for lr": PLAN | dict(lr=["x", 0.1]),
    "no lr": PLAN | dict(lr=None),
    "lr below 0": PLAN | dict(lr=[0.1, -1.0]),
    "drop 2": PLAN | dict(drop=2),
    "text for decay": PLAN | dict(decay="x"),
    "net 3": PLAN | dict(net=3),
    "no net": PLAN | dict(net={}),
    "no channels": PLAN | dict(net=NET | dict(channels=[])),
    "10^9 layers": PLAN | dict(net=NET | dict(layers=10**9)),
    "process 3": PLAN | dict(process=3),
    "no process": PLAN | dict(process={}),
    "foreign schedule": PLAN | dict(process=dict(T=9, schedule="foo")),
    "text for seed": PLAN | dict(seed="x"),
    "no seed": PLAN | dict(seed=None),
    "seed of 70 bits": PLAN | dict(seed=2**70),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_that_was_edited_is_one_line(run, folder, name):
    content = PLANS[name]
    place = folder / "plans" / name.replace(" ", "_")
    place.mkdir(parents=True)
    if not isinstance(content, (str, bytes)):
        content = json.dumps(content)
    content = content if isinstance(content, bytes) else content.encode()
    (place / "train.json").write_bytes(content)
    refused(run("train", "--resume", str(place)), 1, "train.json is damaged", name)
    assert (place / "train.json").read_bytes() == content
    assert len(list(place.iterdir())) == 1


def test_networks_that_somebody_trained_have_room():
    for net in (NET, dict(channels=[128, 256, 512, 512], layers=3, groups=32), dict(layers=[1, 2])):
        check_net(net)
    with pytest.raises(ValueError, match=r"groups=0.5: a whole number from 1 to 4,096"):
        check_net(NET | dict(groups=0.5))


def test_a_name_wins_over_a_folder_and_says_so(folder, monkeypatch):
    monkeypatch.chdir(folder / "shadow")
    with pytest.warns(UserWarning, match=r"'digits' is the name.*the folder is \./digits"):
        assert network("digits").card["name"] == "digits"
    with pytest.raises(FileNotFoundError, match="holds no trained network"):
        network("./digits")


def test_a_class_of_two_digits_is_one_class(folder):
    names = ["1", "0", "10"]
    place = folder / "networks" / "ten"
    net = NET | dict(classes=3)
    save_weights(make_net(**net), "model", CARD | dict(net=net, classes=names), place)
    drawing = network(place)
    assert conditions("10", drawing).tolist() == [2]
    assert conditions("1,0", drawing).tolist() == [0, 1]
    with pytest.raises(ValueError, match="unknown class '101'"):
        conditions("101", drawing)
    assert conditions("10", network("digits")).tolist() == [1, 0]


def test_an_image_needs_no_larger_picture(folder, tmp_path):
    sample("digits", n=1, steps=1, ncols=10**12, zoom=100, out=tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size == (2800, 2800)


def owner_may(path, mode):
    "What access() says to the owner of a file; to root it says yes to everything."
    return bool(os.stat(path).st_mode & 0o200)


def state_of(folder):
    "What lies in a folder, links not followed: kind, size and time of change."
    states = {path.name: path.lstat() for path in folder.iterdir()}
    return {name: (s.st_mode, s.st_size, s.st_mtime_ns) for name, s in states.items()}


def refused_out(run, out):
    "Draw into a file that cannot be written: one line that names it, and nothing is drawn."
    answer = run("sample", "--n", "1", "--steps", "1", "--out", out)
    refused(answer, 1, out, out)
    assert ".part" not in answer[1][0]


def test_a_picture_takes_the_place_of_nothing_but_a_file(run, folder, monkeypatch):
    monkeypatch.setattr(os, "access", owner_may)
    place = folder / "outs"
    place.mkdir()
    (place / "folder.png").mkdir()
    (place / "read-only.png").write_text("mine")
    (place / "read-only.png").chmod(0o444)
    (place / "other.webp").write_text("mine")
    (place / "link.png").symlink_to("other.webp")
    names = ["folder.png", "read-only.png", "link.png"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(place / "pipe.png")
        names.append("pipe.png")
    before = state_of(place)
    for name in names:
        refused_out(run, f"outs/{name}")
    place.chmod(0o555)
    refused_out(run, "outs/new.png")
    refused_out(run, "outs/new/new.png")
    place.chmod(0o755)
    assert state_of(place) == before


def test_a_link_stays_one(run, folder):
    (folder / "link.png").symlink_to("elsewhere.png")
    assert run("sample", "--n", "1", "--steps", "1", "--out", "link.png")[0] == 0
    assert (folder / "link.png").is_symlink()
    assert Image.open(folder / "elsewhere.png").size == (112, 112)


def training(folder, name):
    "A folder with the plan of a training of two batches."
    place = folder / name
    place.mkdir()
    (place / "train.json").write_text(json.dumps(PLAN), encoding="utf-8")
    return place


def test_settings_that_cannot_be_read_are_said_once(run, tmp_path, monkeypatch):
    (tmp_path / "settings.ini").write_text("[genda]\nseed = 1\n")
    monkeypatch.chdir(tmp_path)
    for words in (["data"], ["data", "--fetch", "mnist5k"], ["train", "--data", "mnist5k"]):
        refused(run(*words), 1, "settings.ini lacks data", words)


def test_a_training_whose_images_have_changed_says_so(run, folder):
    for kind in ("one", "two"):
        shutil.copytree(folder / "images" / "dark", folder / "grown" / kind)
    words = ["train", "--data", "./grown", "--size", "16", "--budget", "smoke", "--out", "grows"]
    monkey = dict(images=24, channels=(8, 16), steps=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "recipe", lambda budget: recipe(budget) | monkey)
        assert run(*words)[0] == 0
    picture = folder / "grown" / "one" / "3.png"
    before = picture.read_bytes()
    Image.fromarray(np.full((16, 16), 200, np.uint8)).save(picture)
    refused(run("train", "--resume", "grows"), 1, "genda train: grows/checkpoint.safetensors", "")
    picture.unlink()
    refused(run("train", "--resume", "grows"), 1, "the images are not those", "")
    picture.write_bytes(before)
    assert run("train", "--resume", "grows")[0] == 0


def test_a_console_without_a_character_ends_no_training(folder, monkeypatch):
    place = training(folder, "cp1252")
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="cp1252", errors="strict", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["train", "--resume", str(place)]) == 0
    assert b"done" in written.getvalue()
    assert (place / "model.safetensors").is_file()


GENDA = [sys.executable, "-c", "import sys; from genda.cli import main; sys.exit(main())"]


def test_processes_of_their_own_say_one_line(tmp_path):
    env = os.environ | dict(PYTHONPATH=str(ROOT), PYTHONIOENCODING="ascii", GENDA_DATA="")
    for words, code, says in (
        (["sample", "--n", "1000000000"], 1, "at most 1,000 images"),
        (["sample", "--zoom", "x"], 2, "invalid int"),
        (["train", "--data="], 2, "is empty"),
        (["lab", "--pdb", "x"], 2, "unrecognized arguments: --pdb"),
    ):
        done = subprocess.run(
            [*GENDA, *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert not done.stdout
        refused((done.returncode, done.stderr.splitlines()), code, says, words)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device")
def test_an_output_on_a_full_disk_is_one_line(folder):
    place = training(folder, "full-log")
    env = os.environ | dict(PYTHONPATH=str(ROOT), GENDA_DATA="")
    for words, says in (
        (["zoo", "--name", "digits"], "the output: No space left"),
        (["train", "--resume", str(place)], "the output: No space left"),
    ):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [*GENDA, *words],
                cwd=folder,
                env=env,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        refused((done.returncode, done.stderr.splitlines()), 1, says, words)


def test_a_lesson_runs_on_a_console_without_its_characters(tmp_path):
    (tmp_path / "settings.ini").write_text(INI)
    (tmp_path / "nbs" / "1_start").mkdir(parents=True)
    title = dict(
        cell_type="markdown",
        id="a",
        metadata={},
        source="# Fr\N{LATIN SMALL LETTER E WITH ACUTE}chet",
    )
    code = dict(cell_type="code", id="b", metadata={}, outputs=[], execution_count=None)
    code["source"] = "print(chr(955))"
    notebook = dict(cells=[title, code], metadata={}, nbformat=4, nbformat_minor=5)
    (tmp_path / "nbs" / "1_start" / "1_says.ipynb").write_text(json.dumps(notebook))
    env = os.environ | dict(PYTHONPATH=str(ROOT), PYTHONIOENCODING="ascii", GENDA_DATA="")
    words = ["course", "--lesson", "1_says", "--budget", "smoke"]
    done = subprocess.run([*GENDA, *words], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Fr?chet" in done.stdout
