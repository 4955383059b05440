"""The pages: who may see them, that nothing a user wrote can act in them, and that they follow what runs."""

from __future__ import annotations

import html
import http.client
import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from determined.common import api
from determined.common.api import bindings
from hypothesis import given
from hypothesis import strategies as st

from localcluster.determined import access, config, searching
from localcluster.determined.pages import charts, render, views
from localcluster.determined.searcher import Search
from localcluster.determined.state import experiments, logs, metrics, trials, users
from localcluster.determined.state.database import Database
from tests.deploy.chromium import Chromium

from .conftest import Cluster

pytestmark = pytest.mark.slow

PAGES = ("/", "/det/experiments/1", "/det/trials/1", "/det/models", "/det/models/1")
EVIL = '<script>alert("x")</script>'


class Browser:
    """What a browser without scripts does: keeps one cookie, follows nothing."""

    def __init__(self, cluster: Cluster) -> None:
        self.port, self.cookie = cluster.port, ""

    def ask(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, Any, str]:
        """Return status, headers and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        if self.cookie:
            headers["Cookie"] = self.cookie
        connection.request(method, path, None if form is None else urlencode(form), headers)
        answer = connection.getresponse()
        if cookie := answer.headers["Set-Cookie"]:
            self.cookie = cookie.partition(";")[0]
        text = answer.read().decode()
        connection.close()
        return answer.status, answer.headers, text

    def log_in(self, password: str, wanted: str = "") -> tuple[int, Any, str]:
        return self.ask("POST", "/login", {"username": "determined", "password": password, "next": wanted})


@pytest.fixture
def visitor(cluster: Cluster) -> Browser:
    """Somebody who has logged in."""
    browser = Browser(cluster)
    assert browser.log_in(cluster.password)[0] == 303
    return browser


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_sees_the_login_form_only(cluster: Cluster, path: str) -> None:
    for cookie in ("", f"{access.COOKIE}=forged"):
        browser = Browser(cluster)
        browser.cookie = cookie
        status, headers, text = browser.ask("GET", path)
        assert (status, text) == (303, "")
        assert headers["Location"] == ("/login" if path == "/" else f"/login?next={path}")
    assert 'type="password"' in browser.ask("GET", headers["Location"])[2]


def test_a_wrong_password_shows_the_form_again(cluster: Cluster) -> None:
    browser = Browser(cluster)
    status, headers, text = browser.log_in("wrong")
    assert status == 403
    assert "password is wrong" in text
    assert 'value="determined"' in text
    assert "Set-Cookie" not in headers
    assert EVIL not in browser.ask("POST", "/login", {"username": EVIL, "password": "x", "next": EVIL})[2]
    assert browser.ask("POST", "/login", {"username": "x" * 20_000})[0] == 400
    assert browser.ask("POST", "/login", {})[0] == 403


def test_the_session_is_an_ordinary_token_that_opens_pages_only(cluster: Cluster, visitor: Browser) -> None:
    status, headers, _ = visitor.log_in(cluster.password)
    assert (status, headers["Location"]) == (303, "/")
    attributes = headers["Set-Cookie"].lower()
    for part in ("httponly", "samesite=strict", "path=/", f"max-age={int(users.TOKEN_LIFETIME.total_seconds())}"):
        assert part in attributes
    token = visitor.cookie.partition("=")[2]
    assert cluster.request("GET", "/api/v1/me", Authorization=f"Bearer {token}")[0] == 200
    assert cluster.request("GET", "/api/v1/me", Cookie=visitor.cookie)[0] == 401
    assert cluster.request("POST", "/api/v1/experiments/1/kill", {}, Cookie=visitor.cookie)[0] == 401
    stranger = Browser(cluster)
    assert stranger.ask("GET", "/", Authorization=f"Bearer {token}")[0] == 303


def test_a_logout_ends_the_session_on_the_master_too(cluster: Cluster, visitor: Browser) -> None:
    session = visitor.cookie
    assert visitor.ask("GET", "/")[0] == 200
    status, headers, _ = visitor.ask("POST", "/logout", {})
    assert (status, headers["Location"]) == (303, "/login")
    visitor.cookie = session
    assert visitor.ask("GET", "/")[0] == 303
    assert cluster.request("GET", "/api/v1/me", Authorization=f"Bearer {session.partition('=')[2]}")[0] == 401


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/det/experiments/3", "/det/experiments/3"),
        ("/", "/"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/det/", "/"),
        ("/det/@evil.example", "/"),
        ("/det/experiments/3\r\nX: y", "/"),
        ("/api/v1/users", "/"),
    ],
)
def test_a_login_leads_to_these_pages_only(cluster: Cluster, wanted: str, target: str) -> None:
    assert Browser(cluster).log_in(cluster.password, wanted)[1]["Location"] == target


@pytest.mark.parametrize("path", [*PAGES[:1], "/login", "/det/style.css", "/det/experiments/4711", "/det/nowhere"])
def test_every_answer_forbids_foreign_content(visitor: Browser, path: str) -> None:
    _, headers, text = visitor.ask("GET", path)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "same-origin")
    assert not re.findall(r"https?://", text.replace(render.when("2000"), ""))
    assert " style=" not in text


@pytest.mark.parametrize(
    "path", [f"experiments/{2**64}", "experiments/4711", "experiments/x", "trials/4711", "models/no one", "elsewhere"]
)
def test_what_is_not_there_is_said_on_a_page(visitor: Browser, path: str) -> None:
    status, headers, text = visitor.ask("GET", f"/det/{path.replace(' ', '%20')}")
    assert status in (400, 404)
    assert headers["Content-Type"].startswith("text/html")
    assert "<h1>" in text


def test_pages_show_what_the_clients_show(
    cluster: Cluster, session: api.Session, finished: int, visitor: Browser
) -> None:
    trial = cluster.trial(session, finished)
    saved = bindings.get_GetExperimentCheckpoints(session, id=finished).checkpoints
    for path in ("/", "/det/experiments"):
        assert f'<a href="/det/experiments/{finished}">finished</a>' in visitor.ask("GET", path)[2]
    page = visitor.ask("GET", f"/det/experiments/{finished}")[2]
    assert len(saved) == 2
    for checkpoint in saved:
        assert f'data-copy="{checkpoint.uuid}"' in page
    assert "<figcaption>accuracy</figcaption>" in page
    assert "<figcaption>loss</figcaption>" in page
    assert "<figcaption>epochs</figcaption>" not in page
    assert 'class="state completed"' in page
    assert "data-live" not in page
    assert "entrypoint: python3 train.py" in page
    page = visitor.ask("GET", f"/det/trials/{trial.id}")[2]
    assert "finished step 2" in page
    assert "<dt>steps</dt><dd>2</dd>" in page


def test_the_registry_shows_versions_with_their_provenance(
    cluster: Cluster, session: api.Session, finished: int, visitor: Browser
) -> None:
    uuid = bindings.get_GetExperimentCheckpoints(session, id=finished).checkpoints[0].uuid
    name = "shown on a page"
    bindings.post_PostModel(session, body=bindings.v1PostModelRequest(name=name, labels=["gold"]))
    body = bindings.v1PostModelVersionRequest(checkpointUuid=uuid, modelName=name, comment=EVIL)
    bindings.post_PostModelVersion(session, modelName=name, body=body)
    for path in ("/det/models", f"/det/models/{name.replace(' ', '%20')}"):
        page = visitor.ask("GET", path)[2]
        assert name in page
        assert f'data-copy="{uuid}"' in page
        assert "<dt>note</dt><dd>tiny</dd>" in page, "the checkpoint's metadata"
        assert f'href="/det/experiments/{finished}"' in page
        assert EVIL not in page
    assert f"{name} version 1" in visitor.ask("GET", f"/det/experiments/{finished}")[2]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """An empty cluster's database."""
    found = Database(tmp_path / "master.sqlite")
    users.ensure_initial(found, "secret")
    yield found
    found.close()


