"""The pages of the running model in a real browser: drawing, test images, uploads, corrections, errors in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from deploy.fashion_classifier.model import Classifier
from deploy.fashion_classifier.openapi import example_request
from tests.deploy.chromium import Chromium
from tests.deploy.microservice import Microservice
from tests.deploy.tiny_model import LABELS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("microservice")]

PROBLEMS = ("Runtime.exceptionThrown", "Network.loadingFailed", "Log.entryAdded", "Runtime.consoleAPICalled")
SETTLED = "new Promise((done) => setTimeout(done, 500))"


class TryPage:
    """The try-it page in a browser, as wide as a phone."""

    def __init__(self, browser: Chromium, microservice: Microservice) -> None:
        self.browser, self.base = browser, microservice.url
        browser.call("Emulation.setDeviceMetricsOverride", width=390, height=1700, deviceScaleFactor=1, mobile=False)
        browser.call("Page.navigate", url=f"{self.base}/")
        self.until_answered()

    def until_answered(self) -> None:
        """Wait until the page shows the answer to what it shows; the page asks at most every 60 ms."""
        self.browser.call("Runtime.evaluate", expression=SETTLED, awaitPromise=True)
        self.browser.until("!!document.querySelector('.best')")

    def sent(self, path: str) -> list[Any]:
        """The messages that the page posted to a path of the API, in order."""
        requests = [
            event["params"]["request"]
            for event in self.browser.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [json.loads(each["postData"]) for each in requests if each["url"] == f"{self.base}/api/v1.0/{path}"]

    def shown(self) -> dict[str, float]:
        """Class to probability, as the bars say."""
        text = self.browser.evaluate(
            "[...document.querySelectorAll('#bars tr')].map((row) => [...row.cells].map((cell) => cell.innerText))"
        )
        return {name: float(percent.removesuffix(" %")) / 100 for name, _, percent in text}

    def mouse(self, kind: str, x: float, y: float) -> None:
        """Move or press the mouse at a place of the drawing area, in its own 280 by 280 pixels."""
        left, top, width = self.browser.evaluate(
            "(({left, top, width}) => [left, top, width])(drawing.getBoundingClientRect())"
        )
        place = {"x": left + x * width / 280, "y": top + y * width / 280}
        self.browser.call("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **place)


@pytest.fixture(scope="module")
def page(microservice: Microservice, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TryPage]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    browser = Chromium(program, tmp_path_factory.mktemp("profile"))
    try:
        yield TryPage(browser, microservice)
    finally:
        browser.stop()


def pixels(request: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.array(request["data"]["tensor"]["values"], np.uint8).reshape(28, 28)


def check_answer(page: TryPage, classifier: Classifier) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The bars show what the model says to the picture that was sent last; returns that picture."""
    image = pixels(page.sent("predictions")[-1])
    expected = classifier.probabilities(image[np.newaxis])[0]
    shown = page.shown()
    assert list(shown) == LABELS
    np.testing.assert_allclose(list(shown.values()), expected, atol=0.00051)
    assert page.browser.evaluate("document.querySelector('.best th').innerText") == LABELS[expected.argmax()]
    return image


def test_a_test_image_is_asked_as_it_is_and_the_answer_says_where_it_comes_from(
    page: TryPage, classifier: Classifier
) -> None:
    assert page.browser.evaluate("location.pathname") == "/api/v1.0/doc/try.html"
    assert (check_answer(page, classifier) == pixels(example_request())).all()
    assert page.browser.evaluate("document.querySelector('#model').innerText") == "fashion-classifier, version 3"
    facts = page.browser.evaluate("document.querySelector('#tags').textContent")
    assert "5c1e0bd6ac1f4e2f9a0f3c1de7e0a111" in facts
    assert "outliertrue" in facts
    warning = page.browser.evaluate("document.querySelector('#top small').innerText")
    assert warning == "It does not look like the clothes that the model knows."
    assert page.browser.evaluate("document.documentElement.scrollWidth") == 390


def test_a_test_image_is_chosen_by_keyboard(page: TryPage, classifier: Classifier) -> None:
    page.browser.evaluate("document.querySelector('#samples button').focus()")
    page.browser.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", text="\r")
    page.until_answered()
    assert (check_answer(page, classifier) != pixels(example_request())).any()


def test_the_bars_move_while_one_draws(page: TryPage, classifier: Classifier) -> None:
    page.browser.evaluate("document.querySelector('#clear').click()")
    page.browser.until("document.querySelector('#top').innerText == 'Draw something to wear.'")
    assert page.browser.evaluate("document.querySelector('#verdict').disabled")
    before = len(page.sent("predictions"))
    page.mouse("mousePressed", 100, 60)
    for step in range(6):
        page.mouse("mouseMoved", 100, 60 + 30 * step)
        page.until_answered()
    assert len(page.sent("predictions")) >= before + 5, "asked while the button was down"
    image = check_answer(page, classifier)
    page.mouse("mouseReleased", 100, 210)
    rows, columns = np.nonzero(image)
    assert (rows.min(), rows.max()) == (0, 27), "the longer side fills the picture"
    assert abs(columns.min() + columns.max() - 27) <= 1, "the shorter one is centred"


