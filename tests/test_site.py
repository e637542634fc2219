"The built site in a real browser: pages, links, search, live pages that draw what Python draws."

import gzip
import json
import re
import sys
import threading
from functools import lru_cache, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import torch
from conftest import NOTEBOOKS, ROOT, cells, each_notebook, name_of, read

BUILT = ROOT / "docs/_build"
STATIC = ROOT / "docs/static"
MB = 1_000_000
NETWORKS = sorted(p.stem for p in (BUILT / "_static/networks").glob("*.json"))


def has(name):
    return pytest.mark.skipif(
        name not in NETWORKS, reason=f"the built site has no network {name!r}"
    )


wants_site = pytest.mark.skipif(
    not (BUILT / "index.html").exists(), reason="there is no site in docs/_build: make docs"
)


@lru_cache
def pages():
    return sorted(p for p in BUILT.rglob("*.html") if "_static" not in p.parts)


def address_of(path):
    "The address of a page below the root of the site."
    return path.relative_to(BUILT).as_posix()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_):
        "A browser that hangs up is no error."


def serving(folder):
    server = QuietServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def address():
    server = serving(BUILT)
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def tab(chromium):
    """A page in a browser of its own.

    Its `faults` are what it said on the console, could not load or asked of other hosts.
    """
    context = chromium.new_context(viewport=dict(width=1280, height=900))
    page = context.new_page()
    page.faults = []

    def on_console(message):
        harmless = re.search("GPU|getImageData", message.text)
        if message.type in ("error", "warning") and not harmless:
            page.faults.append(message.text)

    def on_error(error):
        page.faults.append(str(error))

    def on_response(response):
        if response.status >= 400:
            page.faults.append(f"{response.status} {response.url}")

    def on_request(request):
        if urlsplit(request.url).hostname not in ("127.0.0.1", None, ""):
            page.faults.append(f"other host: {request.url}")

    page.on("console", on_console)
    page.on("pageerror", on_error)
    page.on("response", on_response)
    page.on("request", on_request)
    yield page
    context.close()


# -- pages


@wants_site
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_loads_and_fits(tab, address, width):
    tab.set_viewport_size(dict(width=width, height=844))
    too_wide = []
    for path in pages():
        tab.goto(f"{address}/{address_of(path)}")
        excess = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        if excess > 0:
            too_wide.append((address_of(path), excess))
    assert tab.faults == []
    assert too_wide == []


class Reader(HTMLParser):
    "The anchors and links of a page, and its pictures without a description."

    def __init__(self):
        super().__init__()
        self.ids = set()
        self.links = []
        self.bare = []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids |= {found[k] for k in ("id", "name") if found.get(k)}
        links = ("href", "src", "data-moving", "data-still")
        self.links += [found[k] for k in links if found.get(k)]
        if tag == "img" and not found.get("alt"):
            self.bare.append(found.get("src", "")[:80])


@lru_cache
def parsed(path):
    reader = Reader()
    reader.feed(read(path))
    return reader


def leads_somewhere(link, path):
    "Whether a link in the page `path` leads to a file of the site, and its anchor exists."
    url = urlsplit(link)
    if url.scheme or url.netloc or link in ("#", "#/"):
        return True
    target = (path.parent / unquote(url.path)).resolve() if url.path else path
    if target.is_dir():
        target = target / "index.html"
    if not target.exists():
        return False
    if url.fragment and target.suffix == ".html":
        return unquote(url.fragment) in parsed(target).ids
    return True


@wants_site
def test_links_and_anchors_hold():
    broken = []
    for path in pages():
        links = parsed(path).links
        broken += [(address_of(path), x) for x in links if not leads_somewhere(x, path)]
    assert broken == []


@wants_site
def test_pictures_are_described():
    assert {address_of(p): parsed(p).bare for p in pages() if parsed(p).bare} == {}


