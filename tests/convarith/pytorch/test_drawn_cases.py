"""The cases on which convarith is compared with torch, and the comparison of one.

- A seed draws the same cases everywhere: those of seed 0 are in golden/cases.txt. `pytest --update-golden` rewrites it.
- The grid has every combination of the numbers that its docstring names, each once.
- verify checks the whole grid and then random cases if there is room, else a sample of the grid and as many random cases.
- A case counts as accepted or refused by torch's answer. It is a mismatch if the shapes differ, or if only one refuses.
"""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from hashlib import sha256
from itertools import islice, product
from pathlib import Path
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from convarith.pytorch import verification
from convarith.pytorch.verification import (
    Case,
    Mismatch,
    Report,
    Shape,
    Tally,
    check,
    grid_cases,
    ours,
    random_cases,
    torchs,
    verify,
)

GOLDEN = Path(__file__).parent / "golden" / "cases.txt"
SHOWN, DRAWN = 300, 12_000


def line(case: Case) -> str:
    words = ", ".join(f"{name}={value!r}" for name, value in case.arguments.items())
    wanted = "" if case.output_size is None else f" to {case.output_size}"
    return f"{case.name}({words}) on {case.shape}{wanted}"


def test_a_seed_draws_the_same_cases_everywhere(update_golden: bool) -> None:
    """The first random cases are written out; all of them, and the grid, have a number and a checksum by layer."""
    shown, of_layer = [], defaultdict(list)
    for case in grid_cases():  # in order, because a sample of it is drawn by position
        of_layer["the grid"].append(line(case))
    for number, case in enumerate(random_cases(DRAWN, seed=0)):
        if number < SHOWN:
            shown.append(line(case))
        of_layer[case.name].append(line(case))
    sums = (sha256("\n".join(lines).encode()).hexdigest()[:12] for lines in of_layer.values())
    rows = [f"{name}: {len(lines)} cases, {total}" for (name, lines), total in zip(of_layer.items(), sums, strict=True)]
    text = "\n".join((*shown, "", *rows, ""))
    if update_golden:
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_a_longer_run_begins_with_the_same_cases() -> None:
    assert list(random_cases(150, seed=4)) == list(islice(random_cases(400, seed=4), 150))
    assert list(random_cases(150, seed=4)) != list(random_cases(150, seed=5))


WINDOW = {"kernel_size": range(6), "stride": range(5), "padding": range(4)}
CHANNELS = {"in_channels": [1], "out_channels": [1]}
GRID: dict[str, dict[str, Any]] = {
    "Conv1d": CHANNELS | WINDOW | {"dilation": [1, 2, 3]},
    "MaxPool1d": WINDOW | {"dilation": [1, 2, 3], "ceil_mode": [False, True]},
    "ConvTranspose1d": CHANNELS | WINDOW | {"dilation": [1, 2, 3], "output_padding": range(4)},
    "AvgPool1d": WINDOW | {"ceil_mode": [False, True]},
    "LPPool1d": {"norm_type": [2], "kernel_size": range(6), "stride": range(5), "ceil_mode": [False, True]},
}


def test_the_grid_has_every_combination_once() -> None:
    drawn = Counter(line(case) for case in grid_cases())
    expected = Counter(
        line(Case(name, dict(zip(numbers, values, strict=True)), (1, 1, size)))
        for name, numbers in GRID.items()
        for *values, size in product(*numbers.values(), range(1, 13))
    )
    assert drawn == expected


