"Seconds from the move of a slider to its last picture."

import asyncio
import statistics
import time

from genda.widgets import eta_slider, guidance_slider

SLIDERS = dict(w=guidance_slider, eta=eta_slider)


async def seconds_of_a_move(playground, name, value):
    "Move one slider, wait for the picture."
    start = time.perf_counter()
    playground.controls[name].value = value
    await asyncio.wait_for(playground.latest.done(), 600)
    if playground.error:
        raise playground.error
    return time.perf_counter() - start


async def seconds_of_moves(playground, name, values):
    return [await seconds_of_a_move(playground, name, value) for value in values]


def measure(n=16, steps=10, moves=5):
    "Per slider the median of some moves after a first one."
    found = dict(n=n, steps=steps, moves=moves)
    for name, make in SLIDERS.items():
        playground = make("digits", n=n, steps=steps)
        control = playground.controls[name]
        values = [control.max - k * control.step for k in range(moves + 1)]
        times = asyncio.run(seconds_of_moves(playground, name, values))
        found[f"seconds_{name}"] = statistics.median(times[1:])
        print(f"  {name}: {found[f'seconds_{name}']:.3f} s for {n} digits in {steps} steps")
        yield dict(found)
