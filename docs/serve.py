"Serve the built site on this machine, with the headers that let live pages use several threads."

import argparse
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SITE = Path(__file__).resolve().parent / "_build"
# With these a browser shares memory between the threads of a page.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


class Isolated(SimpleHTTPRequestHandler):
    "Files with those headers."

    def end_headers(self):
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()


def main():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("port", type=int)
    port = cli.parse_args().port
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Isolated, directory=str(SITE)))
    print(f"The site is on http://localhost:{server.server_port}; Ctrl+C stops it.", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