def submit(db: Database, tmp_path: Path, **changes: Any) -> int:
    """Store an experiment with its first trials."""
    text = {"entrypoint": "python3 train.py", "searcher": SINGLE, **changes}
    complete = config.complete(json.dumps(text), tmp_path, 1)
    number = experiments.create(
        db, config=complete, original=json.dumps(text), model_definition=b"", user_id=1, parent_id=None
    )
    experiments.set_state(db, number, "ACTIVE")
    search = Search(complete["searcher"], complete["hyperparameters"], 1)
    searching.begin(db, number, search)
    return number


def report(db: Database, trial: int, steps: int, average: dict[str, Any], name: str = metrics.VALIDATION) -> None:
    """Store a report of a trial's only run."""
    row = trials.get(db, trial)
    run = trials.allocations(db, trial)[0] if row["runs"] else trials.allocate(db, row, 1)[0]
    metrics.add(db, run, metrics.Report(name, steps, average))


def shown(db: Database, number: int) -> str:
    """The experiment's page."""
    return render.page("experiment.html", user=users.get(db, 1), **views.experiment(db, number)).decode()


SINGLE = {"name": "single", "metric": "accuracy", "smaller_is_better": False}


def test_nothing_that_users_write_is_markup(db: Database, tmp_path: Path) -> None:
    searcher = {**SINGLE, "metric": EVIL}
    texts = {
        "name": EVIL,
        "description": EVIL,
        "labels": [EVIL],
        "hyperparameters": {EVIL: EVIL, "deep": {EVIL: [EVIL]}},
    }
    number = submit(db, tmp_path, searcher=searcher, **texts)
    experiments.patch(db, number, {"notes": EVIL})
    report(db, 1, 1, {EVIL: 1.0, "'\"><x>": 2, "\x1b[31m\x00": 3, "\ud800": 4})
    report(db, 1, 1, {EVIL: 1.0}, EVIL)
    logs.append(db, 1, "1.1", [logs.Line("2026-01-01T00:00:00Z", f"{EVIL}\x1b[31mred\x1b[0m", level="ERROR")])
    user = users.get(db, 1)
    pages = [
        shown(db, number),
        render.page("experiments.html", user=user, **views.experiment_list(db, 1, archived=False)).decode(),
        render.page("trial.html", user=user, **views.trial(db, 1)).decode(),
    ]
    for page in pages:
        assert "<script>" not in page
        assert "<x>" not in page
        assert "&lt;script&gt;alert(" in page
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", page)
    assert f"ERROR: {html.escape(EVIL, quote=False)}".replace('"', "&#34;") in pages[2]
    assert "red\n" in pages[2]


