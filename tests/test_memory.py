"Dropped memory is used again: seen in a process of its own, for what another test left in the heap would count too."

import subprocess
import sys

import pytest

PAGES = """
import resource, torch
from genda.core import keep_memory
kept = KEPT and keep_memory()
def pages(n=5, size=2**26):
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n): torch.zeros(size//4).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start
pages(2); print(int(kept), pages())
"""


def test_dropped_tensors_leave_their_pages():
    pytest.importorskip("resource")

    def run(kept):
        return map(
            int,
            subprocess.run(
                [sys.executable, "-c", PAGES.replace("KEPT", str(kept))],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split(),
        )

    (kept, few), (_, many) = run(True), run(False)
    if not kept:
        pytest.skip("this C library has no mallopt")
    assert few < 5 * 2**26 / 4096 / 4 and few < many, (
        "pages brought in with and without kept memory"
    )
