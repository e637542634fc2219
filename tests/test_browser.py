"The sliders in JupyterLab and Chromium: a hand drags, the picture is the one that Python computes."

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
# playground -> its slider: name, range, step
SLIDERS = {
    "eta_slider": ("eta", 0, 1, 0.05),
    "alpha_slider": ("alpha", 0, 1, 0.05),
    "guidance_slider": ("w", -1, 6, 0.25),
    "t_slider": ("t", 1, 1000, 1),
    "attribute_buttons": ("w", -1, 6, 0.5),
}
each_window = pytest.mark.parametrize("size", WINDOWS, ids=lambda size: f"{size[0]}x{size[1]}")


def notebook_of(source=""):
    "A notebook with one cell that has not run yet, as JSON."
    cell = dict(
        cell_type="code", id="one", metadata={}, source=source, outputs=[], execution_count=None
    )
    kernel = dict(name="python3", display_name="python3", language="python")
    notebook = dict(cells=[cell], metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5)
    return json.dumps(notebook)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def jupyter(chromium, tmp_path_factory):
    "A JupyterLab with one notebook: its address, and the notebook's file."
    folder = tmp_path_factory.mktemp("lab")
    log = folder / "lab.log"
    (folder / "nbs").mkdir()
    notebook = folder / "nbs" / "sliders.ipynb"
    notebook.write_text(notebook_of())
    port = free_port()
    address = f"http://127.0.0.1:{port}"
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
        status = f"{address}/api/status?token={TOKEN}"
        until(lambda: answers(status), 120, lambda: log.read_text()[-3000:])
        yield address, notebook
    finally:
        lab.terminate()
        lab.wait(30)


def answers(url):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return direct.open(url, timeout=2).status == 200
    except OSError:
        return False


def until(condition, seconds, explain):
    "Wait for something to become true; `explain` says how it looks when it does not."
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {explain()}"
        time.sleep(0.1)


MAKE = """import torch
torch.set_num_threads(1)
import genda.widgets as w
playground = w.{maker}(steps={steps})
print("made", "{maker}")
playground"""


@contextmanager
def page_of(chromium, jupyter, size, maker):
    "The notebook, opened in a window of a size, with a playground in its one cell."
    address, notebook = jupyter
    notebook.write_text(notebook_of(MAKE.format(maker=maker, steps=STEPS)))
    width, height = size
    context = chromium.new_context(viewport=dict(width=width, height=height))
    page = context.new_page()
    page.set_default_timeout(120_000)
    try:
        # JupyterLab drops a cell that is run before the page has heard from its kernel.
        with page.expect_websocket(lambda socket: "/channels" in socket.url) as kernel:
            page.goto(f"{address}/doc/tree/sliders.ipynb?token={TOKEN}&reset")
        kernel.value.wait_for_event("framereceived")
        idle = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'
        page.locator(idle).wait_for(state="attached")
        page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        made = page.locator(".jp-OutputArea-output", has_text=f"made {maker}")
        until(made.is_visible, 200, lambda: page.locator("body").inner_text()[-2000:])
        page.locator(".noUi-handle").wait_for()
        page.locator(".widget-image").wait_for()
        yield page
    finally:
        context.close()


READ_IMAGE = """async () => {
    const source = document.querySelector('.widget-image').src;
    const blob = await (await fetch(source)).blob();
    return await new Promise(done => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result);
        reader.readAsDataURL(blob);
    });
}"""


def picture(page):
    "The pixels that the browser was given, decoded."
    _, encoded = page.evaluate(READ_IMAGE).split(",")
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    return np.asarray(image.convert("RGB"), dtype=int)


def note(page):
    return page.locator(".widget-html-content").last.inner_text()


def value(page):
    return json.loads(page.locator(".widget-readout").inner_text())


@lru_cache
def playground(maker):
    return getattr(importlib.import_module("genda.widgets"), maker)(steps=STEPS)


def named(value_of):
    "The values of a playground, as the line below its picture names them."
    chosen = {name: value for name, value in value_of.items() if value is not False}
    return ", ".join(name if v is True else f"{name} {v:g}" for name, v in chosen.items())


