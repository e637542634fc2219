"""What the fast recipe brought the shipped generators: work of their training, and their figures.

    python bench/zoo.py --before FOLDER   # the folder holds older weights under the same names

The figures are those of the cards, each with its number of images.
"""

import argparse
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from genda.checks import write_json
from genda.settings import settings
from genda.training.tracking import circumstances
from genda.zoo import RECIPES, figures_of, load_model


def training_work(model, card):
    "TFLOP of a training: images times the operations of a forward pass, three times."
    size = card.get("size", 28)
    attributes = card["net"].get("attributes")
    y = torch.zeros(1, attributes) if attributes else torch.zeros(1).long()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, card["net"]["in_channels"], size, size), torch.ones(1).long(), y)
    return 3 * counter.get_total_flops() * card["images"] / 1e12


def described(name, folder=None):
    "A network in numbers."
    model, card = load_model(name, folder, "cpu")
    figures = figures_of(card)
    return dict(
        size=card.get("size", 28),
        images=card["images"],
        parameters=sum(p.numel() for p in model.parameters()),
        work_tflop=training_work(model, card),
        seconds=card["seconds"],
        figures={name: score.figures() for name, score in figures.items()},
    )


def main():
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cli.add_argument("--before", type=Path, required=True, help="folder of the older weights")
    folder = cli.parse_args().before
    rows = {}
    for name, recipe in RECIPES.items():
        if not recipe.muon:
            continue
        rows[name] = dict(before=described(name, folder), after=described(name))
        print(name, rows[name], flush=True)
    write_json(settings().results / "speedrun" / "zoo.json", dict(networks=rows) | circumstances())


if __name__ == "__main__":
    main()
