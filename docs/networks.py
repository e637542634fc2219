"Shipped networks as ONNX files for the live pages, checked against torch."

import json
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from genda.diffusion.process import GaussianDiffusion
from genda.zoo import ENTRIES, load_model

TOLERANCE = 1e-4


def unchecked(y, b):
    "In place of a network's check of conditions."
    return y


class Answer(torch.nn.Module):
    "A network whose inputs are plain tensors: images, steps, conditions, and which of these count."

    def __init__(self, net):
        super().__init__()
        self.net = net
        if net.cond:
            # The check looks at values, which a graph cannot; the page offers only good ones.
            net.cond.check = unchecked

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
    "Store each large weight in 16 bits, as it was shipped, and widen it where it is used."
    for w in [w for w in model.graph.initializer if w.data_type == TensorProto.FLOAT]:
        full = numpy_helper.to_array(w)
        half = full.astype(np.float16)
        if full.size < 64 or not np.array_equal(half.astype(np.float32), full):
            continue
        name = w.name
        model.graph.initializer.remove(w)
        model.graph.initializer.append(numpy_helper.from_array(half, f"{name}.half"))
        widen = helper.make_node(
            "Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT
        )
        model.graph.node.insert(0, widen)


def without_notes(model):
    "Leave out what the exporter notes of the source of each node, a tenth of a file."
    for part in (*model.graph.node, *model.graph.initializer, *model.graph.input):
        del part.metadata_props[:]
    del model.graph.value_info[:]


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
    without_notes(model)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@torch.no_grad()
def error(data, net, card):
    "The largest difference between the ONNX model's answers and the network's."
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for b in 1, 3, 8:
        xt = torch.randn(b, *shape(card), generator=generator)
        t = torch.randint(1, card["process"]["T"] + 1, (b,), generator=generator)
        y = conditions(card)[:b]
        keep = torch.arange(b) % 3 < 2
        inputs = dict(xt=xt.numpy(), t=t.numpy(), y=y.numpy(), keep=keep.numpy())
        answer = torch.as_tensor(session.run(None, inputs)[0])
        worst = max(worst, float((answer - net(xt, t, y, keep)).abs().max()))
    return worst


def export(names, folder):
    "Write <name>.onnx and <name>.json of the networks that are shipped; a difference is an error."
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
                f"{name}: the ONNX model differs from the network by {worst:.2g}, "
                f"allowed is {TOLERANCE}"
            )
        process = GaussianDiffusion.from_config(card["process"])
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
