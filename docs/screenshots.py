"""Takes the pictures of pages in docs/pictures from a running cluster.

python -m docs.screenshots                  # of the cluster in .localcluster, with its newest search
python -m docs.screenshots --experiment 7   # with that experiment
python -m docs.screenshots --to FOLDER --width 390 --scheme dark
python -m docs.screenshots --lineage        # only build/lineage.svg, as `make lineage` left it
python -m docs.screenshots --report         # only the report of fmnist-train, from the Pachyderm of PACH_CONFIG
python -m docs.screenshots --service http://127.0.0.1:8003/seldon/default/fashion-classifier   # only its two pages
python -m docs.screenshots --gate           # only build/report/report.html, as `make gate` left it
"""

from __future__ import annotations

import argparse
import base64
import io
import shutil
import tempfile
import urllib.parse
from pathlib import Path

from pachyderm_sdk.api import pfs
from PIL import Image

from data import ingest
from fmnist import artifacts
from localcluster.settings import HOST, Settings
from tests.deploy.chromium import Chromium

PICTURES = Path(__file__).with_name("pictures")
TALLEST = 1400
"""Pixels; what is below is cut off."""
COLOURS = 128
"""Enough for these pages, and a third of the size."""


def main() -> None:
    """Log in as a person would and photograph each page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", type=int, help="the experiment to show (default: the newest)")
    parser.add_argument("--lineage", action="store_true", help="photograph build/lineage.svg instead")
    parser.add_argument("--report", action="store_true", help="photograph the report of fmnist-train instead")
    parser.add_argument("--gate", action="store_true", help="photograph the accuracy gate's report instead")
    parser.add_argument("--service", metavar="URL", help="photograph the pages of this served model instead")
    parser.add_argument("--to", type=Path, default=PICTURES)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    options = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        parser.error("no chromium on the PATH (Debian: apt-get install chromium)")
    options.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Chromium(program, Path(profile))
        try:
            browser.call(
                "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": options.scheme}]
            )
            browser.call("Emulation.setScrollbarsHidden", hidden=True)
            resize(browser, options.width, 800)
            if options.lineage:
                photograph_lineage(browser, options.to / "lineage.png")
            elif options.gate:
                url = (artifacts.BUILD / "report" / "report.html").as_uri()
                photograph(browser, url, options.to / "report.png", options.width)
            elif options.service:
                for name, page, element in (("try", "try.html", ".best"), ("swagger", "", ".opblock-post")):
                    shown = f"!!document.querySelector('{element}')"
                    page = f"{options.service}/api/v1.0/doc/{page}"
                    photograph(browser, page, options.to / f"{name}.png", options.width, shown)
            elif options.report:
                photograph_report(browser, Path(profile), options)
            else:
                photograph_determined(browser, options)
        finally:
            browser.stop()


def photograph_determined(browser: Chromium, options: argparse.Namespace) -> None:
    """The experiments, one experiment and the models of the running cluster."""
    settings = Settings.from_environment()
    base = f"http://{HOST}:{settings.determined_port}"
    log_in(browser, base, (settings.home / "secrets" / "determined").read_text().strip())
    newest = "document.querySelector('tbody a').pathname"
    experiment = f"/det/experiments/{options.experiment}" if options.experiment else browser.evaluate(newest)
    for name, path in (("experiments", "/"), ("experiment", experiment), ("models", "/det/models")):
        photograph(browser, urllib.parse.urljoin(base, path), options.to / f"determined-{name}.png", options.width)


def photograph_lineage(browser: Chromium, file: Path) -> None:
    """What `make lineage` drew last, in its own width."""
    url = (artifacts.BUILD / "lineage.svg").as_uri()
    browser.call("Page.navigate", url=url)
    width = browser.until(f"location.href == '{url}' && document.documentElement.width.baseVal.value")
    photograph(browser, url, file, int(width))


def photograph_report(browser: Chromium, folder: Path, options: argparse.Namespace) -> None:
    """The report that the head of fmnist-train holds."""
    page = folder / "report.html"
    with ingest.connect().pfs.pfs_file(file=pfs.File.from_uri("fmnist-train@master:/report.html")) as stream:
        page.write_bytes(stream.read())
    photograph(browser, page.as_uri(), options.to / "fmnist-train.png", options.width)


def log_in(browser: Chromium, base: str, password: str) -> None:
    """Fill in the form."""
    browser.call("Page.navigate", url=base)
    browser.until("document.querySelector('#password') && document.readyState == 'complete'")
    browser.evaluate("document.querySelector('#password').focus()")
    browser.call("Input.insertText", text=password)
    browser.evaluate("document.querySelector('form').requestSubmit()")
    browser.until("document.querySelector('nav') && document.readyState == 'complete'")


def resize(browser: Chromium, width: int, height: int) -> None:
    """Give the page a window."""
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)


def photograph(browser: Chromium, url: str, file: Path, width: int, shown: str = "true") -> None:
    """Write one page as PNG once the JavaScript expression `shown` is true, as tall as the page is up to TALLEST."""
    resize(browser, width, 100)
    browser.call("Page.navigate", url=url)
    browser.until(f"location.href == '{url}' && document.readyState == 'complete' && {shown}")
    height = min(browser.evaluate("document.documentElement.scrollHeight"), TALLEST)
    resize(browser, width, height)
    picture = base64.b64decode(browser.call("Page.captureScreenshot", format="png")["data"])
    Image.open(io.BytesIO(picture)).quantize(COLOURS, Image.Quantize.FASTOCTREE).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
