"The sliders in a real browser: JupyterLab with a kernel, Chromium, a hand that drags; the picture is the one that Python computes."
import base64, io, json, os, socket, subprocess, sys, time, urllib.request
from contextlib import contextmanager
import numpy as np, pytest
from PIL import Image
from conftest import ROOT

WINDOWS = [(1366, 768), (800, 600)]  # a laptop, and a projector of a class room
TOKEN = 'of-the-browser-test'
STEPS = 4
CODE = f'''import torch; torch.set_num_threads(1)
from genda.widgets import eta_slider
etas = eta_slider(steps={STEPS}); etas'''

@pytest.fixture(scope='module')
def jupyter(chromium, tmp_path_factory):
    "The address of a JupyterLab that serves a folder with one notebook; its log when it does not come up."
    folder = tmp_path_factory.mktemp('lab'); log = folder/'lab.log'
    cell = dict(cell_type='code', id='one', metadata={}, source=CODE, outputs=[], execution_count=None)
    nb = dict(cells=[cell], metadata=dict(kernelspec=dict(name='python3', display_name='python3', language='python')), nbformat=4, nbformat_minor=5)
    (folder/'nbs').mkdir(); (folder/'nbs'/'sliders.ipynb').write_text(json.dumps(nb))
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]
    env = os.environ | dict(PYTHONPATH=str(ROOT), JUPYTER_PREFER_ENV_PATH='1', JUPYTER_CONFIG_DIR=str(folder/'config'), JUPYTER_DATA_DIR=str(folder/'data'),
                            JUPYTER_RUNTIME_DIR=str(folder/'runtime'), JUPYTERLAB_SETTINGS_DIR=str(folder/'settings'), JUPYTERLAB_WORKSPACES_DIR=str(folder/'workspaces'))
    lab = subprocess.Popen([sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--ip=127.0.0.1', f'--port={port}', f'--IdentityProvider.token={TOKEN}',
        f'--ServerApp.root_dir={folder/"nbs"}', '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate', '--LabApp.news_url=None'], env=env, stdout=log.open('w'), stderr=subprocess.STDOUT)
    try:
        until(lambda: answers(f'http://127.0.0.1:{port}/api/status?token={TOKEN}'), 120, lambda: log.read_text()[-3000:])
        yield f'http://127.0.0.1:{port}'
    finally: lab.terminate(); lab.wait(30)

def answers(url):
    try: return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2).status == 200
    except OSError: return False

def until(true, seconds, said=lambda: ''):
    "Wait for something to become true; how it looks instead when it does not."
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f'not within {seconds} s: {said()}'
        time.sleep(.1)
    return found

@contextmanager
def page_of(chromium, address, size):
    "The notebook, opened in a window of a size, its cell run."
    context = chromium.new_context(viewport=dict(zip(('width', 'height'), size))); page = context.new_page(); page.set_default_timeout(120_000)
    try:
        page.goto(f'{address}/doc/tree/sliders.ipynb?token={TOKEN}&reset')
        page.locator('.jp-Notebook .jp-CodeCell .cm-content').first.click()
        page.keyboard.press('Shift+Enter')
        page.locator('.noUi-handle').wait_for(); page.locator('.widget-image').wait_for()
        yield page
    finally: context.close()

def picture(page):
    "The pixels that the browser was given, decoded."
    data = page.evaluate("""async () => { const blob = await (await fetch(document.querySelector('.widget-image').src)).blob();
        return await new Promise(done => { const r = new FileReader(); r.onload = () => done(r.result); r.readAsDataURL(blob); }); }""")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.split(',')[1]))).convert('RGB'), dtype=int)

def note(page): return page.locator('.widget-html-content', has_text='eta').last.inner_text()
def value(page): return float(page.locator('.widget-readout').inner_text())

def computed(eta):
    "What Python makes of that value."
    import torch
    from genda.widgets import eta_slider, sheet
    threads = torch.get_num_threads(); torch.set_num_threads(1)
    try: return np.asarray(sheet(eta_slider(steps=STEPS).images(eta=eta)).convert('RGB'), dtype=int)
    finally: torch.set_num_threads(threads)

def drag(page, shares):
    "Drag the handle over the slider's track, from where it is through `shares` of its width."
    track, handle = page.locator('.noUi-base').bounding_box(), page.locator('.noUi-handle').bounding_box()
    page.mouse.move(handle['x'] + handle['width']/2, handle['y'] + handle['height']/2); page.mouse.down()
    for share in shares: page.mouse.move(track['x'] + share*track['width'], handle['y'] + handle['height']/2, steps=3)
    page.mouse.up()

@pytest.mark.parametrize('size', WINDOWS, ids=lambda s: 'x'.join(map(str, s)))
def test_a_dragged_slider_shows_what_python_computes(chromium, jupyter, size):
    with page_of(chromium, jupyter, size) as page:
        until(lambda: 'eta 0:' in note(page), 120); first = picture(page)
        assert np.abs(first - computed(0.)).max() <= 2 and value(page) == 0
        for shares in ([.2, .35], [.5, .9, .1, .7, .6]):       # a short way, and there and back
            drag(page, shares); eta = value(page)
            assert abs(eta - shares[-1]) < .1, 'the hand is where the slider says'
            until(lambda: f'eta {eta:g}:' in note(page), 60, lambda: note(page))
            assert np.abs(picture(page) - computed(eta)).max() <= 2, f'eta {eta}'
            assert np.abs(picture(page) - first).max() > 100, 'and that is another picture'
        shown = page.locator('.widget-image').bounding_box()
        assert shown['x'] >= 0 and shown['x'] + shown['width'] <= size[0], 'the whole picture is in the window'
        assert shown['width'] > 300, 'and large enough to see'
        page.locator('.noUi-handle').focus(); page.keyboard.press('ArrowRight')   # without a mouse, too
        until(lambda: f'eta {eta + .05:g}:' in note(page), 60, lambda: note(page))

def test_a_restless_hand_leaves_no_queue(chromium, jupyter):
    with page_of(chromium, jupyter, WINDOWS[0]) as page:
        until(lambda: 'eta 0:' in note(page), 120)
        drag(page, [i % 11/10 for i in range(60)] + [.4]); eta = value(page)
        stopped = time.monotonic(); until(lambda: f'eta {eta:g}:' in note(page), 60, lambda: note(page))
        took = float(note(page).split('drawn in ')[1].split()[0])
        assert time.monotonic() - stopped < 3*took + 2, 'the last value waits for one walk at most, not for a queue of them'
        assert np.abs(picture(page) - computed(eta)).max() <= 2
        time.sleep(1); assert f'eta {eta:g}:' in note(page), 'and nothing older comes after it'
