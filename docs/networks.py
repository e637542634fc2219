"Shipped networks as ONNX files for the live pages, checked against torch, and what the pages must know of them."

import json
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from genda.process import GaussianDiffusion
from genda.zoo import ENTRIES, load_model

TOLERANCE = 1e-4


class Answer(torch.nn.Module):
    "A network with all it can be asked as plain tensors: images, steps, conditions, and which of those conditions count."

    def __init__(self, net):
        super().__init__()
        self.net = net
        if net.cond:
            net.cond.check = lambda y, b: (
                y
            )  # looks at values, which a graph cannot; the page offers none but good ones

    def forward(self, xt, t, y, keep):
        return self.net(xt, t, y, keep)


def conditions(card):
    "Eight conditions, as the network takes them: class indices, or vectors of -1 and 1."
    k = card["net"].get("attributes")
    if k:
        return (torch.rand(8, k, generator=torch.Generator().manual_seed(1)) > 0.5).float() * 2 - 1
    return torch.arange(8) % card["net"].get("classes", 1)


def shape(card):
    return card["net"]["in_channels"], *[card.get("size", 28)] * 2


def halve(model):
    "Store each large float32 weight in 16 bits, as it was shipped, and widen it where it is used: half the bytes, the same numbers."
    for w in [w for w in model.graph.initializer if w.data_type == TensorProto.FLOAT]:
        full = numpy_helper.to_array(w)
        half = full.astype(np.float16)
        if full.size < 64 or not np.array_equal(half.astype(np.float32), full):
            continue
        name = w.name
        model.graph.initializer.remove(w)
        model.graph.initializer.append(numpy_helper.from_array(half, f"{name}.half"))
        model.graph.node.insert(
            0,
            helper.make_node(
                "Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT
            ),
        )


def to_onnx(net, card):
    "The bytes of an ONNX model (xt [b, c, h, w], t [b], y, keep [b]) -> answer, for any b."
    y = conditions(card)[:2]
    b = torch.export.Dim("b")
    args = torch.randn(2, *shape(card)), torch.tensor([1, 1000]), y, torch.tensor([True, False])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            Answer(net),
            args,
            input_names=["xt", "t", "y", "keep"],
            output_names=["answer"],
            dynamic_shapes=({0: b},) * 4,
            verbose=False,
            dynamo=True,
        )
    model = made.model_proto
    halve(model)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@torch.no_grad()
def error(data, net, card):
    "The largest difference between the ONNX model's answers and the network's, for batches of 1, 3 and 8."
    run, worst, gen = (
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]),
        0.0,
        torch.Generator().manual_seed(0),
    )
    for b in 1, 3, 8:
        xt, t, y, keep = (
            torch.randn(b, *shape(card), generator=gen),
            torch.randint(1, card["process"]["T"] + 1, (b,), generator=gen),
            conditions(card)[:b],
            torch.arange(b) % 3 < 2,
        )
        ours = run.run(None, dict(xt=xt.numpy(), t=t.numpy(), y=y.numpy(), keep=keep.numpy()))[0]
        worst = max(worst, float((torch.as_tensor(ours) - net(xt, t, y, keep)).abs().max()))
    return worst


def export(names, folder):
    "Write <name>.onnx and <name>.json of those networks that are shipped; one that does not survive the way is an error."
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name not in ENTRIES:
            continue
        try:
            net, card = load_model(name, device="cpu")
        except FileNotFoundError:
            continue
        data = to_onnx(net, card)
        worst = error(data, load_model(name, device="cpu")[0], card)
        if worst > TOLERANCE:
            raise SystemExit(
                f"{name}: the ONNX model differs from the network by {worst:.2g}, allowed is {TOLERANCE}"
            )
        process = GaussianDiffusion.vp(**card["process"])
        about = dict(
            name=name,
            file=f"{name}.onnx",
            bytes=len(data),
            shape=shape(card),
            predict=card["predict"],
            abar=process.abar.tolist(),
            classes=card["net"].get("classes", 0),
            attributes=card.get("attributes", []),
            error=worst,
        )
        (folder / f"{name}.onnx").write_bytes(data)
        (folder / f"{name}.json").write_text(json.dumps(about), encoding="utf-8")
        yield about
