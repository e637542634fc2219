"The `genda` command, also as `python -m genda`."

import sys


def main():
    "The command, which can also be stopped while it is read in."
    try:
        from genda.cli import main

        return main()
    except KeyboardInterrupt:
        print("genda: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