def test_values_that_are_no_numbers_leave_a_gap(db: Database, tmp_path: Path) -> None:
    number = submit(db, tmp_path)
    for step, value in enumerate([math.nan, math.inf, -math.inf, -1e308, 1e308, "text", None, True, 10**400, [1]]):
        report(db, 1, step, {"accuracy": value})
    page = shown(db, number)
    assert "Learning curves" not in page
    assert "<b>1e+308</b>" in page
    report(db, 1, 100, {"accuracy": 0.25})
    report(db, 1, 101, {"accuracy": 0.5})
    (chart,) = views.experiment(db, number)["charts"]
    assert chart.lines[0].path.count("L") == 1
    assert "<figcaption>accuracy</figcaption>" in shown(db, number)


@pytest.mark.parametrize("reports", [0, 1, 2])
def test_few_points_are_drawn_too(db: Database, tmp_path: Path, reports: int) -> None:
    number = submit(db, tmp_path)
    for step in range(reports):
        report(db, 1, step, {"accuracy": 0.5})
    page = shown(db, number)
    assert ("Learning curves" in page) == (reports > 0)
    assert page.count("h0") == reports + 2 * (reports > 0), "a dot each, and two in the legend"


def test_many_points_are_thinned_and_rare_metrics_kept(db: Database, tmp_path: Path) -> None:
    number = submit(db, tmp_path)
    with db.transaction():
        for step in range(1, 2001):
            report(db, 1, step, {"loss": 1 / step}, metrics.TRAINING)
        report(db, 1, 1001, {"learning_rate": 0.1}, metrics.TRAINING)
    pictures = {chart.title: chart for chart in views.experiment(db, number)["charts"]}
    line = pictures["loss"].lines[0]
    assert views.POINTS / 2 < line.path.count("L") <= views.POINTS + 1
    assert "0.0005 after 2000 batches" in line.title, "the newest report is always drawn"
    assert pictures["learning_rate"].lines


def test_the_rungs_of_a_search_are_drawn(db: Database, tmp_path: Path) -> None:
    asha = {
        "name": "async_halving",
        "num_rungs": 2,
        "max_trials": 4,
        "max_time": 4,
        "time_metric": "epochs",
        "divisor": 2,
    }
    searcher = {**SINGLE, **asha, "max_concurrent_trials": 4}
    number = submit(
        db, tmp_path, searcher=searcher, hyperparameters={"x": {"type": "double", "minval": 0, "maxval": 1}}
    )
    assert "Rungs" not in shown(db, number)
    for epochs, index, accuracy in ((2, 0, 0.5), (2, 1, 0.3), (2, 2, 0.6), (4, 2, 0.7)):
        values = {"accuracy": accuracy, "epochs": epochs}
        searching.tell(db, number, lambda search, i=index, v=values: search.validated(i, v))  # type: ignore[misc]
    (chart,) = views.experiment(db, number)["ladders"]
    assert [tick.text for tick in chart.x_ticks] == ["2: 3 trials", "4: 1 trial"]
    titles = {line.trial: line.title for line in chart.lines}
    assert titles[2] == "0.3 at 2 (stopped)"
    assert titles[3] == "0.6 at 2 (promoted); 0.7 at 4 (top)"
    page = shown(db, number)
    assert ">epochs</text>" in page
    assert 'class="mark stopped"' in page


