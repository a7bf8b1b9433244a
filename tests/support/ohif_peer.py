"""The OHIF viewer for tests: a web server that has it beside a PACS's DICOMweb, and a window with it."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Page, TimeoutError, sync_playwright

CONFIGURATION = Path(__file__).parent.parent / "acceptance" / "app-config.js"
WINDOW_PX = {"width": 1500, "height": 900}
PATIENCE_MS = 120_000
"""How long the viewer may take on a busy machine without a graphics card."""
REDRAW_MS = 5_000
CHROMIUM_FLAGS = (
    "--no-sandbox",  # it refuses to run as root with one
    "--disable-background-networking",
    "--disable-component-update",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)

Frame = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the window."""


class _Site(SimpleHTTPRequestHandler):
    """OHIF's files, and the PACS's DICOMweb at the same address, as OHIF is usually installed."""

    protocol_version = "HTTP/1.1"
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".wasm": "application/wasm"}  # noqa: RUF012

    def __init__(self, *arguments: Any, pacs_port: int, **keywords: Any) -> None:
        self._pacs_port = pacs_port
        super().__init__(*arguments, **keywords)

    def end_headers(self) -> None:
        # OHIF shares memory with its workers, which a browser allows an isolated page alone.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith(("/dicom-web", "/wado")):
            self._from_pacs()
        elif path == "/app-config.js":
            self._answer(200, {"Content-Type": "text/javascript"}, CONFIGURATION.read_bytes())
        else:
            if not Path(self.translate_path(path)).is_file():
                self.path = "/"  # what is no file is a page of the one page that OHIF is
            super().do_GET()

    def _from_pacs(self) -> None:
        pacs = http.client.HTTPConnection("127.0.0.1", self._pacs_port, timeout=60)
        # With the browser's Host, the URLs that Orthanc answers lead here again.
        asked = {name: self.headers[name] for name in ("Host", "Accept") if name in self.headers}
        pacs.request("GET", self.path, headers=asked)
        answer = pacs.getresponse()
        kept = {"Content-Type": answer.getheader("Content-Type", "application/octet-stream")}
        self._answer(answer.status, kept, answer.read())
        pacs.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests' output is enough."""


@contextmanager
def ohif_site(dist: Path, pacs_port: int) -> Iterator[str]:
    """Serve OHIF on a free port of loopback; gives its address.

    Args:
        dist: Folder of the built viewer.
        pacs_port: Where the PACS answers DICOMweb.
    """
    handler = partial(_Site, directory=str(dist), pacs_port=pacs_port)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@dataclass(frozen=True)
class Graphics:
    """What the viewer has drawn over an image, in pixels of the window.

    Attributes:
        viewport: The place for the image.
        points: Of the polyline, shape (n, 2), (column, row).
        lines: Lines of text, and where each is.
    """

    viewport: Frame
    points: npt.NDArray[np.float64]
    lines: dict[str, Frame]


