"Write oldest.txt: the lowest version of each dependency that pyproject.toml allows."

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The form in which pyproject.toml names a dependency: a name, a lower bound, perhaps an upper one.
BOUND = re.compile(r"(?P<name>[\w.-]+)>=(?P<version>[\w.]+)(,<[\w.]+)?")


def lowest():
    "Name and lowest version of everything that pyproject.toml names."
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [project["dependencies"], *project["optional-dependencies"].values()]
    found = {}
    for text in sorted(set().union(*named)):
        bound = BOUND.fullmatch(text)
        if bound is None or bound["name"] in found:
            raise ValueError(
                f"pyproject.toml: {text!r}: one lower bound is wanted, as in 'numpy>=2'"
            )
        found[bound["name"]] = bound["version"]
    return found


def main():
    lines = [f"{name}=={version}" for name, version in lowest().items()]
    (ROOT / "oldest.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"oldest.txt: {len(lines)} packages")


if __name__ == "__main__":
    main()