@wants_site
def test_symbols_in_prose_lead_to_their_definition():
    lesson = read(BUILT / "lessons/2_diffusion/5_samplers.html")
    entry = "../../reference/diffusion.process.html#genda.diffusion.process.GaussianDiffusion.step"
    assert f'href="{entry}"' in lesson
    reference = read(BUILT / "reference/diffusion.process.html")
    assert 'href="../_modules/genda/diffusion/process.html#GaussianDiffusion.step"' in reference


@wants_site
def test_every_public_name_has_an_entry():
    sys.path.insert(0, str(ROOT / "docs"))
    import reference

    for module in reference.modules():
        names = {f"genda.{module}.{name}" for name in reference.defined(module)}
        assert names <= parsed(BUILT / f"reference/{module}.html").ids


FOLDED = re.compile(
    r'<details class="[^"]*\bhide\b[^"]*">\s*<summary[^>]*>\s*<p[^>]*>Show the test</p>'
)


def number_of_tests(path):
    "How many cells of a notebook carry the tag `test`."
    tags = [meta.get("tags", []) for kind, _, meta in cells(path) if kind == "code"]
    return sum("test" in tags_of_cell for tags_of_cell in tags)


@wants_site
@each_notebook
def test_cells_that_test_are_folded(path):
    page = read(BUILT / f"lessons/{name_of(path)}.html")
    assert len(FOLDED.findall(page)) == number_of_tests(path)


@wants_site
def test_some_cell_is_folded():
    assert any(number_of_tests(path) for path in NOTEBOOKS), "the test above compares something"


@wants_site
def test_a_folded_cell_is_unfolded_by_a_click(tab, address):
    name = next(name_of(path) for path in NOTEBOOKS if number_of_tests(path))
    tab.goto(f"{address}/lessons/{name}.html")
    cell = tab.locator("details.hide", has_text="Show the test").first
    code = cell.locator("pre").first
    assert not code.is_visible()
    cell.get_by_text("Show the test").click()
    assert code.is_visible()
    assert tab.faults == []


@wants_site
def test_search_finds_a_class(tab, address):
    adaptation = (BUILT / "reference/adaptation.dann.html").exists()
    name = "GradientReversal" if adaptation else "GaussianDiffusion"
    tab.goto(f"{address}/search.html?q={name}")
    tab.wait_for_selector(f'#search-results li a[href*="reference/"][href*="{name}"]')
    assert tab.faults == []


@wants_site
@pytest.mark.parametrize("motion, label", [("no-preference", "Stop"), ("reduce", "Play")])
def test_animations_can_be_stopped_and_wait_for_who_wants_less_motion(
    chromium, address, motion, label
):
    page = chromium.new_context(reduced_motion=motion).new_page()
    page.goto(f"{address}/lessons/2_diffusion/3_ddpm.html")
    button = page.locator("figure.animation button").first
    image = page.locator("figure.animation img").first
    assert button.inner_text() == label
    button.click()
    stopped = label == "Stop"
    assert (button.inner_text() == "Play") == stopped
    assert image.get_attribute("src").endswith(".png") == stopped
    page.context.close()


def transferred(path):
    "Bytes that a lesson costs: its page, compressed, and the pictures that it shows."
    total = len(gzip.compress(path.read_bytes()))
    for link in set(parsed(path).links):
        if re.search(r"(_images|animations)/", link):
            total += (path.parent / unquote(link)).resolve().stat().st_size
    return total


@wants_site
def test_sizes():
    site = sum(p.stat().st_size for p in BUILT.rglob("*") if p.is_file())
    lessons = {address_of(p): transferred(p) for p in (BUILT / "lessons").rglob("*.html")}
    largest = max(lessons, key=lessons.get)
    networks = {p.name: p.stat().st_size for p in BUILT.rglob("*.onnx")}
    print(f"site {site / MB:.1f} MB, networks {networks}")
    print(f"largest lesson {lessons[largest] / MB:.2f} MB: {largest}")
    assert site < 60 * MB
    assert lessons[largest] < 1.5 * MB
    assert all(size < 4 * MB for size in networks.values())