def python_draws(maker, values):
    "The pixels of the picture that Python makes of these values."
    import torch

    from genda.widgets import sheet

    ours = playground(maker)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        image = sheet(ours.images(**values), **ours.how)
    finally:
        torch.set_num_threads(threads)
    return np.asarray(image.convert("RGB"), dtype=int)


def shows(page, maker, **values):
    """Wait until the line below the picture names these values; the picture, as pixels.

    It must be the one that Python makes of them.
    """
    values = playground(maker).values | values
    text = named(values)
    until(
        lambda: note(page).startswith(f"{text}: drawn in "),
        60,
        lambda: f"{note(page)!r} instead of {text!r}",
    )
    shown = picture(page)
    ours = python_draws(maker, values)
    assert shown.shape == ours.shape, text
    assert np.abs(shown - ours).max() <= 2, text
    return shown


def differ(a, b):
    return np.abs(a - b).max() > 20  # ten times what two machines may differ by


def drag(page, shares):
    "Drag the handle over the slider's track, from where it is through `shares` of its width."
    track = page.locator(".noUi-base").bounding_box()
    handle = page.locator(".noUi-handle").bounding_box()
    middle = handle["y"] + handle["height"] / 2
    page.mouse.move(handle["x"] + handle["width"] / 2, middle)
    page.mouse.down()
    for share in shares:
        page.mouse.move(track["x"] + share * track["width"], middle, steps=3)
    page.mouse.up()


@each_window
@pytest.mark.parametrize("maker", SLIDERS)
def test_a_dragged_slider_shows_what_python_computes(chromium, jupyter, size, maker):
    name, low, high, step = SLIDERS[maker]
    with page_of(chromium, jupyter, size, maker) as page:
        before = shows(page, maker, **{name: value(page)})
        # A short way, and there and back.
        for shares in ([0.2, 0.35], [0.5, 0.9, 0.1, 0.7, 0.85]):
            drag(page, shares)
            v = value(page)
            share = (v - low) / (high - low)
            assert abs(share - shares[-1]) < 0.1, "the hand is where the slider says"
            now = shows(page, maker, **{name: v})
            assert differ(now, before), "and that is another picture"
            before = now
        page.locator(".noUi-handle").focus()
        page.keyboard.press("ArrowRight")  # without a mouse, too
        shows(page, maker, **{name: min(high, v + step)})
        shown = page.locator(".widget-image").bounding_box()
        assert shown["x"] >= 0
        assert shown["x"] + shown["width"] <= size[0], "the whole picture is in the window"
        assert shown["width"] > 300, "and large enough to see"


@each_window
def test_attributes_are_switched(chromium, jupyter, size):
    with page_of(chromium, jupyter, size, "attribute_buttons") as page:
        values = playground("attribute_buttons").values
        names = [name for name, v in values.items() if isinstance(v, bool)]

        def button(name):
            return page.get_by_role("button", name=name.replace("_", " "), exact=True)

        on = {name: "mod-active" in button(name).get_attribute("class") for name in names}
        assert len(on) == 12
        assert on["No_Beard"]
        assert not on["Eyeglasses"]
        before = shows(page, "attribute_buttons")
        for name, key in (("Eyeglasses", None), ("No_Beard", None), ("Smiling", "Space")):
            if key:
                button(name).focus()
                page.keyboard.press(key)
            else:
                button(name).click()
            on[name] = not on[name]
            now = shows(page, "attribute_buttons", **on)
            assert differ(now, before), name
            before = now


def test_a_restless_hand_leaves_no_queue(chromium, jupyter):
    with page_of(chromium, jupyter, WINDOWS[0], "eta_slider") as page:
        shows(page, "eta_slider", eta=0.0)
        drag(page, [i % 11 / 10 for i in range(60)] + [0.4])
        eta = value(page)
        stopped = time.monotonic()
        until(lambda: note(page).startswith(f"eta {eta:g}:"), 60, lambda: note(page))
        took = float(note(page).split("drawn in ")[1].split()[0])
        waited = time.monotonic() - stopped
        assert waited < 3 * took + 2, "the last value waits for one trajectory at most, not a queue"
        time.sleep(1)
        shows(page, "eta_slider", eta=eta)  # and nothing older comes after it
