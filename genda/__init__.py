__version__ = "0.1.0"


def main():
    "The `genda` command, which can also be stopped while it is read in."
    import sys

    try:
        from genda.cli import main

        return main()
    except KeyboardInterrupt:
        print("genda: stopped", file=sys.stderr)
        return 130
