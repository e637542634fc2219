"What the measuring programs share: a processor's limits, processes of their own, peak memory."

import contextlib
import multiprocessing
import os
import signal
import statistics
import sys
from pathlib import Path

import psutil
import torch

from genda.training.callbacks import fast_dtype

BUSY = 15  # percent of the processor that others may use
# What makes PyTorch and its libraries compute as on a processor with that instruction set at most.
# They read it once, when they are loaded.
LIMITS = {
    "avx2": dict(
        ATEN_CPU_CAPABILITY="avx2", DNNL_MAX_CPU_ISA="AVX2", MKL_ENABLE_INSTRUCTIONS="AVX2"
    )
}
MARK = "{}, emulated by limiting the instruction set"


def used():
    "Percent of the processor that is in use, the median of a few looks."
    return statistics.median(psutil.cpu_percent(interval=0.5) for _ in range(5))


def refuse_when_busy(share):
    "End with one line where others use so many percent: the figures would not be the machine's."
    if share > BUSY:
        sys.exit(
            f"the machine is busy: {share:.0f}% of its processor is in use by others, at most "
            f"{BUSY}% would do; end them, or measure all the same with --busy"
        )


# -- the instruction set


def limited():
    "The instruction set that this process is limited to, or None."
    for isa, variables in LIMITS.items():
        if all(os.environ.get(name) == value for name, value in variables.items()):
            return isa
    return None


def limit(isa):
    "Start this program anew with the limit, unless it runs with it already."
    if not torch.cpu.get_capabilities().get(isa):
        sys.exit(f"--isa {isa}: this processor has no {isa.upper()}; leave --isa out")
    if limited() != isa:
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | LIMITS[isa])


def precision():
    "The number format that trains fastest here."
    return fast_dtype("cpu")


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


# -- processes and memory


def _send(there, measure, threads, options):
    "Run a generator function, and send what it yields."
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(threads)
    try:
        for found in measure(**options):
            there.send(found)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def apart(measure, threads, **options):
    "What a generator function yields, from a process that has computed nothing before."
    # A fork is quick, as all is imported; a process that has computed with threads must not fork.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(there, measure, threads, options))
    process.start()
    there.close()
    try:
        while True:
            try:
                found = here.recv()
            except EOFError:
                break
            yield found
        process.join()
    finally:
        if process.is_alive():
            process.terminate()
        process.join()
    if process.exitcode:
        raise RuntimeError(f"{measure.__name__} ended with exit code {process.exitcode}")


def peak_memory():
    "The most bytes that this process has held at once."
    try:
        import resource
    except ImportError:  # Windows
        return psutil.Process().memory_info().peak_wset
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory():
    "Bytes that this process holds now; on Linux `peak_memory` counts anew from here."
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return psutil.Process().memory_info().rss