@pytest.fixture
def checked(torch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """The cases that verify checks, which takes no time here."""
    cases: list[Case] = []
    monkeypatch.setattr(verification, "check", lambda case, report, keep: cases.append(case))
    return cases


@pytest.mark.parametrize(("cases", "of_grid"), [(1, 0), (901, 450)])
def test_a_short_run_takes_half_of_its_cases_from_the_grid(checked: list[Case], cases: int, of_grid: int) -> None:
    verify(cases, seed=3)
    assert len(checked) == cases
    assert checked[:of_grid] == Random(3).sample(list(grid_cases()), of_grid)
    assert checked[of_grid:] == list(random_cases(cases - of_grid, seed=3))


def test_a_long_run_begins_with_the_whole_grid(checked: list[Case]) -> None:
    grid = list(grid_cases())
    for more in (1, 70):
        verify(len(grid) + more, seed=3)
        assert checked == [*grid, *random_cases(more, seed=3)]
        checked.clear()


def test_the_seed_chooses_from_the_grid(checked: list[Case]) -> None:
    for seed in (1, 1, 2):
        verify(100, seed=seed)
    one, again, other = checked[:50], checked[100:150], checked[200:250]
    assert one == again != other


def test_a_run_without_numbers_is_documented() -> None:
    defaults = {name: each.default for name, each in inspect.signature(verify).parameters.items()}
    assert defaults == {"cases": 20_000, "seed": 0, "progress": None, "keep": 10}


def test_progress_is_reported_every_200_cases_and_at_the_end(checked: list[Case]) -> None:
    calls: list[tuple[int, int]] = []
    verify(500, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(0, 500), (200, 500), (400, 500), (500, 500)]


CONV = Case("Conv1d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3}, (1, 1, 9))
TOO_SMALL = Case("Conv1d", {"in_channels": 1, "out_channels": 1, "kernel_size": 3}, (1, 1, 2))


@pytest.mark.parametrize(
    ("case", "answer", "mismatch"),
    [
        (CONV, (1, 1, 7), False),
        (CONV, (1, 1, 8), True),
        (CONV, "too small", True),
        (TOO_SMALL, (1, 1, 0), True),
        (TOO_SMALL, "too small", False),
    ],
)
def test_what_counts_as_a_mismatch(
    torch: ModuleType, monkeypatch: pytest.MonkeyPatch, case: Case, answer: Shape | str, mismatch: bool
) -> None:
    monkeypatch.setattr(verification, "ours", lambda case: answer)
    report = Report()
    check(case, report, keep=1)
    accepted = case is CONV
    assert report.tallies == {"Conv1d": Tally(int(accepted), int(not accepted), int(mismatch))}
    assert report.mismatches == ([Mismatch(case, answer, torchs(case))] if mismatch else [])
    assert (report.checked, report.mismatched) == (1, int(mismatch))


def test_all_mismatches_are_counted_and_the_first_are_kept(torch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that gives a position too many is wrong wherever torch accepts it, and no other layer is."""
    right = ours

    def wrong(case: Case) -> Shape | str:
        answer = right(case)
        return (*answer[:-1], answer[-1] + 1) if case.name == "AvgPool1d" and isinstance(answer, tuple) else answer

    monkeypatch.setattr(verification, "ours", wrong)
    report = verify(700, seed=6, keep=4)
    assert report.checked == 700
    pools = report.tallies["AvgPool1d"]
    assert report.mismatched == pools.mismatches == pools.accepted > 10
    assert pools.checked == pools.accepted + pools.refused > pools.accepted
    assert len(report.mismatches) == 4
    for mismatch in report.mismatches:
        assert isinstance(mismatch.torch, tuple)
        assert mismatch.ours == (*mismatch.torch[:-1], mismatch.torch[-1] + 1)


def test_a_mismatch_as_text() -> None:
    assert str(Mismatch(CONV, (1, 1, 8), "RuntimeError: no")) == (
        "torch.nn.Conv1d(in_channels=1, out_channels=1, kernel_size=3).double().eval()"
        "(torch.zeros(1, 1, 9, dtype=torch.float64)).shape\n"
        "    convarith: 1x1x8\n"
        "    torch:     refuses: RuntimeError: no"
    )


UP = {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "stride": 2}


@pytest.mark.parametrize(
    "case",
    [
        Case("ConvTranspose2d", UP, (2, 2, 4, 5), (10, 11)),
        Case("ConvTranspose2d", UP, (2, 4, 5), (9, 12)),
        Case("ConvTranspose2d", UP, (2, 4, 5), (9, 13)),
        Case("MaxUnpool1d", {"kernel_size": 2}, (1, 3, 4), (9,)),
        Case("MaxUnpool1d", {"kernel_size": 2}, (3, 4), (7,)),
        Case("MaxUnpool1d", {"kernel_size": 2}, (3, 4), (11,)),
        Case("MaxUnpool3d", {"kernel_size": 2}, (3, 4, 2, 2), (8, 4, 5)),
    ],
    ids=line,
)
def test_an_output_size_is_asked_of_both(torch: ModuleType, case: Case) -> None:
    mine, theirs = ours(case), torchs(case)
    assert isinstance(mine, tuple) == isinstance(theirs, tuple)
    if isinstance(mine, tuple):
        assert case.output_size is not None
        assert mine == theirs
        assert mine[-len(case.output_size) :] == case.output_size


def test_torchs_refusal_is_one_line_with_its_class(torch: ModuleType) -> None:
    answer = torchs(Case("Upsample", {"size": (3, 4)}, (1, 1, 5, 5, 5)))
    assert isinstance(answer, str)
    assert answer.startswith("ValueError: Input and output must have the same number of spatial dimensions, but got")
    assert "\n" not in answer
    assert len(answer) == len("ValueError: ") + 160


def test_an_impossible_tensor_is_a_refusal(torch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch returns sizes below 0 from some layers on empty tensors, and such a size is no answer."""
    empty = Case("Identity", {}, (1, 0, 3))
    assert torchs(empty) == (1, 0, 3)
    monkeypatch.setattr(torch.nn.Identity, "forward", lambda module, values: SimpleNamespace(shape=(1, -1, 3)))
    assert torchs(empty) == "an impossible tensor of (1, -1, 3)"
    monkeypatch.setattr(torch.nn.Identity, "forward", lambda module, values: SimpleNamespace(shape=()))
    assert torchs(empty) == ()
