"The sliders in a real browser: JupyterLab with a kernel, Chromium, a hand that drags; the picture is the one that Python computes."

import base64
import importlib
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

WINDOWS = [(1366, 768), (800, 600)]  # a laptop, and a projector of a class room
TOKEN = "of-the-browser-test"
STEPS = 4
SLIDERS = {
    "eta_slider": ("eta", 0, 1, 0.05),
    "alpha_slider": ("alpha", 0, 1, 0.05),
    "guidance_slider": ("w", -1, 6, 0.25),
    "t_slider": ("t", 1, 1000, 1),
    "attribute_buttons": ("w", -1, 6, 0.5),
}  # of each playground its slider: name, range, step
each_window = pytest.mark.parametrize("size", WINDOWS, ids=lambda s: "x".join(map(str, s)))


@pytest.fixture(scope="module")
def jupyter(chromium, tmp_path_factory):
    "The address of a JupyterLab that serves a folder with one notebook; its log when it does not come up."
    folder = tmp_path_factory.mktemp("lab")
    log = folder / "lab.log"
    cell = dict(
        cell_type="code", id="one", metadata={}, source="", outputs=[], execution_count=None
    )
    nb = dict(
        cells=[cell],
        metadata=dict(kernelspec=dict(name="python3", display_name="python3", language="python")),
        nbformat=4,
        nbformat_minor=5,
    )
    (folder / "nbs").mkdir()
    (folder / "nbs" / "sliders.ipynb").write_text(json.dumps(nb))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = os.environ | dict(
        PYTHONPATH=str(ROOT),
        JUPYTER_PREFER_ENV_PATH="1",
        JUPYTER_CONFIG_DIR=str(folder / "config"),
        JUPYTER_DATA_DIR=str(folder / "data"),
        JUPYTER_RUNTIME_DIR=str(folder / "runtime"),
        JUPYTERLAB_SETTINGS_DIR=str(folder / "settings"),
        JUPYTERLAB_WORKSPACES_DIR=str(folder / "workspaces"),
    )
    lab = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={folder / 'nbs'}",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.news_url=None",
        ],
        env=env,
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
    )
    try:
        until(
            lambda: answers(f"http://127.0.0.1:{port}/api/status?token={TOKEN}"),
            120,
            lambda: log.read_text()[-3000:],
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        lab.terminate()
        lab.wait(30)


def answers(url):
    try:
        return (
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2).status
            == 200
        )
    except OSError:
        return False


def until(true, seconds, said=lambda: ""):
    "Wait for something to become true; how it looks instead when it does not."
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"not within {seconds} s: {said()}"
        time.sleep(0.1)
    return found


@contextmanager
def page_of(chromium, address, size, maker):
    "The notebook, opened in a window of a size, with a playground in its one cell."
    context = chromium.new_context(viewport=dict(zip(("width", "height"), size)))
    page = context.new_page()
    page.set_default_timeout(120_000)
    try:
        page.goto(f"{address}/doc/tree/sliders.ipynb?token={TOKEN}&reset")
        page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(
            f'import torch; torch.set_num_threads(1)\nimport genda.widgets as w; playground = w.{maker}(steps={STEPS}); print("made", "{maker}"); playground'
        )
        page.keyboard.press("Shift+Enter")
        page.locator(".jp-OutputArea-output", has_text=f"made {maker}").wait_for(
            timeout=400_000
        )  # a fresh kernel imports everything first
        page.locator(".noUi-handle").wait_for()
        page.locator(".widget-image").wait_for()
        yield page
    finally:
        context.close()


def picture(page):
    "The pixels that the browser was given, decoded."
    data = page.evaluate("""async () => { const blob = await (await fetch(document.querySelector('.widget-image').src)).blob();
        return await new Promise(done => { const r = new FileReader(); r.onload = () => done(r.result); r.readAsDataURL(blob); }); }""")
    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(data.split(",")[1]))).convert("RGB"), dtype=int
    )


def note(page):
    return page.locator(".widget-html-content").last.inner_text()


def value(page):
    return json.loads(page.locator(".widget-readout").inner_text())