class Viewer:
    """A browser window with OHIF in it.

    Args:
        page: The window.
        url: Address of the viewer.
        screenshots: Folder for pictures of what was seen.

    Attributes:
        problems: What the browser complained of since the study was opened.
    """

    def __init__(self, page: Page, url: str, screenshots: Path) -> None:
        self._page = page
        self._url = url
        self._screenshots = screenshots
        self.problems: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script("""localStorage.setItem('shownTours', '["basicViewerTour"]')""")
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        page.on(
            "response",
            lambda got: self.problems.append(f"{got.status} {got.url}") if got.status >= 400 else None,
        )

    def study_list(self) -> dict[str, str]:
        """Text of each row of the study list, by StudyInstanceUID."""
        self.problems.clear()
        self._page.goto(self._url, wait_until="commit")
        rows = self._page.locator("[data-cy^=studyRow-]")
        rows.first.wait_for()
        uids = [(row.get_attribute("data-cy") or "").removeprefix("studyRow-") for row in rows.all()]
        return dict(zip(uids, rows.all_inner_texts(), strict=True))

    def open_study(self, study_instance_uid: str) -> None:
        """Open a study; returns when its first image is drawn."""
        self.problems.clear()
        self._page.goto(f"{self._url}/viewer?StudyInstanceUIDs={study_instance_uid}", wait_until="commit")
        self._wait_until_drawn("")

    def open_series(self, description: str) -> None:
        """Open a series of the study with a double click in the list at the left."""
        thumbnails = self._page.locator("[data-cy^=study-browser-thumbnail]")
        thumbnails.filter(has_text=description).first.dblclick()

    def image(self, sop_instance_uid: str) -> Frame:
        """Where an image is shown that has been opened: the place for it, in pixels of the window."""
        self._wait_until_drawn(sop_instance_uid)
        canvas = self._page.locator("canvas.cornerstone-canvas").bounding_box()
        assert canvas is not None
        left, top = canvas["x"], canvas["y"]
        return left, top, left + canvas["width"], top + canvas["height"]

    def graphics(self) -> Graphics:
        """The polyline and the text that are drawn over the image.

        OHIF 3.12 now and then draws the image before it knows what belongs to it, and draws that with the
        next change. So the window is made smaller for a moment; whoever looks at it would zoom.
        """
        polyline = self._page.locator("svg.svg-layer polyline")
        try:
            polyline.wait_for(state="attached", timeout=REDRAW_MS)
        except TimeoutError:
            self._page.set_viewport_size({**WINDOW_PX, "height": WINDOW_PX["height"] - 2})
            polyline.wait_for(state="attached")
            smaller = polyline.get_attribute("points")
            self._page.set_viewport_size(WINDOW_PX)
            self._page.wait_for_function(
                """points =>
                  document.querySelector('svg.svg-layer polyline')?.getAttribute('points') !== points""",
                arg=smaller,
            )
            self._settle()
        found = self._page.evaluate(
            """() => {
              const layer = document.querySelector('svg.svg-layer');
              const edges = element => {
                const {left, top, right, bottom} = element.getBoundingClientRect();
                return [left, top, right, bottom];
              };
              return {
                viewport: edges(layer),
                points: layer.querySelector('polyline').getAttribute('points'),
                lines: [...layer.querySelectorAll('tspan')].map(line => [line.textContent, edges(line)]),
              };
            }"""
        )
        left, top, *_ = found["viewport"]
        numbers = np.array(re.findall(r"-?[\d.]+", found["points"]), dtype=np.float64)
        return Graphics(
            viewport=tuple(found["viewport"]),
            points=numbers.reshape(-1, 2) + np.array([left, top]),
            lines={text: tuple(edges) for text, edges in found["lines"]},
        )

    def text(self, containing: str) -> str:
        """All text in the window, once it contains something."""
        self._page.get_by_text(containing).first.wait_for()
        return self._page.locator("body").inner_text()

    def messages(self) -> list[str]:
        """Dialogues and notices that lie over the window."""
        over = self._page.locator("[role=dialog], [role=alertdialog], [data-sonner-toast]")
        said: list[str] = over.all_inner_texts()
        return said

    def screenshot(self, name: str) -> npt.NDArray[np.uint8]:
        """The window as pixels of shape (height, width, 3), which are kept as a file, too."""
        png = self._page.screenshot(path=self._screenshots / f"{name}.png")
        return np.asarray(Image.open(BytesIO(png)).convert("RGB"))

    def _wait_until_drawn(self, sop_instance_uid: str) -> None:
        self._page.wait_for_function(
            """uid => window.cornerstone?.getRenderingEngines?.().flatMap(engine => engine.getViewports())
              .some(view => view.viewportStatus === 'rendered' && view.getCurrentImageId()?.includes(uid))""",
            arg=sop_instance_uid,
        )
        self._settle()

    def _settle(self) -> None:
        """Wait until what was drawn is on the screen."""
        self._page.evaluate(
            """() => new Promise(
              done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 500))))"""
        )


@contextmanager
def viewer(chromium: str, url: str, screenshots: Path) -> Iterator[Viewer]:
    """Open a browser window for OHIF.

    Args:
        chromium: Path of the browser.
        url: Address of the viewer.
        screenshots: Folder for pictures of what was seen; made where it is missing.
    """
    screenshots.mkdir(parents=True, exist_ok=True)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS)) as browser,
    ):
        yield Viewer(browser.new_page(viewport=WINDOW_PX), url, screenshots)
