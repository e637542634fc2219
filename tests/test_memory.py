"Dropped memory is used again; a process of its own, as what other tests left would count too."

import subprocess
import sys

import pytest

PAGES = """
import resource

import torch

from genda.training.callbacks import keep_memory


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def pages(n=5, size=2**26):
    start = faults()
    for _ in range(n):
        torch.zeros(size // 4).add_(1)
    return faults() - start


kept = KEPT and keep_memory()
pages()  # the heap may still grow here, so the second count is the one that tells
print(int(kept), pages())
"""


def pages(kept):
    "Whether memory is kept, and pages brought in for five tensors of 64 MB."
    done = subprocess.run(
        [sys.executable, "-c", PAGES.replace("KEPT", str(kept))],
        capture_output=True,
        text=True,
        check=True,
    )
    return map(int, done.stdout.split())


def test_dropped_tensors_leave_their_pages():
    pytest.importorskip("resource")
    kept, few = pages(True)
    _, many = pages(False)
    if not kept:
        pytest.skip("this C library has no mallopt")
    assert few < 5 * 2**26 / 4096 / 4
    assert few < many, "pages brought in with and without kept memory"
