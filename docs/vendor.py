"Fetch the JavaScript that the site carries, through npm, once; after that the site builds offline."

import argparse
import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "_vendor"
# name and version -> the checksum that npm states, and what is kept of it
PACKAGES = {
    "onnxruntime-web@1.30.0": (
        "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        {"dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm", "README.md"},
    ),
    "mathjax@3.2.2": (
        "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
        {"es5/tex-svg-full.js", "LICENSE"},
    ),
}
PATIENCE = "--fetch-retries=1", "--fetch-timeout=120000"


def folder_of(package):
    return FOLDER / package.replace("@", "-")


def missing():
    return [p for p in PACKAGES if not folder_of(p).is_dir()]


def fetch(package):
    "Ask npm for a package, compare it with its checksum, keep the files that the site needs."
    npm = shutil.which("npm")
    if not npm:
        raise OSError("npm is not on this machine")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [npm, "pack", package, "--silent", "--prefer-offline", *PATIENCE],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        packed = next(Path(folder).glob("*.tgz"), None)
        if packed is None:
            reason = done.stderr.strip() or "is this machine online?"
            raise OSError(f"npm could not fetch {package}: {reason}")
        keep(package, packed)


def keep(package, packed):
    "Unpack what the site needs of a package, if it is the package that was tested."
    checksum, wanted = PACKAGES[package]
    found = hashlib.sha512(packed.read_bytes()).digest()
    if base64.b64encode(found).decode() != checksum:
        raise OSError(f"{package} is not the package that was tested: its checksum differs")
    part = folder_of(package).with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with tarfile.open(packed) as tar:
        for name in wanted:
            (part / Path(name).name).write_bytes(tar.extractfile(f"package/{name}").read())
    part.rename(folder_of(package))


def main():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument(
        "--if-possible",
        action="store_true",
        help="say so and go on where npm or the network is missing",
    )
    a = cli.parse_args()
    try:
        for package in missing():
            fetch(package)
    except OSError as error:
        print(
            f"The site needs {' and '.join(PACKAGES)} from npm, fetched once and kept in "
            f"docs/_vendor: {error}.\nInstall Node.js, go online and call `make docs` again; or "
            "`make docs PLAIN=1` builds the site without live pages, its formulas as LaTeX.",
            file=sys.stderr,
        )
        sys.exit(0 if a.if_possible else 1)


if __name__ == "__main__":
    main()
