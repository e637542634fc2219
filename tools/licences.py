"Write docs/licences.md: the licences of the packages that genda names, and of all installed."

import re
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from oldest import lowest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/licences.md"
# Licences that a dependency may have: who passes genda on has nothing to do but to name them.
ALLOWED = {
    *("0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC"),
    *("LLVM-exception", "MIT", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib"),
}
# What packages write where no SPDX expression stands -> that expression.
SAYINGS = {
    r"apache.*": "Apache-2.0",
    r"(the )?mit( license)?": "MIT",
    r"(3-clause bsd|bsd 3-clause|new bsd)( license)?": "BSD-3-Clause",
    r"(2-clause bsd|bsd 2-clause)( license)?": "BSD-2-Clause",
    r"bsd( license)?": "BSD",
    r"isc.*": "ISC",
    r"mozilla public license 2.*": "MPL-2.0",
    r"python software foundation license|psfl?": "PSF-2.0",
    r"nvidia proprietary software": "LicenseRef-NVIDIA-Proprietary",
}
LICENCE = "License :: "
HEAD = """# Licences of what genda needs

genda itself is under Apache-2.0. The packages that it names in `pyproject.toml`, each with the
licence that its own metadata state. Written by `make licences`; a test allows no others than these:
{allowed}.

"""
ALL = """
## Everything that is installed

With what those packages need in turn, on Linux with the CUDA build of PyTorch. The libraries of
NVIDIA are proprietary; the CPU build does without them. The drawn faces are made of styles that
have licences of their own, which `genda.data.faces.credit` states.

"""


def spoken(text):
    "The SPDX expression of what a package says of its licence; '' where it is a whole text."
    text = (text or "").strip().replace("UNKNOWN", "")
    for pattern, expression in SAYINGS.items():
        if re.fullmatch(pattern, text, re.IGNORECASE):
            return expression
    return text if re.fullmatch(r"[\w.+-]+( (AND|OR|WITH) [\w.+-]+)*", text) else ""


def from_file(found):
    "MIT where a licence file that comes along holds its text, else ''."
    for file in found.files or []:
        if ".dist-info/" in str(file) and file.name.upper().startswith("LICEN"):
            text = file.locate().read_text(encoding="utf-8")
            if "Permission is hereby granted, free of charge" in " ".join(text.split()):
                return "MIT"
    return ""


def licence_of(found):
    "The licence of an installed distribution as its metadata state it; '' where they do not."
    about = found.metadata
    if about["License-Expression"]:
        return about["License-Expression"]
    kinds = [
        kind.split(" :: ")[-1] for kind in about.get_all("Classifier") or [] if LICENCE in kind
    ]
    named = " AND ".join(spoken(kind) or kind for kind in kinds)
    return spoken(about["License"]) or named or from_file(found)


def refused(expression):
    "The parts of an expression that are not allowed; of those with OR, one that is will do."
    ways = [set(re.split(r" AND | WITH ", way)) for way in expression.strip("()").split(" OR ")]
    return min((way - ALLOWED for way in ways), key=len)


def direct():
    "Name -> licence of every dependency that pyproject.toml names; None where it is not installed."
    found = {}
    for name in lowest():
        try:
            found[name] = licence_of(distribution(name))
        except PackageNotFoundError:
            found[name] = None
    return found


def page():
    "The text of docs/licences.md."
    lines = ["| package | licence |", "| --- | --- |"]
    lines += [f"| {name} | {licence} |" for name, licence in direct().items()]
    by_licence = defaultdict(set)
    for found in distributions():
        if found.metadata["Name"] != "genda":
            by_licence[licence_of(found) or "not stated"].add(found.metadata["Name"])
    rest = ["| licence | packages |", "| --- | --- |"]
    for licence, names in sorted(by_licence.items()):
        rest.append(f"| {licence} | {', '.join(sorted(names, key=str.lower))} |")
    head = HEAD.format(allowed=", ".join(sorted(ALLOWED)))
    missing = [name for name, licence in direct().items() if licence is None]
    if missing:
        raise SystemExit(
            f"not installed, so of unknown licence: {', '.join(missing)}; make install"
        )
    return head + "\n".join(lines) + "\n" + ALL + "\n".join(rest) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(direct())} packages named")
