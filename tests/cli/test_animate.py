"""convarith animate and convarith gallery.

- The file has one frame per step, in every format; --frame and --sheet give one picture; the text describes it.
- --json prints a document of its schema, --list names every scene.
- A question that cannot be answered gives one line and exit code 2; it leaves no file and keeps the old one.
- The gallery has every scene and a page for each.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import Cli, assert_refused, schema_of

pytestmark = pytest.mark.slow

Image = pytest.importorskip("PIL.Image", reason="reads pictures back with Pillow, which is not installed")

SCHEMAS = {name: schema_of(name) for name in ("animate", "gallery")}
UP = ["conv-transpose", "-i", "4", "-k", "3", "-s", "2", "-p", "1", "--output-padding", "1"]


@pytest.mark.parametrize("suffix", [".gif", ".apng", ".webp", ".svg", ".png"])
@pytest.mark.parametrize(
    ("question", "steps"),
    [
        (UP, 16),
        ([*UP, "--view", "zero-insert"], 64),
        (["conv", "-i", "5", "-k", "3", "--values", "1..25", "--weight", "0,1,0;1,2,1;0,1,0"], 9),
        (["conv1d", "-i", "7", "-k", "3"], 5),
        (["no_padding_strides"], 4),
        (["no-padding-strides", "--style", "flat", "--theme", "dark"], 4),
        (["Conv2d(1, 8, 3); MaxPool2d(2)", "-i", "1x28x28"], 3),
        (["Conv1d(1, 1, 3); Conv1d(1, 1, 3)", "-i", "1x12", "--view", "field"], 6),
    ],
)
def test_one_frame_per_step(question: list[str], steps: int, suffix: str, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    result = cli("animate", *question, "-o", str(path), "--scale", "1", "--json")
    assert (result.exit_code, result.err) == (0, "")
    document = json.loads(result.out)
    SCHEMAS["animate"].validate(document)
    assert document["bytes"] == path.stat().st_size
    assert len(document["steps"]) == steps
    assert document["frames"] == (1 if suffix == ".png" else steps)
    if suffix != ".svg":
        with Image.open(path) as picture:
            assert getattr(picture, "n_frames", 1) == document["frames"]
            assert picture.size == (document["width"], document["height"])


def test_the_answer_in_words(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "up.svg"
    result = cli("animate", *UP, "-o", str(path))
    assert (result.exit_code, result.err) == (0, "")
    assert "Transposed convolution: 4 × 4 → 8 × 8" in result.out
    assert "16 frames" in result.out
    assert "output size = (4 − 1)·2 − 2·1 + 1·(3 − 1) + 1 + 1 = 8" in result.out


def test_one_frame_and_all_on_a_sheet(cli: Cli, tmp_path: Path) -> None:
    sizes = []
    for options in (["--frame", "1"], ["--frame", "-1"], ["--sheet", "4"]):
        path = tmp_path / "still.png"
        result = cli("animate", *UP, *options, "-o", str(path), "--scale", "1", "--json")
        assert result.exit_code == 0, result.err
        assert json.loads(result.out)["frames"] == 1
        with Image.open(path) as picture:
            sizes.append(picture.size)
    assert sizes[0] == sizes[1]
    assert sizes[2][0] > 4 * sizes[0][0]


def test_without_a_name_the_file_is_named_after_the_layer(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("animate", "max-pool", "-k", "2", "-i", "4").exit_code == 0
    assert cli("animate", "padding_strides").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["max-pool.gif", "padding_strides.gif"]


def test_the_scenes_are_listed(cli: Cli) -> None:
    result = cli("animate", "--list", "--json")
    SCHEMAS["animate"].validate(json.loads(result.out))
    names = [entry["name"] for entry in json.loads(result.out)["scenes"]]
    assert {"no_padding_no_strides", "padding_strides_odd_transposed", "dilation", "numerical_max_pooling"} <= set(
        names
    )
    text = cli("animate", "--list")
    assert all(name in text.out for name in names)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ([], "nothing to animate: name a scene (--list shows them), a layer with its options, or a network"),
        (["conv", "-k", "3"], "needs an input size: give it with -i, as in -i 5 or -i 5x7"),
        (["conv", "-k", "7", "-i", "4"], "the kernel spans 7 (k=7) but the padded input is 4"),
        (["padding_strids"], "unknown scene or layer 'padding_strids': did you mean 'padding_strides'"),
        (["padding_strides", "-i", "4"], "the scene padding_strides has its own layer and numbers: leave out -i, or name a layer"),
        (["conv", "-k", "3", "-i", "5", "--weight", "1,2"], "--weight has 2 numbers, but the weight 1x1x3x3 takes 9"),
        (["conv", "-k", "3", "-i", "5", "--values", "1,a"], "--values '1,a' is not a list of numbers"),
        (["conv", "-k", "3", "-i", "5", "--values", "9..1"], "--values '9..1' is not a range"),
        (["conv", "-k", "3", "-i", "5", "--view", "scater"], "view 'scater' is unknown: did you mean 'scatter'"),
        (["conv", "-k", "3", "-i", "5", "--view", "scatter"], "view scatter is for conv-transpose"),
        (["conv", "-k", "3", "-i", "5", "--style", "round"], "style 'round' is unknown"),
        (["conv", "-k", "3", "-i", "5", "--theme", "blue"], "theme 'blue' is unknown"),
        (["conv", "-k", "3", "-i", "5", "--frame", "0"], "there is no step 0 for --frame: the steps are 1 to 9, or -1 for the last"),
        (["conv", "-k", "3", "-i", "5", "--frame", "10"], "there is no step 10 for --frame: the steps are 1 to 9"),
        (["conv", "-k", "3", "-i", "5", "--scale", "9"], "scale 9"),
        (["conv", "-k", "3", "-i", "1000"], "1,000,000 cells, more than the 20,000 that can be drawn: use a smaller -i"),
        (["conv", "-k", "1", "-i", "120"], "takes 14,400 steps and 14,400 products, more than the 10,000"),
        (["conv", "-k", "3", "-i", "5", "-p", "500"], "more than"),
        (["Conv2d(1, 1, 3); ReLU()"], "a network needs the shape of its input: give it with -i, as in -i 1x28x28"),
        (["Conv2d(1, 1, 3); ReLU()", "-i", "1x9x9", "--numbers"], "a network is shown without numbers"),
        (["Conv2d(1, 1, 3); ReLU()", "-i", "1x9x9", "--view", "slide"], "view slide shows one layer"),
        (["ReLU", "-i", "3"], "cannot be drawn"),
    ],
)  # fmt: skip
def test_a_wrong_question_leaves_no_file(question: list[str], message: str, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    assert message in assert_refused(cli("animate", *question, "-o", str(path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.jpg", "cannot write a '.jpg' file: choose from .gif, .png"),
        ("x", "cannot write a file without a suffix: choose from"),
        ("nowhere/x.gif", "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be(name: str, message: str, cli: Cli, tmp_path: Path) -> None:
    assert message in assert_refused(cli("animate", "conv", "-k", "3", "-i", "5", "-o", str(tmp_path / name)))
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_leaves_the_old_file(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    path.write_text("old")
    assert_refused(cli("animate", "conv", "-k", "3", "-i", "5", "--theme", "blue", "-o", str(path)))
    assert path.read_text() == "old"


def test_the_gallery_has_every_scene(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convarith_gallery import scenes

    few = {
        name: scenes.scenes()[name]
        for name in ("no_padding_strides", "scatter", "matrix", "hourglass", "max_unpooling")
    }
    monkeypatch.setattr("convarith_gallery.page.exhibits.scenes", lambda: few)
    monkeypatch.setattr(scenes, "scenes", lambda: few)
    folder = tmp_path / "gallery"
    result = cli("gallery", str(folder), "--format", "gif,svg", "--scale", "1", "--json")
    assert (result.exit_code, result.err) == (0, "")
    document = json.loads(result.out)
    SCHEMAS["gallery"].validate(document)
    assert document["scenes"] == 5
    for name in few:
        assert (folder / "scenes" / f"{name}.html").is_file()
        assert (folder / "pictures" / f"{name}.gif").is_file()
        assert (folder / "pictures" / f"{name}.svg").is_file()
        assert name in (folder / "index.html").read_text("utf-8")


def test_a_gallery_that_cannot_be(cli: Cli, tmp_path: Path) -> None:
    assert "cannot write '.jpg' pictures" in assert_refused(cli("gallery", str(tmp_path / "g"), "--format", "jpg"))
    (tmp_path / "file").write_text("")
    assert "cannot make the folder" in assert_refused(cli("gallery", str(tmp_path / "file")))
