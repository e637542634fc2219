"What bench/ measures, at tiny size, and how its figures are kept; the speedrun's page."

import asyncio
import importlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from genda.models.unet import UNet

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
sys.path.insert(0, str(ROOT / "docs"))
import costs  # noqa: E402 - the folder is above
import frechet  # noqa: E402 - the folder is above
import loading  # noqa: E402 - the folder is above
import machine  # noqa: E402 - the folder is above
import peak  # noqa: E402 - the folder is above
import sampling  # noqa: E402 - the folder is above
import sliders  # noqa: E402 - the folder is above
import speed  # noqa: E402 - the folder is above
import speedrun  # noqa: E402 - the folder is above
import train  # noqa: E402 - the folder is above

every = importlib.import_module("all")  # whose name is a built-in function's


def test_work_of_muon_is_that_of_its_products():
    params = [torch.nn.Parameter(torch.randn(16, 8, 3, 3)), torch.nn.Parameter(torch.randn(20, 6))]
    for p in params:
        p.grad = torch.randn_like(p)
    with FlopCounterMode(display=False) as counter:
        speedrun.Muon([dict(params=params)]).step()
    assert counter.get_total_flops() == speedrun.muon_flops(params)


def test_backward_pass_counts_as_two_forward_passes():
    "Exact but for the first layer, whose input needs no gradient."
    net = UNet(1, (16, 64), 1, classes=10, fold=2)
    forward = speedrun.forward_flops(net)
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 1, 28, 28), torch.ones(1).long(), torch.zeros(1).long()).sum().backward()
    assert math.isclose(counter.get_total_flops(), 3 * forward, rel_tol=0.01)


def test_average_with_power_weights():
    "After n steps the weight of step k is in proportion to k^gamma, nearly."
    p = torch.nn.Linear(1, 1, bias=False)
    average = speedrun.PowerAverage(p, gamma=2)
    n = 400
    for k in range(1, n + 1):
        torch.nn.init.constant_(p.weight, float(k))
        average.update(p)
    k = torch.arange(1, n + 1).double()
    expected = (k * k**2).sum() / (k**2).sum()
    assert math.isclose(average.weights[0].item(), expected, rel_tol=0.01)


def test_learning_rate_rises_and_falls_to_zero():
    rates = [speedrun.rate(k, 100) for k in range(100)]
    assert max(rates) == rates[4] and rates[0] < rates[3] and rates[-1] < 0.02


