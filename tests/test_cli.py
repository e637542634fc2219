"The command as a shell calls it: exit codes, one line on bad input, Ctrl-C; what the texts say."

import ast
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import NOTEBOOKS, ROOT, code, name_of, read
from fastcore.docments import docments
from PIL import Image

from genda.cli import (
    COMMANDS,
    SAMPLER_NAMES,
    conditions,
    course_folder,
    find_lesson,
    lab,
    network,
    parser,
    recipe,
    sample,
)
from genda.diffusion.ddpm import generate
from genda.diffusion.samplers import SAMPLERS
from genda.settings import settings
from genda.widgets import sheet
from genda.zoo import sample_card

ENV = os.environ | dict(
    PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", GENDA_DATA="", PYTHONUNBUFFERED="1"
)
GENDA = [sys.executable, "-c", "import sys; from genda.__main__ import main; sys.exit(main())"]


def genda(*words, cwd):
    "Exit code, what it printed, and its errors."
    command = [*GENDA, *map(str, words)]
    done = subprocess.run(command, cwd=cwd, env=ENV, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["sample", "--label", "x"], 1, "unknown class 'x'"),
        (["sample", "--steps", "many"], 2, "invalid int"),
        (["train", "--resume", "nowhere"], 1, "holds no training"),
        ([], 2, "COMMAND"),
    ],
)
def test_bad_input_is_one_line_and_not_zero(tmp_path, words, code, message):
    got, out, err = genda(*words, cwd=tmp_path)
    assert got == code
    assert message in err
    assert len(err.splitlines()) == 1, err
    assert not out
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_help_needs_no_pytorch(tmp_path):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *GENDA[1:], "--help"],
        cwd=tmp_path,
        env=ENV,
        capture_output=True,
        text=True,
    )
    times = [line for line in done.stderr.splitlines() if line.startswith("import time")]
    loaded = {line.split("|")[-1].strip() for line in times}
    assert done.returncode == 0
    assert "genda sample --model digits" in done.stdout
    assert "fastcore.script" in loaded
    assert not loaded & {"torch", "fastai", "matplotlib", "pandas", "genda.settings"}


LARGE = ("torch", "fastai", "scipy", "pandas", "matplotlib", "sklearn", "torchvision", "genda.zoo")
WITHOUT_PYTORCH = [  # words, the exit code, what is said
    ("data", 0, "mnist5k"),
    ("data --fetch nosuch", 1, "unknown data set 'nosuch'"),
    ("zoo", 0, "976,572 parameters"),
    ("zoo --name digits", 0, '"sha256"'),
    ("zoo --name nosuch", 1, "unknown network 'nosuch'"),
    ("sample --model nosuch", 1, "unknown network 'nosuch'"),
    ("sample --model ./nosuch", 1, "no folder ./nosuch"),
    ("sample --model evaluator_mnist", 1, "draws nothing"),
    ("sample --label x", 1, "unknown class 'x'"),
    ("sample --model shapes --label pink", 1, "unknown attribute 'pink'"),
    ("sample --sampler nosuch", 1, "unknown sampler 'nosuch'"),
    ("sample --steps 0", 1, "1 to T"),
    ("sample --n 0", 1, "at least 1"),
    ("sample --zoom 100000", 1, "100,000,000 pixels in all"),
    ("sample --inpaint no.png --mask no.png", 1, "no.png: No such file"),
    ("train --data nosuch", 1, "unknown data set 'nosuch'"),
    ("train --data ./nosuch", 1, "no folder ./nosuch"),
    ("train --data mnist5k --size 0", 1, "size=0"),
    ("train --budget nosuch", 1, "unknown budget 'nosuch'"),
    ("train --from faces", 1, "takes classes"),
    ("train --rank 4", 1, "say --from digits"),
    ("train --resume nosuch", 1, "holds no training"),
    ("course --budget nosuch", 1, "unknown budget 'nosuch'"),
]