# -- the networks and the sampler of the live pages, against ours


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_answer_as_in_torch(name):
    pytest.importorskip("onnxruntime")
    sys.path.insert(0, str(ROOT / "docs"))
    import networks

    from genda.zoo import load_model

    exported = (BUILT / f"_static/networks/{name}.onnx").read_bytes()
    assert networks.error(exported, *load_model(name, device="cpu")) < 1e-4


def u32(value):
    return np.asarray(value, np.uint64).astype(np.uint32)


def noise(seed, stream, n):
    "What noise() of sampler.js gives, written anew."
    with np.errstate(over="ignore"):
        state = u32(seed) * u32(0x9E3779B1) ^ u32(stream + 1) * u32(0x85EBCA6B)
        a = state + np.arange(1, 2 * ((n + 1) // 2) + 1, dtype=np.uint32) * u32(0x6D2B79F5)
        u = (a ^ a >> 15) * (a | 1)
        u = u + (u ^ u >> 7) * (u | 61) ^ u
    u = (u ^ u >> 14) / 2**32
    radius = np.sqrt(-2 * np.log(1 - u[::2]))
    angle = 2 * np.pi * u[1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return torch.as_tensor(pairs.reshape(-1)[:n], dtype=torch.float32)


def trajectory(denoise, process, xT, seeds, **kwargs):
    "The frames of our ddim, with the random numbers of the live pages."
    from genda.diffusion.samplers import ddim

    streams = iter(range(1, 1001))

    def randn(shape, generator=None):
        stream = next(streams)
        n = xT[0].numel()
        return torch.stack([noise(seed, stream, n).view(xT.shape[1:]) for seed in seeds])

    with patch("torch.randn", randn):
        return list(ddim(denoise, process, xT, **kwargs))


@pytest.fixture(scope="module")
def script(chromium):
    "sampler.js in a browser: a function that evaluates an expression over its exports `s`."
    server = serving(STATIC)
    page = chromium.new_context().new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/site.css")

    def evaluate(expression, arg=None):
        load = "const s = await import('/live/sampler.js');"
        return page.evaluate(f"async arg => {{ {load} {expression} }}", arg)

    yield evaluate
    page.context.close()
    server.shutdown()


@pytest.mark.parametrize("seed, stream", [(0, 0), (1, 0), (123456, 7), (999999, 100)])
def test_noise_is_normal_and_the_same(script, seed, stream):
    ours = noise(seed, stream, 5001)
    theirs = torch.tensor(script("return [...s.noise(...arg)]", [seed, stream, 5001]))
    assert torch.allclose(theirs, ours, atol=1e-5)
    assert abs(ours.mean()) < 0.06
    assert abs(ours.std() - 1) < 0.04


@pytest.mark.parametrize("alpha", [0, 0.3, 0.5, 1])
def test_interpolations_of_noise_are_ours(script, alpha):
    from genda.diffusion.samplers import lerp, slerp

    a = noise(1, 0, 784)
    b = noise(2, 0, 784)
    expected_values = dict(lerp=lerp(a, b, alpha), slerp=slerp(a[None], b[None], alpha)[0])
    for name, ours in expected_values.items():
        theirs = script(f"return [...s.{name}(s.noise(1, 0, 784), s.noise(2, 0, 784), arg)]", alpha)
        assert torch.allclose(torch.tensor(theirs), ours, atol=1e-5)


SAMPLE = """
const xT = new Float32Array(24);
[5, 6].forEach((seed, j) => xT.set(s.noise(seed, 0, 12), 12*j));
const answer = async (xt, t) => xt.map(x => Math.tanh(.7*x + t/1000));
const freshNoise = (j, k, n) => s.noise(5 + j, k, n);
const options = {steps: arg.steps, eta: [arg.eta, arg.eta], freshNoise};
const out = [];
for await (const f of s.ddim(answer, s.vp(arg.abar), arg.predict, xT, options))
    out.push([f.t, [...f.xt], [...f.x0]]);
return out
"""


class Formula(torch.nn.Module):
    "In place of a network, a formula that both languages have."

    def forward(self, x, t):
        return torch.tanh(0.7 * x + t.view(-1, 1, 1, 1) / 1000)


@pytest.mark.parametrize(
    "predict, eta, steps", [("v", 0, 10), ("v", 0.7, 20), ("eps", 1, 50), ("x0", 0.4, 8)]
)
def test_trajectories_are_ours_with_any_network(script, predict, eta, steps):
    "Every frame of a sampling trajectory."
    from genda.diffusion.ddpm import denoiser
    from genda.diffusion.process import GaussianDiffusion

    process = GaussianDiffusion.vp(1000, "linear" if predict == "eps" else "cosine")
    seeds = 5, 6
    xT = torch.stack([noise(seed, 0, 12).view(3, 2, 2) for seed in seeds])
    denoise = denoiser(Formula(), process, predict)
    ours = trajectory(denoise, process, xT, seeds, steps=steps, eta=eta)
    options = dict(abar=process.abar.tolist(), predict=predict, eta=eta, steps=steps)
    theirs = script(SAMPLE, options)
    assert [t for t, _, _ in theirs] == [frame.t for frame in ours]
    for (_, xt, x0), frame in zip(theirs, ours):
        assert np.abs(np.array(xt) - frame.xt.flatten().numpy()).max() < 1e-3
        assert np.abs(np.array(x0) - frame.x0.flatten().numpy()).max() < 1e-3


# -- live pages


@lru_cache
def network(name):
    "A shipped network: model, process, what it predicts, what its live page knows of it."
    from genda.diffusion.process import GaussianDiffusion
    from genda.zoo import load_model

    model, card = load_model(name, device="cpu")
    process = GaussianDiffusion.vp(**card["process"])
    about = json.loads(read(BUILT / f"_static/networks/{name}.json"))
    return model, process, card["predict"], about


@torch.no_grad()
def expected(name, y, seeds, xT=None, steps=10, eta=0.0, w=0.0):
    "The frames that our sampler gives for the settings of a live page; guidance is written out."
    from genda.diffusion.ddpm import denoiser

    model, process, predict, about = network(name)
    if xT is None:
        n = int(np.prod(about["shape"]))
        xT = torch.stack([noise(seed, 0, n).view(about["shape"]) for seed in seeds])
    conditional = denoiser(model, process, predict, torch.as_tensor(y), clip=False)
    unconditional = denoiser(model, process, predict, clip=False)

    def denoise(xt, t):
        x0 = (1 + w) * conditional(xt, t)
        if w:
            x0 = x0 - w * unconditional(xt, t)
        return x0.clamp(-1, 1)

    return trajectory(denoise, process, xT, seeds, steps=steps, eta=eta)


def finished(tab):
    "Wait until the page has drawn."
    tab.wait_for_function(
        "['done', 'failed'].includes(document.querySelector('.live').dataset.state)",
        timeout=120_000,
    )
    status = tab.locator(".status").inner_text()
    assert tab.locator(".live").get_attribute("data-state") == "done", status


def drag(tab, label, share):
    "Drag a slider with the mouse to a share of its range; its value, read from the page."
    slider = tab.get_by_role("slider", name=label)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    start = float(slider.evaluate("e => (e.value - e.min)/(e.max - e.min)"))

    def x_at(position):
        return box["x"] + 8 + position * (box["width"] - 16)

    tab.mouse.move(x_at(start), middle)
    tab.mouse.down()
    for k in range(1, 6):
        tab.mouse.move(x_at(start + (share - start) * k / 5), middle)
    tab.mouse.up()
    return float(slider.input_value())


CANVAS = """() => {
    const c = document.querySelector('.live canvas');
    const pixels = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
    return [c.width, c.height, [...pixels]];
}"""


def same_picture(tab, rows):
    "Check that the canvas shows these rows of images, each value within 1e-3 of ours."
    width, height, pixels = tab.evaluate(CANVAS)
    canvas = np.array(pixels, float).reshape(height, width, 4)
    side = rows[0][0].shape[-1]
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            top = i * (side + 1)
            left = j * (side + 1)
            shown = canvas[top : top + side, left : left + side, :3]
            levels = (image.clamp(-1, 1) + 1) * 127.5
            ours = levels.expand(3, -1, -1).permute(1, 2, 0).numpy()
            difference = np.abs(shown - ours).max()
            assert difference <= 0.5 + 1e-3 * 127.5, (i, j, difference)


def opened(tab, address, name):
    tab.goto(f"{address}/live/{name}.html")
    finished(tab)


def digits_page(**kwargs):
    "Our frames for the digits and the seeds that the page shows first."
    return expected("digits", [2, 5], [12, 15], **kwargs)


@has("digits")
def test_digits_page_draws_what_python_draws(tab, address):
    opened(tab, address, "digits")
    x = digits_page(w=1.0)[-1].xt
    same_picture(tab, [x, x])
    eta = drag(tab, "eta", 0.6)
    finished(tab)
    assert eta != 0
    x = digits_page(w=1.0, eta=eta)[-1].xt
    same_picture(tab, [x, x])
    w = drag(tab, "guidance w", 0.7)
    finished(tab)
    assert w not in (0, 1)
    frames = digits_page(w=w, eta=eta)
    same_picture(tab, [frames[-1].xt, frames[-1].xt])
    drag(tab, "frame", 0.3)
    k = int(tab.get_by_role("slider", name="frame").input_value())
    assert 0 < k < 10
    same_picture(tab, [frames[k].xt, frames[k].x0])
    assert tab.faults == []


@has("digits")
def test_interpolation_page_draws_what_python_draws(tab, address):
    from genda.diffusion.samplers import lerp, slerp

    opened(tab, address, "interpolation")
    a = noise(1, 0, 784).view(1, 1, 28, 28)
    b = noise(2, 0, 784).view(1, 1, 28, 28)
    for share in 0.8, 0.2:
        alpha = drag(tab, "alpha", share)
        finished(tab)
        assert abs(alpha - share) < 0.1
        xT = torch.cat([a, slerp(a, b, alpha), lerp(a, b, alpha), b])
        same_picture(tab, [expected("digits", [3] * 4, [0] * 4, xT)[-1].xt])
    assert tab.faults == []


@has("digits")
def test_eta_page_draws_what_python_draws(tab, address):
    opened(tab, address, "eta")
    eta = drag(tab, "eta", 0.9)
    finished(tab)
    assert eta > 0.8
    rows = [expected("digits", [4] * 3, [10, 11, 12], eta=e)[-1].xt for e in (0.0, eta)]
    same_picture(tab, rows)
    assert tab.faults == []


@has("faces")
def test_faces_page_draws_what_python_draws(tab, address):
    opened(tab, address, "faces")
    *_, about = network("faces")

    def condition():
        labels = [name.replace("_", " ") for name in about["attributes"]]
        checked = [tab.get_by_label(label, exact=True).is_checked() for label in labels]
        return [[1.0 if on else -1.0 for on in checked]]

    before = condition()
    tab.get_by_label("Eyeglasses").click()
    finished(tab)
    assert condition() != before
    w = drag(tab, "guidance w", 0.5)
    finished(tab)
    x = expected("faces", condition(), [1], w=w)[-1].xt
    same_picture(tab, [[x[0], x[0]]])
    assert tab.faults == []


LIVE = sorted(p.stem for p in (BUILT / "live").glob("*.html") if p.stem != "index")


@pytest.mark.parametrize("name", LIVE)
def test_keyboard_reaches_every_control(tab, address, name):
    opened(tab, address, name)
    controls = tab.locator(".live input, .live select").count()
    tab.locator(".live input").first.focus()
    reached = 1
    while tab.evaluate("() => !!document.activeElement.closest('.live')") and reached <= controls:
        tab.keyboard.press("Tab")
        reached += 1
    assert reached == controls + 1, "Tab leads through all of them, and out"


@has("digits")
def test_keys_move_a_slider(tab, address):
    opened(tab, address, "digits")
    eta = tab.get_by_role("slider", name="eta")
    eta.focus()
    tab.keyboard.press("ArrowRight")
    finished(tab)
    assert float(eta.input_value()) == 0.05
    x = digits_page(w=1.0, eta=0.05)[-1].xt
    same_picture(tab, [x, x])


COUNTING = """
window.came = [];
window.Worker = class extends Worker {
    constructor(...a) {
        super(...a);
        this.addEventListener('message', e => came.push([e.data.id, e.data.t]));
    }
};
"""


@has("digits")
def test_newest_input_cancels_older_ones(tab, address):
    tab.add_init_script(COUNTING)
    opened(tab, address, "digits")
    drag(tab, "steps", 1)
    finished(tab)
    assert tab.get_by_role("slider", name="steps").get_attribute("aria-valuetext") == "100"
    w = tab.get_by_role("slider", name="guidance w")
    w.focus()
    tab.evaluate("came.length = 0")
    for _ in range(8):
        tab.keyboard.press("ArrowRight")
        tab.wait_for_timeout(60)
    finished(tab)
    value = float(w.input_value())
    assert value == 3
    came = tab.evaluate("came")
    newest = max(i for i, _ in came)
    assert {i for i, t in came if t == 0} == {newest}, "no other trajectory came to its end"
    older = sum(i != newest for i, _ in came)
    assert older < 101, "and all of them together took less than one trajectory"
    x = digits_page(w=value, steps=100)[-1].xt
    same_picture(tab, [x, x])


LONGEST_PAUSE = """async () => {
    const live = document.querySelector('.live');
    let worst = 0, last = performance.now();
    while (live.dataset.state === 'busy') {
        await new Promise(done => setTimeout(done));
        const now = performance.now();
        worst = Math.max(worst, now - last);
        last = now;
    }
    return worst/1000;
}"""


@has("digits")
def test_page_stays_responsive_while_the_network_runs(tab, address):
    opened(tab, address, "digits")
    drag(tab, "steps", 1)
    worst = tab.evaluate(LONGEST_PAUSE)
    finished(tab)
    took = float(tab.locator(".live").get_attribute("data-seconds"))
    print(f"sampling took {took:.1f} s, the page was busy for {worst:.2f} s at most")
    assert worst < took / 10


@has("digits")
@pytest.mark.parametrize("name", [n for n in ("digits", "faces") if n in NETWORKS])
def test_answers_come_in_time(tab, address, name):
    "With the files in the browser's cache; the best of three, because other programs may run."
    first = []
    for _ in range(4):
        opened(tab, address, name)
        first.append(tab.evaluate("performance.now()") / 1000)
    if name == "digits":
        tab.get_by_label("5", exact=True).click()
        finished(tab)
    change = []
    for share in 0, 0.3, 1:
        drag(tab, "guidance w", share)
        finished(tab)
        change.append(float(tab.locator(".live").get_attribute("data-seconds")))
    print(
        f"{name}: first picture after {min(first[1:]):.2f} s, one image at 10 steps "
        f"{change[0]:.2f} s, with guidance {min(change[1:]):.2f} s"
    )
    assert tab.locator(".status").inner_text().startswith("1 image, 10 steps")
    assert min(first[1:]) < 4
    assert min(change[1:]) < 1


@has("digits")
@pytest.mark.parametrize(
    "without, message", [("WebAssembly", "no WebAssembly"), ("Worker", "no workers")]
)
def test_a_browser_that_cannot_is_told_so(tab, address, without, message):
    tab.add_init_script(f"delete window.{without}")
    tab.goto(f"{address}/live/digits.html")
    tab.wait_for_selector(".live[data-state=failed]")
    assert message in tab.locator(".status").inner_text()


@has("digits")
def test_a_page_opened_as_a_file_says_that_it_needs_a_server(tab):
    tab.goto((BUILT / "live/digits.html").as_uri())
    tab.wait_for_selector(".live[data-state=failed]")
    assert "make docs-serve" in tab.locator(".status").inner_text()