def test_a_training_spends_the_work_that_was_given():
    images = torch.randint(256, (64, 1, 28, 28), dtype=torch.uint8)
    labels = torch.arange(64) % 10
    recipe = speedrun.FAST._replace(channels=(8, 16), emb=32, bs=8)
    net, _, about = speedrun.train(recipe, images, labels, work=0.002, seed=0)
    again, _, _ = speedrun.train(recipe, images, labels, work=0.002, seed=0)
    assert 0.0015 < about["work_tflop"] <= 0.002
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters()))
    assert all(p.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", speedrun.RECIPES)
def test_every_recipe_gives_a_loss(name):
    recipe = speedrun.RECIPES[name]
    net = UNet(1, (8, 16), 1, classes=10, fold=2, emb=32)
    process = speedrun.GaussianDiffusion.vp(1000, "cosine")
    loss = speedrun.one_loss(net, process, recipe, torch.zeros(8, 1, 28, 28), torch.arange(8))
    loss.backward()
    optimiser, _ = recipe.optimiser(net)
    optimiser.step()
    assert loss.isfinite()


def test_page_shows_what_is_stored():
    command = [sys.executable, str(ROOT / "bench/table.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


# -- the parts at tiny size


def last(measure, **options):
    *_, found = measure(**options)
    return found


def test_peak_is_the_best_and_a_step_is_a_share_of_it():
    found = last(peak.measure, **every.PARTS["peak"].tiny)
    step = found["step_fast"]
    assert found["peak"] == max(found["gflop_per_second"].values())
    assert math.isclose(step["share_of_peak"], step["gflop_per_second"] / found["peak"])


def test_training_is_compared_at_equal_work():
    found = last(train.measure, bs=2, steps=1)
    work = found["gflop_per_second"]
    ours = max(rate for name, rate in work.items() if name.startswith("genda"))
    theirs = work["UNet2DModel default layout float32"]
    assert found["over_diffusers_default"] == ours / theirs
    name = "genda default layout float32"
    flops = 3 * found["sizes"]["genda"]["forward_flops"]
    assert math.isclose(work[name], flops * found["images_per_second"][name] / 1e9)


def test_a_library_that_is_missing_is_named_and_left_out(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert set(train.networks()) == {"UNet2DModel", "genda"}
    assert capsys.readouterr().out.count("not installed") == 1
    assert set(frechet.plan(8)) == {"genda", "genda, a fourth"}
    assert capsys.readouterr().out.count("not installed") == 1


def test_drawing_is_compared_where_it_is_as_good():
    "The fastest way whose distance is at most that of the peer's own number of steps."
    mine = sampling.ways(50, 20, 10)
    equal, few, fewest = mine
    seconds = {equal: 2.0, few: 1.0, fewest: 0.5}
    seconds |= {"UNet2DModel default layout float32": 20.0, "UNet2DModel channels last": 10.0}
    good = sampling.ratios(seconds, {equal: 1.0, few: 0.9, fewest: 1.1}, mine)
    assert good["chosen"] == few and good["over_default"] == 20 and good["over_best"] == 10
    assert good["over_default_at_equal_steps"] == 10
    bad = sampling.ratios(seconds, {equal: 1.0, few: 1.2, fewest: 1.1}, mine)
    assert bad["chosen"] == equal and bad["over_default"] == 10


def test_a_slider_is_measured_until_its_picture():
    found = last(sliders.measure, n=2, steps=2, moves=1)
    assert found["seconds_w"] > 0 and found["seconds_eta"] > 0
    playground = sliders.SLIDERS["w"]("digits", n=2, steps=2)
    asyncio.run(sliders.seconds_of_a_move(playground, "w", 3.0))
    assert playground.picture.value and "w 3" in playground.note.value
    with pytest.raises(RuntimeError, match="none is running here: call its function `images`"):
        playground.controls["w"].value = 2.0


def test_distance_is_that_of_torch_fidelity():
    pytest.importorskip("torch_fidelity")
    [mine] = frechet.ours(200)
    [other] = frechet.theirs(200, save_memory=True)
    assert math.isclose(mine["fd"], other["fd"], rel_tol=1e-4)
    assert mine["n"] == other["n"] == 200


def test_ratios_of_the_distance_take_the_better_of_the_two_ways():
    def run(seconds, held):
        return dict(seconds=seconds, bytes=held, fd=1.0)

    runs = {"genda": run(2.0, 10), "torch-fidelity": run(8.0, 30)}
    runs["torch-fidelity, with workers"] = run(6.0, 99)
    found = frechet.ratios(runs)
    assert found["seconds_over_torch_fidelity"] == 3 and found["bytes_over_torch_fidelity"] == 3


def test_loaders_give_the_same_digits(tmp_path):
    images = torch.randint(256, (30, 1, 28, 28), dtype=torch.uint8)
    labels = torch.arange(30) % 10
    theirs = loading.torchvision_set(tmp_path, images, labels)
    assert torch.equal(theirs.data, images[:, 0]) and torch.equal(theirs.targets, labels)
    signed = [(images / 127.5 - 1, labels)]
    loader = torch.utils.data.DataLoader(theirs, 10)
    loading.same_digits(signed, loader)
    with pytest.raises(AssertionError, match="other digits"):
        loading.same_digits([(-signed[0][0], labels)], loader)


# -- cost curves


def test_live_bytes_are_those_that_exist_at_once():
    with costs.LiveBytes() as live:
        a = torch.zeros(1000)
        b = a + 1
        del a
        c = b + 1
        b.view(10, 100).sum()
        del b, c
        torch.zeros(500)
    assert live.peak == 2 * 4000 + 4


def test_live_bytes_of_a_training_step():
    "Weights, gradients and two moments of a linear layer that sees one image."
    with costs.LiveBytes() as live:
        layer = torch.nn.Linear(300, 300, bias=False)
        opt = torch.optim.AdamW(layer.parameters(), fused=True)
        layer(torch.zeros(1, 300)).sum().backward()
        opt.step()
    assert 4 * 4 * 300**2 <= live.peak < 4.2 * 4 * 300**2


def test_costs_are_measured_along_each_axis():
    axes = dict(batch=(1, 2), T=(3,))
    centre = dict(batch=2, width=8, size=16, T=5)
    points = costs.settings_of(axes, centre)
    assert points == [("batch", centre | {"batch": 1}), ("batch", centre), ("T", centre | {"T": 3})]


def test_counted_costs_follow_the_setting():
    point = dict(batch=2, width=8, size=16, T=2)
    [one] = costs.training_point(point, repeats=1)
    [two] = costs.training_point(point | dict(batch=4), repeats=1)
    assert two["flops"] == 2 * one["flops"]
    assert one["counted_bytes"] < two["counted_bytes"] < 2 * one["counted_bytes"]
    [short] = costs.drawing_point(point, repeats=1)
    [long] = costs.drawing_point(point | dict(T=4), repeats=1)
    assert long["flops"] == 2 * short["flops"]
    assert one["flops"] == 3 * point["batch"] * short["flops"] / point["T"]
    assert short["counted_bytes"] < one["counted_bytes"], (
        "drawing keeps nothing for a backward pass"
    )


# -- the file of results

NEEDED = {
    "work_tflop",
    "accuracy",
    "fd_over_baseline",
    "seeds",
    "share_of_peak",
    "over_diffusers_default",
    "sampling_over_diffusers",
}


def test_headlines_are_taken_from_the_parts():
    parts = {}
    for k, path in enumerate(every.HEADLINES.values()):
        *folders, key = path
        place = parts
        for folder in folders:
            place = place.setdefault(folder, {})
        place[key] = k
    found = every.headlines(parts)
    assert list(found.values()) == list(range(len(found))) and set(found) >= NEEDED
    assert every.headlines({}) == {}
    assert set(speed.ROWS) == set(every.HEADLINES)


def write_run(path, **changes):
    "What a run on this machine has stored, with some of its circumstances changed."
    record = every.Record(path, tiny=True)
    record.about.update(changes)
    record.parts = dict(peak=dict(step_fast=dict(share_of_peak=0.5)))
    record.finished = ["peak"]
    record.write()


def test_parts_are_kept_under_the_same_circumstances_alone(tmp_path, capsys):
    path = tmp_path / "bench.json"
    write_run(path)
    same = every.Record(path, tiny=True)
    same.read(replace=False)
    assert same.finished == ["peak"]
    write_run(path, threads=77)
    other = every.Record(path, tiny=True)
    with pytest.raises(SystemExit, match=r"measured with threads 77.*--out"):
        other.read(replace=False)
    other.read(replace=True)
    assert other.parts == {} and "another threads" in capsys.readouterr().out


def test_a_busy_machine_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "used", lambda: 60)
    command = ["all.py", "--only", "peak", "--out", str(tmp_path / "bench.json")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match=r"60% of its processor is in use.*--busy"):
        every.main()
    assert not (tmp_path / "bench.json").exists()
    machine.refuse_when_busy(2)


def test_seeds_that_are_stored_are_not_trained_again(monkeypatch):
    trained = []

    def pretend(recipe, images, labels, work, seed, dtype):
        trained.append(seed)
        return None, None, dict(work_tflop=work)

    scores = dict(accuracy=0.9, fd_over_baseline=2.0, copies=0.0)
    monkeypatch.setattr(speedrun, "train", pretend)
    monkeypatch.setattr(speedrun, "score", lambda *args: scores)
    options = dict(work=1, data="mnist5k", n=10, dtype=torch.float32)
    first = last(speedrun.measure, seeds=[0, 1], **options)
    assert trained == [0, 1] and first["seeds"] == 2
    again = last(speedrun.measure, seeds=[0, 1, 2], stored=first, **options)
    assert trained == [0, 1, 2] and again["seeds"] == 3
    last(speedrun.measure, seeds=[0], stored=again, **options | dict(work=2))
    assert trained == [0, 1, 2, 0], "a row of other work does not count"


def test_the_sets_of_the_baseline_are_balanced_and_share_no_digit():
    labels = torch.arange(1000) % 10
    sets = [speedrun.balanced(labels, 100, k) for k in range(speedrun.BASELINE_SETS)]
    assert all(torch.bincount(labels[chosen]).tolist() == [10] * 10 for chosen in sets)
    assert len(torch.cat(sets).unique()) == 100 * speedrun.BASELINE_SETS


def test_a_limit_starts_the_program_anew_once(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execve", lambda program, words, variables: started.append(variables))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict(avx2=True, amx_bf16=True))
    for name in machine.LIMITS["avx2"]:
        monkeypatch.delenv(name, raising=False)
    assert machine.limited() is None
    machine.limit("avx2")
    [variables] = started
    for name, value in machine.LIMITS["avx2"].items():
        assert variables[name] == value
        monkeypatch.setenv(name, value)
    machine.limit("avx2")
    assert len(started) == 1
    assert machine.limited() == "avx2"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict(neon=True))
    with pytest.raises(SystemExit, match="no AVX2; leave --isa out"):
        machine.limit("avx2")


def test_an_interrupted_run_on_a_limited_processor_keeps_its_figures(tmp_path):
    if not torch.cpu.get_capabilities().get("avx2"):
        pytest.skip("this processor has no AVX2")
    path = tmp_path / "bench.json"
    command = [sys.executable, str(ROOT / "bench/all.py"), "--tiny", "--busy", "--threads", "1"]
    command += ["--isa", "avx2", "--only", "peak", "train", "--out", str(path)]
    limited = os.environ | machine.LIMITS["avx2"]  # from the start: it need not start anew
    pipe = subprocess.PIPE

    def heed():  # whoever starts the tests may ignore Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)

    job = dict(stdout=pipe, stderr=pipe, env=limited, preexec_fn=heed)
    with subprocess.Popen(command, **job) as run:
        for line in run.stdout:
            if line.startswith(b"[2 of 2] train"):
                time.sleep(1)  # Python drops an interrupt that meets it while it forks
                os.kill(run.pid, signal.SIGINT)
                break
        _, said = run.communicate()
    assert run.returncode == 1 and b"--resume goes on" in said
    assert b"Traceback" not in said
    found = json.loads(path.read_text())
    assert found["finished"] == ["peak"] and found["share_of_peak"] > 0  # a time, on a busy machine
    assert found["note"] == "AVX2, emulated by limiting the instruction set"
    assert found["precision"] == "float32" and found["threads"] == 1
    assert not any("bfloat16" in name for name in found["parts"]["peak"]["gflop_per_second"])


# -- the page


def test_page_shows_figures_and_curves(tmp_path, monkeypatch):
    setting = dict(batch=2, width=8, size=16, T=2)
    cost = dict(seconds=0.1, flops=2e9, bytes=3e6, counted_bytes=1e6)
    points = []
    for axis in speed.AXES:
        for factor in (1, 2):
            changed = setting | {axis: factor * setting[axis]}
            scaled = {key: factor * value for key, value in cost.items()}
            points.append(dict(axis=axis, setting=changed, train=scaled, draw=scaled))
    precision = dict(train="float32", draw="float32")
    curves = dict(centre=setting, precision=precision, points=points)
    found = dict(processor="P", threads=2, precision="float32", note="AVX2, emulated", quiet=False)
    found |= dict(share_of_peak=0.25, finished=["costs"], parts=dict(costs=curves))
    monkeypatch.setattr(speed, "stored", {"bench_avx2.json": found}.get)
    text = "\n".join(speed.speed_page(tmp_path))
    assert "| 25% |" in text
    assert "P, 2 threads, float32 (AVX2, emulated, while others used the processor too)" in text
    assert "(20 GFLOP/s in training, 20 in" in text
    assert text.count("| x 2 | x 2 | x 2 | x 2 |") == 2 * len(speed.AXES)
    assert (tmp_path / "bench_avx2_costs.png").stat().st_size > 10_000
    monkeypatch.setattr(speed, "stored", {}.get)
    assert "make bench" in list(speed.speed_page(tmp_path))[-1]