@pytest.mark.parametrize("words, code, says", WITHOUT_PYTORCH)
def test_lists_and_errors_do_not_wait_for_pytorch(tmp_path, words, code, says):
    script = (
        "import sys; from genda.__main__ import main; code = main(); "
        f"print([name for name in {LARGE} if name in sys.modules], code)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, *words.split()],
        cwd=tmp_path,
        env=ENV,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == f"[] {code}", done.stderr
    assert says in done.stdout + done.stderr
    assert time.perf_counter() - start < 30, "a second where nothing else runs"


LABELS = dict(
    digits="31",
    digits_score="3",
    digits_few="31",
    mnistm="31",
    faces="Smiling,Eyeglasses",
    shapes="red cube,blue sphere",
)


def shows(path, images):
    "Whether a file shows these images, to two grey levels of 256."
    want = np.asarray(sheet(images, 10, 1).convert("RGB"), dtype=int)
    return np.abs(np.asarray(Image.open(path).convert("RGB"), dtype=int) - want).max() <= 2


@pytest.mark.parametrize("name", LABELS)
def test_each_network_draws_as_its_card_says(tmp_path, name):
    out = tmp_path / "a.png"
    n = 1 if name == "digits_score" else 2  # Langevin is slow
    sample(name, LABELS[name], n=n, zoom=1, out=out)
    drawing = network(name)
    y = conditions(LABELS[name], drawing, n)
    assert shows(out, sample_card(drawing.model, drawing.card, y))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_with_the_score_network(tmp_path, sampler):
    out = tmp_path / "a.png"
    sample("digits_score", "31", sampler=sampler, steps=3, guidance=0, zoom=1, out=out)
    drawing = network("digits_score")
    _, options, _ = drawing.how(sampler, steps=3)
    x = generate(
        drawing.denoise(),
        drawing.process,
        drawing.shape,
        conditions("31", drawing),
        sampler=SAMPLERS[sampler],
        progress=False,
        **options,
    )
    assert shows(out, x)


def test_one_object_is_a_condition(tmp_path):
    out = tmp_path / "a.png"
    sample("shapes", "red cube", n=1, steps=2, out=out)
    assert out.is_file()


def painted(folder, size=(28, 28), white=(14, 28)):
    "Files of a picture and of a mask whose rows from the one to the other are white."
    grey = np.full((28, 28), 60, np.uint8)
    grey[:, 10:14] = 250
    Image.fromarray(grey).save(folder / "picture.png")
    mask = Image.new("L", size)
    mask.paste(255, (0, white[0], size[0], white[1]))
    mask.save(folder / "mask.png")
    return dict(inpaint=folder / "picture.png", mask=folder / "mask.png")


@pytest.mark.parametrize("options", [dict(), dict(sampler="ddim"), dict(eta=1.0, label="3")])
def test_a_picture_is_kept_where_the_mask_is_black(tmp_path, options):
    out = tmp_path / "a.png"
    sample(n=2, steps=2, zoom=1, out=out, **painted(tmp_path), **options)
    drawn = np.asarray(Image.open(out).convert("L"), dtype=int)
    first, second = drawn[:, :28], drawn[:, 29:]
    want = np.asarray(Image.open(tmp_path / "picture.png"), dtype=int)
    assert np.abs(first[:14] - want[:14]).max() <= 2
    assert np.abs(second[:14] - want[:14]).max() <= 2
    assert (first[14:] != second[14:]).any()
    assert np.abs(first[14:] - want[14:]).max() > 20


@pytest.mark.parametrize(
    "files, message",
    [
        (dict(size=(30, 28)), "mask.png is 30x28: the network draws 28x28"),
        (dict(white=(0, 0)), "holds no white"),
        (dict(mask=None), "--inpaint and --mask go together"),
        (dict(inpaint=None), "--inpaint and --mask go together"),
        (dict(inpaint="nowhere.png"), "No such file"),
        (dict(mask="words.txt"), "is no picture"),
    ],
)
def test_what_is_wrong_with_a_picture_or_its_mask_is_said(tmp_path, files, message):
    (tmp_path / "words.txt").write_text("no picture")
    given = painted(tmp_path, **{k: v for k, v in files.items() if k in ("size", "white")})
    for option in ("inpaint", "mask"):
        if option in files:
            given[option] = files[option] and tmp_path / files[option]
    with pytest.raises((ValueError, OSError), match=message):
        sample(n=1, steps=2, out=tmp_path / "a.png", **given)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("budget", ["smoke", "lesson", "full"])
def test_training_has_the_numbers_of_the_lesson(budget):
    source = next(s for s in code(ROOT / "nbs/2_diffusion/3_ddpm.ipynb") if "hp = budget(" in s)
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    call = next(node for node in calls if getattr(node.func, "id", "") == "budget")
    numbers = eval(ast.unparse(call), dict(budget=dict))
    numbers |= numbers.get(budget, {})
    ours = recipe(budget)
    assert ours.pop("budget") == budget
    assert ours == {name: numbers[name] for name in ours}


def train(*words, cwd, stop_after=None):
    "Train, and press Ctrl-C as soon as a file is there; exit code, what it printed, its errors."
    job = subprocess.Popen(
        [*GENDA, "train", *words],
        cwd=cwd,
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    if stop_after:
        for _ in range(1200):
            if (cwd / stop_after).exists() or job.poll() is not None:
                break
            time.sleep(0.1)
        job.send_signal(signal.SIGINT)
    out, err = job.communicate(timeout=300)
    return job.returncode, out, err


@pytest.mark.skipif(
    os.name == "nt", reason="a test cannot send Ctrl-C to another process on Windows"
)
def test_ctrl_c_leaves_what_resume_needs(tmp_path):
    run = tmp_path / "run"
    start = ["--data", "mnist5k", "--budget", "smoke", "--out"]
    code, out, err = train(*start, "run", cwd=tmp_path, stop_after="run/checkpoint.safetensors")
    assert code == 130, (out, err)
    assert "genda train --resume run goes on" in err
    assert "Traceback" not in err
    assert (run / "checkpoint.safetensors").is_file()
    assert not (run / "model.safetensors").exists()
    code, out, err = train("--resume", "run", cwd=tmp_path)
    assert code == 0, (out, err)
    assert "going on after batch" in out
    code, out, err = train(*start, "whole", cwd=tmp_path)
    assert code == 0, (out, err)
    assert "epochs of" in out
    assert "on images held out" in out
    whole = (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert (run / "model.safetensors").read_bytes() == whole, "the same network, to the last bit"


def commands_in(text):
    "The words of each genda command in code blocks and between backticks."
    lines = re.findall(r"`([^`\n]+)`", text)
    for block in re.findall(r"^```(?:sh|bat)\n(.*?)^```", text, re.S | re.M):
        lines += block.splitlines()
    for line in lines:
        command = re.match(r"(?:genda-env/bin/)?(genda (?!\S*=).*)", line)
        if command:
            yield shlex.split(command[1])[1:]


@pytest.mark.parametrize("name", ["README.md", "docs/start.md", "docs/teach.md"])
def test_commands_in_the_texts_parse(name):
    commands = list(commands_in(read(ROOT / name)))
    assert len(commands) >= 3
    for words in commands:
        if "--help" in words:
            assert words[0] in [*COMMANDS, "--help"]
        else:
            assert parser().parse_args(words).command in COMMANDS, words


def cells_of(folder):
    "The cells of each notebook of a folder, by the notebook's name."
    found = {}
    for path in (folder / "nbs").rglob("*.ipynb"):
        name = path.relative_to(folder / "nbs").with_suffix("").as_posix()
        found[name] = json.loads(read(path))["cells"]
    return found


def is_solution(cell):
    return "solution" in cell["metadata"].get("tags", [])


def test_lessons_are_copied_whole(tmp_path, monkeypatch):
    lab(tmp_path / "lab")
    assert cells_of(tmp_path / "lab") == cells_of(course_folder())
    monkeypatch.chdir(tmp_path / "lab" / "nbs" / "2_diffusion")
    assert settings().root == (tmp_path / "lab").resolve()
    assert settings().data == (tmp_path / "lab" / "data").resolve()


def test_a_handout_lacks_the_solutions_and_nothing_else(tmp_path):
    lab(tmp_path / "class", solutions=False)
    handout = cells_of(tmp_path / "class")
    originals = cells_of(course_folder())
    assert list(map(len, handout.values())) == [len(originals[name]) for name in handout]
    removed = 0
    for name, cells in handout.items():
        for ours, theirs in zip(originals[name], cells):
            if is_solution(ours):
                removed += 1
                assert theirs["source"] == ["# your solution"] and not theirs["outputs"]
                assert not is_solution(theirs)
            else:
                assert theirs == ours
    assert removed > len(handout) == len(originals)


def test_a_lesson_is_found_by_its_full_name_or_its_last_part():
    for name in ("5_samplers", "2_diffusion/5_samplers"):
        assert find_lesson(name, ROOT) == "2_diffusion/5_samplers"
    with pytest.raises(ValueError, match=r"unknown lesson '5_nothing': one of .*5_samplers"):
        find_lesson("5_nothing", ROOT)


def test_help_lists_every_sampler():
    said = docments(sample)["sampler"].split("by default")[0]
    assert re.split(r", | or ", said.strip(" ;\n")) == list(SAMPLERS) == list(SAMPLER_NAMES)


def test_teachers_tables_follow_from_lessons_and_results():
    sys.path.insert(0, str(ROOT / "docs"))
    import timetable

    rows = list(timetable.read())
    text = "\n".join(timetable.timetable())
    assert [row["path"] for row in rows] == NOTEBOOKS
    for path in NOTEBOOKS:
        assert f"](lessons/{name_of(path)}.ipynb) |" in text
    ddpm = next(row for row in rows if name_of(row["path"]) == "2_diffusion/3_ddpm")
    assert ddpm["result"]["seconds"] > 0
    assert ddpm["exercises"] >= 3
    assert timetable.without_links(ddpm["about"]["needs"]) in text
    plan = timetable.sessions(rows)
    assert [row for session in plan for row in session] == rows
    for session in plan:
        assert len(session) == 1 or sum(map(timetable.total, session)) <= timetable.SESSION


def test_workflow_for_a_class_is_one_command_each():
    make = read(ROOT / "Makefile")
    text = read(ROOT / "docs/teach.md")
    assert "pip wheel" in make
    assert "-w wheels '.[course]'" in make
    assert "make wheels" in text
    assert '--no-index --find-links wheels "genda[course]"' in text
