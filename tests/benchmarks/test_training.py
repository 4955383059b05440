"""The measurements of training: their rules, their resuming, and the page that is made of them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.training import ablation, levels, measure, pictures, report, runs, setting, step


def run_of(recipe: str, seed: int, *points: tuple[float, float, float], epochs: int = 12) -> dict[str, Any]:
    """A run of the time-to-accuracy table; points are (epochs, seconds, accuracy)."""
    named = [dict(zip(("epochs", "seconds", "accuracy"), point, strict=True)) for point in points]
    return {"recipe": recipe, "seed": seed, "epochs": epochs, "points": named, "seconds": points[-1][1] + 5}


def test_our_time_is_that_of_the_shortest_schedule_with_which_every_seed_reaches_the_level() -> None:
    measured = [
        run_of("ours", 1, (1, 30.0, 0.905), epochs=1),
        run_of("ours", 2, (1, 32.0, 0.893), epochs=1),
        run_of("ours", 1, (3, 70.0, 0.915), epochs=3),
        run_of("ours", 2, (3, 74.0, 0.911), epochs=3),
        # A schedule that not all seeds have is no answer yet.
        run_of("ours", 1, (2, 40.0, 0.92), epochs=2),
    ]
    assert levels.first_reached(measured, "ours", 0.90).words == "(3 epochs)"
    assert levels.first_reached(measured, "ours", 0.893).seconds == [30.0, 32.0]
    assert not levels.first_reached(measured, "ours", 0.92).whole


def test_a_peers_time_is_that_of_its_first_evaluation_at_the_level() -> None:
    measured = [
        run_of("adam", 1, (0.25, 20.0, 0.89), (0.5, 30.0, 0.91), (0.75, 40.0, 0.90)),
        run_of("adam", 2, (0.25, 22.0, 0.90), (0.5, 33.0, 0.89), (0.75, 44.0, 0.905)),
    ]
    assert levels.first_reached(measured, "adam", 0.90).seconds == [30.0, 22.0]
    missed = levels.first_reached(measured, "adam", 0.91)
    assert (missed.whole, missed.words) == (False, "1 of 2 seeds")


def test_the_page_says_how_many_times_faster(tmp_path: Path) -> None:
    measured = [
        *(run_of("ours", seed, (1, 20.0 + seed, 0.901), epochs=1) for seed in (1, 2)),
        *(run_of("adam", seed, (0.25, 40.0, 0.85), (0.5, 86.0 + seed - 1.5, 0.90)) for seed in (1, 2)),
    ]
    results = {"hardware": "a machine", "runs": measured}
    (tmp_path / "time_to_accuracy.json").write_text(json.dumps(results))
    report.write(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "| 90% | 21.5 ± 0.7 (1 epoch) | 86.0 ± 0.7 (0.5 epochs) | 4.0 |" in page
    assert "| 91% | not reached | not reached | - |" in page
    assert (tmp_path / "time_to_accuracy.png").stat().st_size > 1000


def test_a_measurement_is_found_again_unless_the_code_changed(tmp_path: Path) -> None:
    path, here = tmp_path / "results.json", {"hardware": "a machine", "data": "d"}
    store = runs.Store.open(path, here, {"x"})
    for seed in (1, 2):
        store.add({"row": "a", "seed": seed, "code": "x"}, {"value": seed})
    again = runs.Store.open(path, here, {"x", "y"})
    found = again.find({"row": "a", "seed": 1, "code": "x"})
    assert found is not None
    assert found["value"] == 1
    assert again.find({"row": "b", "seed": 1, "code": "x"}) is None
    assert runs.Store.open(path, here, {"y"}).runs == []
    with pytest.raises(SystemExit, match="measured with hardware a machine, this is another machine: move it away"):
        runs.Store.open(path, {**here, "hardware": "another machine"}, {"x"})


def test_other_data_are_other_circumstances(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    found = []
    for content in (b"one", b"one", b"two"):
        (tmp_path / "train" / "images.npy").write_bytes(content)
        found.append(runs.circumstances(tmp_path))
    assert found[0] == found[1] != found[2]


def test_another_recipe_needs_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["measure", "--set=epochs=2"])
    with pytest.raises(SystemExit):
        measure.main()
    assert "say by --results where that goes" in capsys.readouterr().err


def test_comments_change_no_measurement(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    found = []
    for text in ("a = 1\n", "a = 1  # one\n\n", "a = 2\n"):
        program.write_text(text)
        found.append(setting.digest(program))
    assert found[0] == found[1] != found[2]


def test_a_quick_look_never_takes_the_place_of_a_measurement() -> None:
    quick, whole = (setting.parser("x", "", [1]).parse_args(options) for options in (["--quick"], []))
    assert setting.results_folder(whole) == setting.HERE
    folder = setting.results_folder(quick)
    assert folder != setting.HERE
    folder.rmdir()


def test_every_row_of_the_ablation_changes_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = setting.recipe()
    ablation.check(recipe)
    monkeypatch.setitem(ablation.ROWS, "row", {"nothing_like_it": 1})
    with pytest.raises(SystemExit, match="nothing_like_it"):
        ablation.check(recipe)
    monkeypatch.setitem(ablation.ROWS, "row", {"epochs": recipe["epochs"]})
    with pytest.raises(SystemExit, match="already has"):
        ablation.check(recipe)


def test_operations_are_told_from_what_else_a_trace_holds() -> None:
    names = [
        "model/conv/Conv2D:Conv2D",
        "model/dense/MatMul:MatMul",
        "ExecutorState::Process",
        "plain",
        "b:_MklNativeConv2D",
    ]
    events = [SimpleNamespace(metadata_id=number, duration_ps=10**9) for number in range(len(names))]
    plane = SimpleNamespace(
        name="/host:CPU",
        event_metadata={number: SimpleNamespace(name=name) for number, name in enumerate(names)},
        lines=[SimpleNamespace(events=events)],
    )
    assert step.kinds(SimpleNamespace(planes=[plane]), steps=2) == {"Conv2D": 1.0, "MatMul": 0.5}


def test_the_parts_of_a_step_add_up() -> None:
    parts = {"forward": 10.0, "forward_backward": 32.0, "step": 35.0, "fit": 36.5}
    assert sum(values[0] for values in pictures.parts([{"parts": parts}]).values()) == pytest.approx(parts["fit"])
