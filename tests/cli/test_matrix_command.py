"""convarith matrix.

- The text equals the golden file of its name; `pytest --update-golden` rewrites them.
- It contains the matrices and products of the lectures.
- --json prints a document of its schema, which is strict; its numbers are those of dense linear algebra.
- On a terminal every tap has its own colour, and NO_COLOR removes it.
- --save writes a file that scipy reads, --plot a picture; whole or not at all.
- A question that cannot be answered gives one line and exit code 2.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from convarith_gallery.atomic_file import write_whole
from support.command_line import Cli, assert_refused, run_process, schema_of

pytestmark = pytest.mark.slow

np = pytest.importorskip("numpy", reason="matrices need numpy")
sparse = pytest.importorskip("scipy.sparse", reason="matrices need scipy")

LECTURE = ["matrix", "-i", "3x3", "--weight", "0,1;2,3"]

CALLS: dict[str, list[str]] = {
    "matrix-lecture": LECTURE,
    "matrix-letters": ["matrix", "-k", "3", "-s", "2", "-p", "1", "-i", "5"],
    "matrix-around": ["matrix", "-k", "3", "-p", "1", "--padding-mode", "reflect", "-i", "4"],
    "matrix-transposed": ["matrix", "conv-transpose", "-i", "5", "--weight", "1 2 3", "--values", "0 0 1 0 0"],
    "matrix-transpose": [*LECTURE, "--transpose", "--values", "1..4"],
    "matrix-channels": ["matrix", "Conv1d(2, 2, 2)", "-i", "3", "--bias", "1,2", "--weight", "[[[1,2],[3,4]],[[5,6],[7,8]]]"],
    "matrix-pool": ["matrix", "avg-pool", "-k", "2", "-i", "4x4"],
    "matrix-large": ["matrix", "Conv2d(4, 8, 3, padding=1)", "-i", "40"],
    "matrix-too-large": ["matrix", "Conv2d(64, 64, 3, padding=1)", "-i", "56"],
    "matrix-markdown": [*LECTURE, "--markdown"],
}  # fmt: skip
SCHEMA = schema_of("matrix")


def answered(cli: Cli, *arguments: str) -> str:
    result = cli(*arguments)
    assert (result.exit_code, result.err) == (0, ""), result
    return result.out


@pytest.mark.parametrize("name", CALLS)
def test_the_text_is_golden(name: str, cli: Cli, is_golden: Callable[[str, str], None]) -> None:
    out = answered(cli, *CALLS[name])
    is_golden(name, out)


def test_the_lecture_stands_in_the_text(cli: Cli) -> None:
    lines = answered(cli, *LECTURE).splitlines()
    assert [line.split(" |")[0].strip() for line in lines[3:7]] == [
        "0 1 . 2 3 . . . .", ". 0 1 . 2 3 . . .", ". . . 0 1 . 2 3 .", ". . . . 0 1 . 2 3",
    ]  # fmt: skip
    assert [int(line.split("|")[1]) for line in lines[3:7]] == [25, 31, 43, 49]


@pytest.mark.parametrize("name", [name for name in CALLS if name != "matrix-markdown"])
def test_json_is_a_document_of_the_schema(name: str, cli: Cli) -> None:
    document = json.loads(answered(cli, *CALLS[name], "--json"))
    SCHEMA.validate(document)
    assert set(SCHEMA.schema["required"]) == set(document)
    assert not SCHEMA.is_valid(document | {"more": 1})
    for key, value in document.items():
        assert not SCHEMA.is_valid({each: document[each] for each in document if each != key})
        assert not SCHEMA.is_valid(document | {key: [value]}), key
    if document["dense"] is not None:
        dense = np.array(document["dense"])
        found = np.linalg.svd(dense, compute_uv=False)
        assert (list(dense.shape), np.linalg.matrix_rank(dense)) == (document["shape"], document["rank"])
        assert document["largest_singular_value"] == pytest.approx(found[0])
        assert document["smallest_singular_value"] == pytest.approx(found[-1])


def test_fleurets_outputs(cli: Cli) -> None:
    def output(*arguments: str) -> Any:
        return json.loads(answered(cli, "matrix", *arguments, "--json"))["product"]

    assert output("-i", "7", "--weight", "1 2 3", "--values", "0 0 1 0 0 0 0") == [3, 2, 1, 0, 0]
    up = ("conv-transpose", "--weight")
    assert output(*up, "1 2 3", "-i", "7", "--values", "0 0 1 0 0 0 0") == [0, 0, 1, 2, 3, 0, 0, 0, 0]
    assert output(*up, "1 2 1", "-i", "5", "--values", "1 0 0 0 -1") == [1, 2, 1, 0, -1, -2, -1]


def test_a_transpose_is_the_transpose(cli: Cli) -> None:
    question = ["matrix", "-i", "9", "-s", "2", "-p", "1", "--weight", "1 2 3", "--json"]
    there, back = (json.loads(answered(cli, *question, *more)) for more in ([], ["--transpose"]))
    assert np.array_equal(back["dense"], np.transpose(there["dense"]))
    assert there["transpose"] == back["layer"]
    assert (there["output_size"], there["input_size"]) == (back["input_size"], back["output_size"])


def test_each_tap_has_a_colour() -> None:
    shown = run_process(*LECTURE, FORCE_COLOR="1", TERM="xterm-256color").out
    row = shown.splitlines()[3]
    colours = {text: code for code, text in re.findall(r"\x1b\[(\d+)m(\d)\x1b", row)}
    assert len(set(colours.values())) == len(colours) == 4
    plain = run_process(*LECTURE, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color").out
    assert not re.search(r"\x1b\[9\d", plain)
    assert run_process(*LECTURE).out.splitlines()[3] == re.sub(r"\x1b\[\d*m", "", row)


def test_the_matrix_is_saved_whole(cli: Cli, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.arange(18.0).reshape(2, 1, 3, 3))
    path = tmp_path / "m.npz"
    out = answered(
        cli, "matrix", "Conv2d(1, 2, 3)", "-i", "40x40", "--weight", str(tmp_path / "w.npy"), "--save", str(path)
    )
    assert out.endswith(f"Wrote the matrix to {path}.\n")
    found = sparse.load_npz(path)
    assert (found.shape, found.nnz) == ((2 * 38 * 38, 1600), 2 * 38 * 38 * 9)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.npz", "w.npy"]


def test_nothing_is_left_of_a_file_that_fails(tmp_path: Path) -> None:
    def fail(file: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(str(tmp_path / "m.npz"), fail)
    assert list(tmp_path.iterdir()) == []
    write_whole(str(tmp_path / "a"), b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_picture(cli: Cli, tmp_path: Path, ending: str, start: bytes) -> None:
    pytest.importorskip("matplotlib", reason="draws with matplotlib")
    path = tmp_path / f"m.{ending}"
    assert answered(cli, "matrix", "-k", "3", "-i", "12x12", "--plot", str(path)).endswith(
        f"Wrote the picture to {path}.\n"
    )
    assert path.read_bytes().startswith(start)


def test_the_picture_has_every_band() -> None:
    pytest.importorskip("matplotlib", reason="draws with matplotlib")
    from convarith_gallery.plots.matrix import figure_of

    import convarith as ca

    layer = ca.Conv(kernel_size=3, padding=1)
    (drawn,) = figure_of(layer, (9,)).axes[0].images
    matrix = ca.matrix.conv_matrix(layer, 9, [1, 2, 3]).toarray()
    shown = np.ma.filled(drawn.get_array() + 1, 0)
    assert (shown == matrix).all()
    drawn = figure_of(ca.Conv(kernel_size=3), (100, 100)).axes[0].images[0]
    assert max(drawn.get_array().shape) <= 400


def test_without_matplotlib(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    refusal = assert_refused(cli("matrix", "-k", "3", "-i", "5", "--plot", str(tmp_path / "m.png")))
    assert "matplotlib is not installed: run pip install 'convarith[plot]' in this environment" in refusal
    assert list(tmp_path.iterdir()) == []


REFUSALS: list[tuple[list[str], str]] = [
    (["-k", "3"], "Missing option '--input' / '-i'."),
    (["-i", "5"], "conv needs --kernel"),
    (["Conv2d(3, 8, 3)", "-i", "2x5x5"], "Conv2d(3, 8, 3) expects 3 channels, but -i 2x5x5 has 2"),
    (["avg-pool2d", "-k", "2", "-i", "3x4x4"], "-i 3x4x4 has 3 channels, but the matrix of AvgPool2d(kernel_size=2) is that of 1 channel"),
    (["Conv2d(1, 1, 3); ReLU()", "-i", "5"], "matrix shows one layer, but this is a network of 2"),
    (["max-pool", "-k", "2", "-i", "4"], "has no matrix here: Conv, ConvTranspose, AvgPool,"),
    (["Linear(3, 4)", "-i", "3"], "Linear(3, 4) has no matrix here"),
    (["cnov", "-k", "3", "-i", "4"], "unknown layer 'cnov': did you mean 'conv'?"),
    (["-k", "3", "-i", "2"], "the kernel spans 3 (k=3) but the padded input is 2"),
    (["-i", "5", "--weight", "1,a"], "--weight '1,a' is not a list of numbers: separate rows by ';', as in '0,1;2,3'"),
    (["-i", "5", "--weight", ""], "--weight '' is not a list of numbers"),
    (["-i", "5", "--weight", "[1,[2]]"], "--weight '[1,[2]]' is not a nested list of numbers"),
    (["-i", "5", "--weight", "1,nan"], "--weight '1,nan' has numbers that are not finite"),
    (["-i", "5", "--weight", "no.npy"], "cannot read no.npy: No such file or directory"),
    (["-i", "5", "--weight", __file__ + ".npy"], "cannot read"),
    (["-i", "3x3", "-k", "2", "--weight", "0,1;2"], "--weight '0,1;2' has rows of 1 and 2 numbers: give every row the same number"),
    (["-i", "5", "-k", "3", "--weight", "1,2"], "the weight has shape (2,), but Conv(kernel_size=3) takes"),
    (["avg-pool", "-i", "4", "-k", "2", "--weight", "1,2"], "has no weight: leave it out"),
    (["-k", "3", "-i", "7", "--values", "1,2"], "--values has 2 numbers, but the flattened input has 7"),
    (["-k", "3", "-i", "7", "--bias", "1,2"], "the bias has shape (2,), but Conv(kernel_size=3) takes one"),
    (["-k", "3", "-i", "7", "--save", "m.txt"], "cannot save to m.txt: scipy reads sparse matrices from .npz files"),
    (["-k", "3", "-i", "7", "--save", "no/such/m.npz"], "cannot write no/such/m.npz"),
    (["-k", "3", "-i", "7", "--plot", "m.gif"], "cannot draw to m.gif: its ending is unknown, choose from png, svg, pdf"),
    (["-k", "4", "-p", "same", "-i", "7", "--transpose"], "is two layers, ConvTranspose1d(kernel_size=4, padding=1) and"),
    (["Conv2d(4096, 4096, 3, padding=1)", "-i", "9999x9999"], "bytes, but"),
    (["-k", "3", "-i", "100000000", "--save", "m.npz", "--values", "1"], "--values has 1 number, but"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSALS, ids=[" ".join(call)[:60] for call, _ in REFUSALS])
def test_a_wrong_question_is_one_line(call: list[str], message: str, cli: Cli) -> None:
    assert message in assert_refused(cli("matrix", *call))


def test_a_matrix_beyond_the_memory(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("convarith.matrices.matrix.free_memory", lambda: 100_000_000)
    path = tmp_path / "m.npz"
    call = ("matrix", "Conv2d(64, 64, 3, padding=1)", "-i", "64x64")
    assert "147,865,600 of" in answered(cli, *call)
    refusal = assert_refused(cli(*call, "--save", str(path)))
    assert re.search(r"the 262,144 x 262,144 matrix of Conv2d.* needs [\d,]+ bytes, but 100,000,000 are free", refusal)
    assert list(tmp_path.iterdir()) == []
