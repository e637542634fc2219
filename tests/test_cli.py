"The command as a shell calls it: exit codes, one line on bad input, Ctrl-C and what it leaves; and what the texts say of it."

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
from conftest import NOTEBOOKS, ROOT, read

from genda.cli import COMMANDS, parser

ENV = os.environ | dict(
    PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", GENDA_DATA="", PYTHONUNBUFFERED="1"
)
GENDA = [sys.executable, "-c", "import sys; from genda.cli import main; sys.exit(main())"]


def genda(*words, cwd):
    done = subprocess.run(
        [*GENDA, *map(str, words)], cwd=cwd, env=ENV, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def test_bad_input_is_one_line_and_not_zero(tmp_path):
    for words, code, said in (
        (["sample", "--label", "x"], 1, "unknown class 'x'"),
        (["sample", "--steps", "many"], 2, "invalid int"),
        (["train", "--resume", "nowhere"], 1, "holds no training"),
        ([], 2, "COMMAND"),
    ):
        got, out, err = genda(*words, cwd=tmp_path)
        assert got == code and said in err and len(err.splitlines()) == 1 and not out, (
            words,
            got,
            out,
            err,
        )
    assert not list(tmp_path.iterdir()), "and nothing is left behind"


def test_help_needs_no_pytorch(tmp_path):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *GENDA[1:], "--help"],
        cwd=tmp_path,
        env=ENV,
        capture_output=True,
        text=True,
    )
    loaded = {
        l.split("|")[-1].strip() for l in done.stderr.splitlines() if l.startswith("import time")
    }
    assert (
        done.returncode == 0
        and "genda sample --model digits" in done.stdout
        and "fastcore.script" in loaded
    )
    assert not loaded & {"torch", "fastai", "matplotlib", "pandas", "genda.core"}


@pytest.mark.skipif(
    os.name == "nt", reason="a test cannot send Ctrl-C to another process on Windows"
)
def test_ctrl_c_leaves_what_resume_needs(tmp_path):
    def train(*words, stop_after=None):
        job = subprocess.Popen(
            [*GENDA, "train", *words],
            cwd=tmp_path,
            env=ENV,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        if stop_after:
            for _ in range(1200):
                if (tmp_path / stop_after).exists() or job.poll() is not None:
                    break
                time.sleep(0.1)
            job.send_signal(signal.SIGINT)
        out, err = job.communicate(timeout=300)
        return job.returncode, out, err

    start = ["--data", "mnist5k", "--budget", "smoke", "--out"]
    code, out, err = train(*start, "run", stop_after="run/checkpoint.safetensors")
    assert code == 130 and "genda train --resume run goes on" in err and "Traceback" not in err, (
        code,
        out,
        err,
    )
    assert (tmp_path / "run/checkpoint.safetensors").is_file() and not (
        tmp_path / "run/model.safetensors"
    ).exists()
    code, out, err = train("--resume", "run")
    assert code == 0 and "going on after batch" in out, (code, out, err)
    code, out, err = train(*start, "whole")
    assert code == 0 and "epochs of" in out and "valid_loss" in out, (code, out, err)
    assert (tmp_path / "run/model.safetensors").read_bytes() == (
        tmp_path / "whole/model.safetensors"
    ).read_bytes(), "the same network, to the last bit"


@pytest.mark.parametrize("name", ["README.md", "docs/teach.md"])
def test_commands_in_the_texts_parse(name):
    text = read(ROOT / name)
    lines = [
        l
        for b in re.findall(r"^```(?:sh|bat)\n(.*?)^```", text, re.S | re.M)
        for l in b.splitlines()
    ] + re.findall(r"`([^`\n]+)`", text)
    commands = [
        shlex.split(m[1])[1:]
        for l in lines
        if (m := re.match(r"(?:genda-env/bin/)?(genda (?!\S*=).*)", l))
    ]
    assert len(commands) >= 3
    for words in commands:
        if "--help" in words:
            assert words[0] in [*COMMANDS, "--help"]
        else:
            assert parser().parse_args(words).command in COMMANDS, words


def test_teachers_tables_follow_from_lessons_and_results():
    sys.path.insert(0, str(ROOT / "docs"))
    from timetable import minutes, sessions, timetable
    from timetable import read as lessons

    rows, text = list(lessons()), "\n".join(timetable())
    assert [r["path"] for r in rows] == [p for p in NOTEBOOKS if p.parent.name == "nbs"] and all(
        f"](lessons/{r['path'].name}) |" in text for r in rows
    )
    ddpm = next(r for r in rows if r["module"] == "ddpm")
    assert (
        ddpm["minutes"]
        and ddpm["exercises"] >= 3
        and {"core", "process", "unet", "metrics"} <= set(ddpm["modules"])
    )
    plan = sessions(rows)
    assert [r for part in plan for r in part] == rows and all(
        sum(map(minutes, part)) <= 90 or len(part) == 1 for part in plan
    )


def test_workflow_for_a_class_is_one_command_each():
    make, text = read(ROOT / "Makefile"), read(ROOT / "docs/teach.md")
    assert (
        "pip wheel" in make
        and "-w wheels '.[course]'" in make
        and "make wheels" in text
        and '--no-index --find-links wheels "genda[course]"' in text
    )
