"The built site in a real browser: pages and links, search, and live pages that draw what the Python sampler draws."

import csv
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
from conftest import ROOT, read

BUILT, STATIC = ROOT / "docs/_build", ROOT / "docs/static"
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


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serving(folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.handle_error = lambda *_: None  # a browser that hangs up
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def address():
    server = serving(BUILT)
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def tab(chromium):
    "A page in a browser of its own, with `faults`: what it said on the console, could not load or asked of other hosts."
    context = chromium.new_context(viewport=dict(width=1280, height=900))
    t = context.new_page()
    t.faults = []
    t.on(
        "console",
        lambda m: (
            m.type in ("error", "warning")
            and not re.search("GPU|getImageData", m.text)
            and t.faults.append(m.text)
        ),
    )
    t.on("pageerror", lambda e: t.faults.append(str(e)))
    t.on("response", lambda r: r.status >= 400 and t.faults.append(f"{r.status} {r.url}"))
    t.on(
        "request",
        lambda r: (
            urlsplit(r.url).hostname not in ("127.0.0.1", None, "")
            and t.faults.append(f"other host: {r.url}")
        ),
    )
    yield t
    context.close()


# -- pages


@wants_site
@pytest.mark.parametrize("width", (390, 1280))
def test_every_page_loads_and_fits(tab, address, width):
    tab.set_viewport_size(dict(width=width, height=844))
    wide = []
    for path in pages():
        tab.goto(f"{address}/{path.relative_to(BUILT).as_posix()}")
        over = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        if over > 0:
            wide.append((path.name, over))
    assert tab.faults == [] and wide == []


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.links, self.bare = set(), [], []

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.ids |= {a[k] for k in ("id", "name") if a.get(k)}
        self.links += [a[k] for k in ("href", "src", "data-moving", "data-still") if a.get(k)]
        if tag == "img" and not a.get("alt"):
            self.bare.append(a.get("src", "")[:80])


@lru_cache
def parsed(path):
    r = Reader()
    r.feed(read(path))
    return r


@wants_site
def test_links_and_anchors_hold():
    broken = []
    for path in pages():
        for link in parsed(path).links:
            url = urlsplit(link)
            if url.scheme or url.netloc or link in ("#", "#/"):
                continue
            to = (path.parent / unquote(url.path)).resolve() if url.path else path
            if to.is_dir():
                to = to / "index.html"
            if not to.exists() or (
                url.fragment
                and to.suffix == ".html"
                and unquote(url.fragment) not in parsed(to).ids
            ):
                broken.append((path.name, link))
    assert broken == []


@wants_site
def test_pictures_are_described():
    assert {p.name: parsed(p).bare for p in pages() if parsed(p).bare} == {}


@wants_site
def test_symbols_in_prose_lead_to_their_definition():
    text = read(BUILT / "lessons/06_ddim.html")
    assert re.search(
        r'href="\.\./reference/process\.html#genda\.process\.GaussianDiffusion\.step"', text
    )
    assert re.search(
        r'href="\.\./_modules/genda/process\.html#GaussianDiffusion\.step"',
        read(BUILT / "reference/process.html"),
    )


@wants_site
def test_every_public_name_has_an_entry():
    sys.path.insert(0, str(ROOT / "docs"))
    import reference

    for module in (p.stem for p in (ROOT / "genda").glob("[a-z]*.py")):
        assert {f"genda.{module}.{n}" for n in reference.defined(module)} <= parsed(
            BUILT / f"reference/{module}.html"
        ).ids


@wants_site
def test_search_finds_a_class(tab, address):
    name = "GradientReversal" if (BUILT / "reference/dann.html").exists() else "GaussianDiffusion"
    tab.goto(f"{address}/search.html?q={name}")
    tab.wait_for_selector(f'#search-results li a[href*="reference/"][href*="{name}"]')
    assert tab.faults == []


@wants_site
def test_animations_can_be_stopped_and_wait_where_less_motion_is_wished(chromium, address):
    for motion, says in ("no-preference", "Stop"), ("reduce", "Play"):
        t = chromium.new_context(reduced_motion=motion).new_page()
        t.goto(f"{address}/lessons/05_ddpm.html")
        button, image = (
            t.locator("figure.animation button").first,
            t.locator("figure.animation img").first,
        )
        assert button.inner_text() == says
        button.click()
        assert (
            (button.inner_text() == "Play")
            == image.get_attribute("src").endswith(".png")
            == (says == "Stop")
        )
        t.context.close()


@wants_site
def test_sizes():
    site = sum(p.stat().st_size for p in BUILT.rglob("*") if p.is_file())
    lessons = {
        p.name: len(gzip.compress(p.read_bytes()))
        + sum(
            (p.parent / unquote(s)).resolve().stat().st_size
            for s in set(parsed(p).links)
            if re.search(r"(_images|animations)/", s)
        )
        for p in (BUILT / "lessons").rglob("*.html")
    }
    networks = {p.name: p.stat().st_size for p in BUILT.rglob("*.onnx")}
    print(
        f"site {site / MB:.1f} MB, largest lesson {max(lessons.values()) / MB:.2f} MB {max(lessons, key=lessons.get)}, networks {networks}"
    )
    assert (
        site < 60 * MB
        and max(lessons.values()) < 1.5 * MB
        and all(n < 4 * MB for n in networks.values())
    )


def test_our_figures_beside_the_reports_exist():
    for row in csv.DictReader((ROOT / "docs/reports.csv").open(encoding="utf-8")):
        assert row["report"] in "12345" and row["experiment"] and row["figure"]
        for notebook, name in (ref.split(":") for ref in row["ours"].split("; ") if ref):
            assert name in json.loads(read(ROOT / f"results/{notebook}.json"))["figures"]


# -- the networks and the sampler of the live pages, against ours


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_answer_as_in_torch(name):
    pytest.importorskip("onnxruntime")
    sys.path.insert(0, str(ROOT / "docs"))
    import networks

    from genda.zoo import load_model

    assert (
        networks.error(
            (BUILT / f"_static/networks/{name}.onnx").read_bytes(), *load_model(name, device="cpu")
        )
        < 1e-4
    )


def noise(seed, stream, n):
    "What noise() of sampler.js gives, written anew."

    def u32(v):
        return np.asarray(v, np.uint64).astype(np.uint32)

    with np.errstate(over="ignore"):
        state = u32(seed) * u32(0x9E3779B1) ^ u32(stream + 1) * u32(0x85EBCA6B)
        a = state + np.arange(1, 2 * ((n + 1) // 2) + 1, dtype=np.uint32) * u32(0x6D2B79F5)
        u = (a ^ a >> 15) * (a | 1)
        u = u + (u ^ u >> 7) * (u | 61) ^ u
    u = (u ^ u >> 14) / 2**32
    radius, angle = np.sqrt(-2 * np.log(1 - u[::2])), 2 * np.pi * u[1::2]
    return torch.as_tensor(
        np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:n],
        dtype=torch.float32,
    )


def walked(denoise, process, xT, seeds, **kwargs):
    "The last image of our ddim, with the dice of the live pages."
    from genda.diffusion.samplers import ddim

    throws = iter(range(1, 1001))

    def randn(shape, generator=None):
        k = next(throws)
        return torch.stack([noise(s, k, xT[0].numel()).view(xT.shape[1:]) for s in seeds])

    with patch("torch.randn", randn):
        return list(ddim(denoise, process, xT, **kwargs))


@pytest.fixture(scope="module")
def script(chromium):
    "sampler.js, in a browser: a function that evaluates an expression over its exports `s`."
    server = serving(STATIC)
    t = chromium.new_context().new_page()
    t.goto(f"http://127.0.0.1:{server.server_port}/site.css")
    yield lambda expression, arg=None: t.evaluate(
        f"async arg => {{ const s = await import('/live/sampler.js'); {expression} }}", arg
    )
    t.context.close()
    server.shutdown()


def test_noise_is_normal_and_the_same(script):
    for seed, stream in (0, 0), (1, 0), (123456, 7), (999999, 100):
        ours = noise(seed, stream, 5001)
        assert torch.allclose(
            torch.tensor(script("return [...s.noise(...arg)]", [seed, stream, 5001])),
            ours,
            atol=1e-5,
        )
        assert abs(ours.mean()) < 0.06 and abs(ours.std() - 1) < 0.04


@pytest.mark.parametrize("alpha", (0, 0.3, 0.5, 1))
def test_ways_between_noises_are_ours(script, alpha):
    from genda.diffusion.samplers import lerp, slerp

    a, b = noise(1, 0, 784), noise(2, 0, 784)
    for name, ours in ("lerp", lerp(a, b, alpha)), ("slerp", slerp(a[None], b[None], alpha)[0]):
        theirs = script(f"return [...s.{name}(s.noise(1, 0, 784), s.noise(2, 0, 784), arg)]", alpha)
        assert torch.allclose(torch.tensor(theirs), ours, atol=1e-5)


@pytest.mark.parametrize(
    "predict, eta, steps", (("v", 0, 10), ("v", 0.7, 20), ("eps", 1, 50), ("x0", 0.4, 8))
)
def test_walks_are_ours_with_any_network(script, predict, eta, steps):
    "Every frame of a walk; the network is a formula that both languages have."
    from genda.diffusion.ddpm import denoiser
    from genda.diffusion.process import GaussianDiffusion

    class Formula(torch.nn.Module):
        def forward(self, x, t):
            return torch.tanh(0.7 * x + t.view(-1, 1, 1, 1) / 1000)

    process = GaussianDiffusion.vp(1000, "linear" if predict == "eps" else "cosine")
    xT = torch.stack([noise(s, 0, 12).view(3, 2, 2) for s in (5, 6)])
    ours = walked(denoiser(Formula(), process, predict), process, xT, (5, 6), steps=steps, eta=eta)
    theirs = script(
        """const xT = new Float32Array(24); [5, 6].forEach((k, j) => xT.set(s.noise(k, 0, 12), 12*j)); const out = [];
        const answer = async (xt, t) => xt.map(x => Math.tanh(.7*x + t/1000));
        for await (const f of s.ddim(answer, s.vp(arg.abar), arg.predict, xT, {steps: arg.steps, eta: [arg.eta, arg.eta], dice: (j, k, n) => s.noise(5 + j, k, n)}))
            out.push([f.t, [...f.xt], [...f.x0]]);
        return out""",
        dict(abar=process.abar.tolist(), predict=predict, eta=eta, steps=steps),
    )
    assert [f[0] for f in theirs] == [f.t for f in ours]
    for (_, xt, x0), f in zip(theirs, ours):
        assert all(
            np.abs(np.array(theirs) - v.flatten().numpy()).max() < 1e-3
            for theirs, v in ((xt, f.xt), (x0, f.x0))
        )


# -- live pages


@lru_cache
def network(name):
    from genda.diffusion.process import GaussianDiffusion
    from genda.zoo import load_model

    model, card = load_model(name, device="cpu")
    return (
        model,
        GaussianDiffusion.vp(**card["process"]),
        card["predict"],
        json.loads(read(BUILT / f"_static/networks/{name}.json")),
    )


@torch.no_grad()
def expected(name, y, seeds, xT=None, steps=10, eta=0.0, w=0.0):
    "Frames of our sampler for what a live page was asked; guidance written out."
    from genda.diffusion.ddpm import denoiser

    model, process, predict, about = network(name)
    if xT is None:
        xT = torch.stack(
            [noise(s, 0, int(np.prod(about["shape"]))).view(about["shape"]) for s in seeds]
        )
    with_y, free = (
        denoiser(model, process, predict, torch.as_tensor(y), clip=False),
        denoiser(model, process, predict, clip=False),
    )

    def denoise(xt, t):
        return ((1 + w) * with_y(xt, t) - (w * free(xt, t) if w else 0)).clamp(-1, 1)

    return walked(denoise, process, xT, seeds, steps=steps, eta=eta)


def finished(tab):
    tab.wait_for_function(
        "['done', 'failed'].includes(document.querySelector('.live').dataset.state)",
        timeout=120_000,
    )
    assert tab.locator(".live").get_attribute("data-state") == "done", tab.locator(
        ".status"
    ).inner_text()


def drag(tab, label, share):
    "Drag a slider with the mouse to a share of its way; its value, read from the page."
    slider = tab.get_by_role("slider", name=label)
    slider.scroll_into_view_if_needed()
    x, y, w, h = (slider.bounding_box()[k] for k in ("x", "y", "width", "height"))
    at, to = (float(slider.evaluate("e => (e.value - e.min)/(e.max - e.min)")), share)

    def place(u):
        return x + 8 + u * (w - 16)

    tab.mouse.move(place(at), y + h / 2)
    tab.mouse.down()
    for k in range(1, 6):
        tab.mouse.move(place(at + (to - at) * k / 5), y + h / 2)
    tab.mouse.up()
    return float(slider.input_value())


def same_picture(tab, rows):
    "Whether the canvas shows these rows of images: each pixel the level of a value within 1e-3 of ours."
    w, h, data = tab.evaluate(
        "() => { const c = document.querySelector('.live canvas'); return [c.width, c.height, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]; }"
    )
    canvas = np.array(data, float).reshape(h, w, 4)
    n = rows[0][0].shape[-1]
    for r, row in enumerate(rows):
        for q, image in enumerate(row):
            shown, ours = (
                canvas[r * (n + 1) :, q * (n + 1) :][:n, :n, :3],
                ((image.clamp(-1, 1) + 1) * 127.5).expand(3, -1, -1).permute(1, 2, 0).numpy(),
            )
            assert np.abs(shown - ours).max() <= 0.5 + 1e-3 * 127.5, (
                r,
                q,
                np.abs(shown - ours).max(),
            )


def opened(tab, address, name):
    tab.goto(f"{address}/live/{name}.html")
    finished(tab)


@has("digits")
def test_digits_page_draws_what_python_draws(tab, address):
    opened(tab, address, "digits")

    def end(**k):
        return expected("digits", [2, 5], [12, 15], **k)[-1].xt

    x = end(w=1.0)
    same_picture(tab, [x, x])
    eta = drag(tab, "eta", 0.6)
    finished(tab)
    assert eta != 0
    x = end(w=1.0, eta=eta)
    same_picture(tab, [x, x])
    w = drag(tab, "guidance w", 0.7)
    finished(tab)
    assert w not in (0, 1)
    x = end(w=w, eta=eta)
    same_picture(tab, [x, x])
    drag(tab, "frame", 0.3)
    k = int(tab.get_by_role("slider", name="frame").input_value())
    frame = expected("digits", [2, 5], [12, 15], w=w, eta=eta)[k]
    assert 0 < k < 10
    same_picture(tab, [frame.xt, frame.x0])
    assert tab.faults == []


@has("digits")
def test_interpolation_page_draws_what_python_draws(tab, address):
    from genda.diffusion.samplers import lerp, slerp

    opened(tab, address, "interpolation")
    a, b = (noise(s, 0, 784).view(1, 1, 28, 28) for s in (1, 2))
    for share in 0.8, 0.2:
        alpha = drag(tab, "alpha", share)
        finished(tab)
        assert abs(alpha - share) < 0.1
        same_picture(
            tab,
            [
                expected(
                    "digits",
                    [3] * 4,
                    [0] * 4,
                    torch.cat([a, slerp(a, b, alpha), lerp(a, b, alpha), b]),
                )[-1].xt
            ],
        )
    assert tab.faults == []


@has("digits")
def test_eta_page_draws_what_python_draws(tab, address):
    opened(tab, address, "eta")
    eta = drag(tab, "eta", 0.9)
    finished(tab)
    assert eta > 0.8
    same_picture(tab, [expected("digits", [4] * 3, [10, 11, 12], eta=e)[-1].xt for e in (0.0, eta)])
    assert tab.faults == []


@has("faces")
def test_faces_page_draws_what_python_draws(tab, address):
    opened(tab, address, "faces")
    names = network("faces")[3]["attributes"]

    def on():
        return [
            [
                1.0 if tab.get_by_label(n.replace("_", " "), exact=True).is_checked() else -1.0
                for n in names
            ]
        ]

    before = on()
    tab.get_by_label("Eyeglasses").click()
    finished(tab)
    assert on() != before
    w = drag(tab, "guidance w", 0.5)
    finished(tab)
    x = expected("faces", on(), [1], w=w)[-1].xt
    same_picture(tab, [[x[0], x[0]]])
    assert tab.faults == []


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in (BUILT / "live").glob("*.html") if p.stem != "index")
)
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
    x = expected("digits", [2, 5], [12, 15], w=1.0, eta=0.05)[-1].xt
    same_picture(tab, [x, x])