def test_experiments_are_listed_a_page_at_a_time(db: Database, tmp_path: Path) -> None:
    with db.transaction():
        numbers = [submit(db, tmp_path, name=f"number {n}") for n in range(views.PAGE + 1)]
    first, second = (views.experiment_list(db, page, archived=False) for page in (1, 2))
    assert (first["total"], first["pages"]) == (views.PAGE + 1, 2)
    assert [line[0]["id"] for line in first["experiments"]] == numbers[:0:-1]
    assert [line[0]["id"] for line in second["experiments"]] == numbers[:1]
    assert views.experiment_list(db, 3, archived=False)["experiments"] == []


FINITE = st.floats(-1e300, 1e300, allow_subnormal=False)


@given(st.lists(st.tuples(st.integers(0, 10**15), FINITE), min_size=1, max_size=8))
def test_every_line_lies_inside_its_axes(points: list[charts.Point]) -> None:
    chart = charts.curves("any", [charts.Series(1, 0, "training", sorted(points))])
    places = [tuple(map(float, place.split())) for place in chart.lines[0].path[1:].split("L")]
    for x, y in places:
        assert charts.LEFT - 0.1 <= x <= charts.RIGHT + 0.1
        assert charts.TOP - 0.1 <= y <= charts.BOTTOM + 0.1
    for tick in chart.y_ticks:
        assert charts.TOP - 0.1 <= tick.at <= charts.BOTTOM + 0.1
    texts = [tick.text for tick in chart.y_ticks]
    assert len(texts) == len(set(texts)) <= 12


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Chromium]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    browser = Chromium(program, tmp_path)
    yield browser
    browser.stop()


@pytest.mark.slow
def test_a_page_follows_its_experiment_to_the_end(cluster: Cluster, session: api.Session, chromium: Chromium) -> None:
    number = cluster.create(session, name="watched", hyperparameters={"steps": 8, "pause": 1.0})
    chromium.call("Page.navigate", url=f"{cluster.url}/det/experiments/{number}")
    chromium.until("document.activeElement.id === 'password' && document.readyState === 'complete'")
    chromium.call("Input.insertText", text=cluster.password)
    chromium.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", text="\r")
    chromium.until("!!document.querySelector('main[data-live]')")
    assert chromium.evaluate("location.pathname") == f"/det/experiments/{number}"
    chromium.evaluate("window.kept = document.querySelector('h1'); document.querySelector('details').open = true")
    chromium.evaluate("getSelection().selectAllChildren(window.kept)")
    chromium.until("!!document.querySelector('main:not([data-live]) .state.completed')")
    assert chromium.evaluate("document.querySelector('h1') === window.kept"), "changed in place, never reloaded"
    assert chromium.evaluate("getSelection().toString()").startswith("Experiment")
    assert chromium.evaluate("document.querySelector('details').open")
    uuid = chromium.evaluate("document.querySelector('[data-copy]').dataset.copy")
    access_granted = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": cluster.url}
    chromium.call("Browser.grantPermissions", **access_granted)
    chromium.click("[data-copy]", "[data-copy].done")
    assert uuid in {c.uuid for c in bindings.get_GetExperimentCheckpoints(session, id=number).checkpoints}
    asked = len(requests(chromium))
    chromium.call("Runtime.evaluate", expression="new Promise(done => setTimeout(done, 2500))", awaitPromise=True)
    assert len(requests(chromium)) == asked, "an ended experiment is not asked for again"
    assert not [event for event in chromium.events if event["method"] in PROBLEMS]
    assert {url.split("/")[2] for url in requests(chromium) if not url.startswith("data:")} == {
        f"127.0.0.1:{cluster.port}"
    }


PROBLEMS = ("Runtime.exceptionThrown", "Network.loadingFailed", "Log.entryAdded")


def requests(browser: Chromium) -> list[str]:
    """The addresses that the browser has asked for."""
    sent = [event for event in browser.events if event["method"] == "Network.requestWillBeSent"]
    return [event["params"]["request"]["url"] for event in sent]