def test_a_dark_picture_on_a_light_ground_is_turned_around(
    page: TryPage, classifier: Classifier, tmp_path: Path
) -> None:
    picture = Image.new("RGB", (300, 200), (240, 238, 235))
    ImageDraw.Draw(picture).rectangle((100, 50, 139, 149), fill=(20, 20, 60))
    picture.save(tmp_path / "trouser.png")
    node = page.browser.call("Runtime.evaluate", expression="document.querySelector('#file')")["result"]["objectId"]
    page.browser.call("DOM.setFileInputFiles", files=[str(tmp_path / "trouser.png")], objectId=node)
    page.until_answered()
    image = check_answer(page, classifier)
    rows, columns = np.nonzero(image)
    assert (rows.min(), rows.max()) == (0, 27)
    assert 10 <= len(set(columns)) <= 13
    assert image[:, :7].max() == 0
    assert image[14, 14] > 150


def test_a_correction_is_sent_as_seldon_feedback(page: TryPage) -> None:
    shown = page.shown()
    wrong = min(shown, key=lambda name: shown[name])
    place = LABELS.index(wrong) + 1
    page.browser.click(f"#classes button:nth-child({place})", "#thanks:not(:empty)")
    assert page.browser.evaluate("document.querySelector('#thanks').innerText").startswith(f"Thank you: {wrong}.")
    assert page.browser.evaluate("document.querySelector('#verdict').disabled"), "one correction an answer"
    (feedback,) = page.sent("feedback")
    assert feedback["reward"] == 0
    assert feedback["truth"] == {"data": {"ndarray": [wrong]}}
    assert feedback["request"] == page.sent("predictions")[-1]
    assert feedback["response"]["data"]["names"] == LABELS
    assert feedback["response"]["meta"]["puid"]


def test_no_error_so_far_and_no_other_host(page: TryPage) -> None:
    assert not [event for event in page.browser.events if event["method"] in PROBLEMS]
    urls = [e["params"]["request"]["url"] for e in page.browser.events if e["method"] == "Network.requestWillBeSent"]
    assert {url.split("/")[2] for url in urls if url.startswith("http")} == {page.base.split("/")[2]}


def test_errors_are_told_in_words(page: TryPage, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no picture")
    node = page.browser.call("Runtime.evaluate", expression="document.querySelector('#file')")["result"]["objectId"]
    page.browser.call("DOM.setFileInputFiles", files=[str(tmp_path / "no.png")], objectId=node)
    problem = "document.querySelector('#problem').innerText"
    page.browser.until(f"{problem} == 'This browser cannot read that file as a picture.'")
    page.browser.evaluate(
        'window.fetch = async () => new Response(\'{"status": {"info": "too odd"}}\', {status: 400});'
        "document.querySelector('#samples button').click()"
    )
    page.browser.until(f"{problem} == 'too odd'")
    assert page.browser.evaluate("document.querySelector('#verdict').disabled")
    page.browser.evaluate(
        "window.fetch = () => Promise.reject(new TypeError()); document.querySelector('#samples button').click()"
    )
    page.browser.until(f"{problem} == 'The server does not answer.'")


def test_the_two_pages_lead_to_each_other(page: TryPage) -> None:
    page.browser.call("Page.navigate", url=f"{page.base}/api/v1.0/doc/try.html")
    page.browser.until("!!document.querySelector('.best')")
    page.browser.click("nav a", ".opblock-post")
    page.browser.evaluate("document.querySelector('nav a').click()")
    page.browser.until("location.pathname.endsWith('/doc/try.html') && !!document.querySelector('.best')")


def test_who_draws_before_the_test_images_are_there_keeps_the_drawing(page: TryPage) -> None:
    late = """
        const now = window.fetch;
        const allowed = new Promise((allow) => { window.allow = allow; });
        window.fetch = async (path, ...rest) => {
            if (path === "samples.png") await allowed;
            return now(path, ...rest);
        };
    """
    script = page.browser.call("Page.addScriptToEvaluateOnNewDocument", source=late)
    page.browser.call("Page.navigate", url=f"{page.base}/api/v1.0/doc/try.html")
    page.browser.until("document.readyState == 'complete' && !!document.querySelector('#clear').onclick")
    page.mouse("mousePressed", 100, 100)
    page.mouse("mouseMoved", 180, 180)
    page.mouse("mouseReleased", 180, 180)
    page.until_answered()
    drawn = page.sent("predictions")[-1]
    page.browser.evaluate("window.allow()")
    page.browser.until("document.querySelectorAll('#samples button').length == 10")
    page.until_answered()
    assert page.sent("predictions")[-1] == drawn
    page.browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