COUNTING = """window.came = [];
window.Worker = class extends Worker { constructor(...a) { super(...a); this.addEventListener('message', e => came.push([e.data.id, e.data.t])); } };"""


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
    assert {i for i, t in came if t == 0} == {newest}, "no other walk came to its end"
    assert sum(i != newest for i, _ in came) < 101, (
        "and all of them together took less than one walk"
    )
    x = expected("digits", [2, 5], [12, 15], w=value, steps=100)[-1].xt
    same_picture(tab, [x, x])


@has("digits")
def test_page_stays_responsive_while_the_network_runs(tab, address):
    opened(tab, address, "digits")
    drag(tab, "steps", 1)
    worst = tab.evaluate("""async () => { const live = document.querySelector('.live'); let worst = 0, last = performance.now();
        while (live.dataset.state === 'busy') { await new Promise(done => setTimeout(done)); const now = performance.now(); worst = Math.max(worst, now - last); last = now; }
        return worst/1000; }""")
    finished(tab)
    took = float(tab.locator(".live").get_attribute("data-seconds"))
    print(f"a walk of {took:.1f} s, the page was busy for {worst:.2f} s at most")
    assert worst < took / 10


@has("digits")
@pytest.mark.parametrize("name", [n for n in ("digits", "faces") if n in NETWORKS])
def test_answers_come_in_time(tab, address, name):
    "With the files in the browser's cache; the best of three, because other programs may run."
    first, change = [], []
    for _ in range(4):
        opened(tab, address, name)
        first.append(tab.evaluate("performance.now()") / 1000)
    if name == "digits":
        tab.get_by_label("5", exact=True).click()
        finished(tab)
    for w in ("guidance w", 0), ("guidance w", 0.3), ("guidance w", 1):
        drag(tab, *w)
        finished(tab)
        change.append(float(tab.locator(".live").get_attribute("data-seconds")))
    print(
        f"{name}: first picture after {min(first[1:]):.2f} s, one image at 10 steps {change[0]:.2f} s, with guidance {min(change[1:]):.2f} s"
    )
    assert (
        tab.locator(".status").inner_text().startswith("1 image, 10 steps")
        and min(first[1:]) < 4
        and min(change[1:]) < 1
    )


@has("digits")
@pytest.mark.parametrize(
    "without, says", (("WebAssembly", "no WebAssembly"), ("Worker", "no workers"))
)
def test_a_browser_that_cannot_is_told_so(tab, address, without, says):
    tab.add_init_script(f"delete window.{without}")
    tab.goto(f"{address}/live/digits.html")
    tab.wait_for_selector(".live[data-state=failed]")
    assert says in tab.locator(".status").inner_text()


@has("digits")
def test_a_page_opened_as_a_file_says_that_it_needs_a_server(tab):
    tab.goto((BUILT / "live/digits.html").as_uri())
    tab.wait_for_selector(".live[data-state=failed]")
    assert "make docs-serve" in tab.locator(".status").inner_text()