@lru_cache
def playground(maker):
    return getattr(importlib.import_module("genda.widgets"), maker)(steps=STEPS)


def shows(page, maker, **values):
    "Wait until the line below the picture names these values; then the picture is the one that Python makes of them."
    import torch

    from genda.widgets import sheet

    ours = playground(maker)
    values = ours.values | values
    told = ", ".join(k if v is True else f"{k} {v:g}" for k, v in values.items() if v is not False)
    until(
        lambda: note(page).startswith(f"{told}: drawn in "),
        60,
        lambda: f"{note(page)!r} instead of {told!r}",
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        want = np.asarray(sheet(ours.images(**values), **ours.how).convert("RGB"), dtype=int)
    finally:
        torch.set_num_threads(threads)
    got = picture(page)
    assert got.shape == want.shape and np.abs(got - want).max() <= 2, told
    return got


def differ(a, b):
    return np.abs(a - b).max() > 20  # ten times what two machines may differ by


def drag(page, shares):
    "Drag the handle over the slider's track, from where it is through `shares` of its width."
    track, handle = (
        page.locator(".noUi-base").bounding_box(),
        page.locator(".noUi-handle").bounding_box(),
    )
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    for share in shares:
        page.mouse.move(
            track["x"] + share * track["width"], handle["y"] + handle["height"] / 2, steps=3
        )
    page.mouse.up()


@each_window
@pytest.mark.parametrize("maker", SLIDERS)
def test_a_dragged_slider_shows_what_python_computes(chromium, jupyter, size, maker):
    name, low, high, step = SLIDERS[maker]
    with page_of(chromium, jupyter, size, maker) as page:
        before = shows(page, maker, **{name: value(page)})
        for shares in ([0.2, 0.35], [0.5, 0.9, 0.1, 0.7, 0.85]):  # a short way, and there and back
            drag(page, shares)
            v = value(page)
            assert abs((v - low) / (high - low) - shares[-1]) < 0.1, (
                "the hand is where the slider says"
            )
            now = shows(page, maker, **{name: v})
            assert differ(now, before), "and that is another picture"
            before = now
        page.locator(".noUi-handle").focus()
        page.keyboard.press("ArrowRight")  # without a mouse, too
        shows(page, maker, **{name: min(high, v + step)})
        shown = page.locator(".widget-image").bounding_box()
        assert shown["x"] >= 0 and shown["x"] + shown["width"] <= size[0], (
            "the whole picture is in the window"
        )
        assert shown["width"] > 300, "and large enough to see"


@each_window
def test_attributes_are_switched(chromium, jupyter, size):
    with page_of(chromium, jupyter, size, "attribute_buttons") as page:
        names = [
            k for k, v in playground("attribute_buttons").values.items() if isinstance(v, bool)
        ]

        def button(a):
            return page.get_by_role("button", name=a.replace("_", " "), exact=True)

        on = {a: "mod-active" in button(a).get_attribute("class") for a in names}
        assert len(on) == 12 and on["No_Beard"] and not on["Eyeglasses"]
        before = shows(page, "attribute_buttons")
        for a, key in ("Eyeglasses", ""), ("No_Beard", ""), ("Smiling", "Space"):
            if key:
                button(a).focus()
                page.keyboard.press(key)
            else:
                button(a).click()
            on[a] = not on[a]
            now = shows(page, "attribute_buttons", **on)
            assert differ(now, before), a
            before = now


def test_a_restless_hand_leaves_no_queue(chromium, jupyter):
    with page_of(chromium, jupyter, WINDOWS[0], "eta_slider") as page:
        shows(page, "eta_slider", eta=0.0)
        drag(page, [i % 11 / 10 for i in range(60)] + [0.4])
        eta = value(page)
        stopped = time.monotonic()
        until(lambda: note(page).startswith(f"eta {eta:g}:"), 60, lambda: note(page))
        took = float(note(page).split("drawn in ")[1].split()[0])
        assert time.monotonic() - stopped < 3 * took + 2, (
            "the last value waits for one walk at most, not for a queue of them"
        )
        time.sleep(1)
        shows(page, "eta_slider", eta=eta)  # and nothing older comes after it
