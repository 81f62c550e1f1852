"""The built site, and a browser to read it with."""

import functools
import gzip
import io
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PATIENCE = 300_000  # ms until the browser is given up: a busy machine is no failure
SITE = Path(__file__).resolve().parents[2] / "_build" / "html"
CHROMIUM_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)


@pytest.fixture(scope="session")
def site():
    """Folder of the built site."""
    if not (SITE.parent / "built").is_file():
        pytest.fail("the site has not been built: run `make book` first")
    return SITE


@functools.cache
def compressed(path):
    """A file as a static host sends it."""
    return gzip.compress(path.read_bytes(), 6, mtime=0)


class Host(SimpleHTTPRequestHandler):
    """Sends text compressed and keeps connections, as hosts of static sites do."""

    protocol_version = "HTTP/1.1"

    def send_head(self):
        path = Path(self.translate_path(self.path))
        if (
            path.suffix not in (".html", ".css", ".js", ".json", ".svg", ".csv")
            or not path.is_file()
        ):
            return super().send_head()
        body = compressed(path)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return io.BytesIO(body)

    def log_message(self, *arguments):
        """One line for each request would bury the tests' own."""


@pytest.fixture(scope="session")
def address(site):
    """Address of the site, served on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Host, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium: a browser that the tests download would not be the reader's."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    program = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if program is None:
        pytest.fail("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS.split())
        yield browser
        browser.close()


class Visit:
    """A page in a tab of its own that nothing is kept for, and what a reader should never meet
    there. Nothing moves by itself, unless `motion` is "no-preference".
    """

    def __init__(self, browser, home, page, theme="light", width=1280, motion="reduce"):
        self.width, self.troubles, self.weights = width, [], {}
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion=motion
        )
        self.context.set_default_timeout(PATIENCE)
        self.tab = self.context.new_page()
        allowed = (f"{home}/", "data:", "blob:")
        for event, hear in {
            "console": lambda message: (
                self.trouble(message.text) if message.type in ("error", "warning") else None
            ),
            "pageerror": lambda error: self.trouble(str(error)),
            "requestfailed": lambda request: self.trouble(f"failed: {request.url}"),
            "request": lambda request: (
                None if request.url.startswith(allowed) else self.trouble(f"asked: {request.url}")
            ),
            "response": lambda response: self.weights.update(
                {response.url: int(response.headers.get("content-length", 0))}
            ),
        }.items():
            self.tab.on(event, hear)
        self.address = f"{home}/{page}"

    def trouble(self, text):
        self.troubles.append(text)

    def open(self):
        """Load the page; return when its fonts and its pictures in view are there."""
        self.tab.goto(self.address)
        self.tab.evaluate("""async () => {
              await document.fonts.ready;
              const inView = image => image.offsetParent
                && image.getBoundingClientRect().top < innerHeight;
              await Promise.all([...document.images].filter(inView).map(image => image.decode()));
            }""")
        return self

    def unfold(self):
        """Open all that is folded and fetch all pictures; return when nothing moves any more."""
        self.tab.evaluate("""async () => {
              for (const folded of document.querySelectorAll('details')) folded.open = true;
              for (const image of document.images) image.loading = 'eager';
              await Promise.all([...document.images].filter(image => image.offsetParent)
                .map(image => image.decode()));
              for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
            }""")
        self.settle()

    def settle(self):
        self.tab.wait_for_function(
            "document.getAnimations().every(animation => animation.playState !== 'running')"
        )

    def turn(self, theme):
        """Change the reader's system to the other theme."""
        self.tab.emulate_media(color_scheme=theme)
        self.tab.wait_for_function(
            "theme => document.documentElement.dataset.theme === theme", arg=theme
        )
        self.unfold()


@pytest.fixture
def visit(browser):
    """Start a visit: visit(home, page, theme=, width=, motion=), to be opened."""
    visits = []

    def start(*arguments, **keywords):
        visits.append(Visit(browser, *arguments, **keywords))
        return visits[-1]

    yield start
    for started in visits:
        started.context.close()
