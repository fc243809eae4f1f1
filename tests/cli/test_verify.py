"""convarith verify: the check that anyone can run.

- With the rules as they are it finds nothing; exit code 0.
- With a broken rule it prints calls, each of which gives in Python what it says about torch; exit code 1.
- The same seed checks the same cases, another seed others.
- The numbers of the text and of --json are the same.
"""

from __future__ import annotations

import json
import re
from types import ModuleType

import pytest
from support.breaking import break_floor_rules
from support.command_line import Cli, run_process

from convarith.sizes.rules import FloorRule

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("torch")]


def break_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every size comes out one too large."""
    right = FloorRule.__call__

    def wrong(rule: FloorRule, size: int) -> int | None:
        result = right(rule, size)
        return None if result is None else result + 1

    break_floor_rules(monkeypatch, wrong)


def test_nothing_is_found(cli: Cli, torch: ModuleType) -> None:
    exit_code, out, err = cli("verify", "--cases", "300")
    assert (exit_code, err) == (0, "")
    assert out.startswith(f"300 layers checked against torch {torch.__version__}, 0 mismatches\n")
    assert re.search(r"^layer +accepted +refused +mismatches$", out, re.MULTILINE)


def test_a_separate_process() -> None:
    result = run_process("verify", "--cases", "50")
    assert (result.exit_code, result.err) == (0, "")
    assert result.out.startswith("50 layers checked against torch ")


def test_a_broken_rule_is_found_with_calls_that_show_it(
    cli: Cli, torch: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_the_rule(monkeypatch)
    exit_code, out, err = cli("verify", "--cases", "300")
    assert (exit_code, err) == (1, "")
    shown = re.findall(r"^(torch\.nn\..*)\n    convarith: (.*)\n    torch:     (.*)$", out, re.MULTILINE)
    assert len(shown) == 10
    for call, ours, theirs in shown:
        assert ours != theirs
        assert theirs.startswith(answer_of(torch, call))


def answer_of(torch: ModuleType, call: str) -> str:
    """The result of a printed call: the shape, or the class of the error."""
    try:
        return "x".join(map(str, eval(call, {"torch": torch})))
    except Exception as error:  # noqa: BLE001 - torch refuses with many classes
        return f"refuses: {type(error).__name__}: "


def test_a_broken_rule_in_json(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    break_the_rule(monkeypatch)
    exit_code, out, err = cli("verify", "--cases", "300", "--json")
    assert (exit_code, err) == (1, "")
    answer = json.loads(out)
    assert len(answer["mismatches"]) == 10
    assert answer["mismatched"] == sum(tally["mismatched"] for tally in answer["layers"].values()) > 10
    assert answer["checked"] == sum(tally["accepted"] + tally["refused"] for tally in answer["layers"].values()) == 300


def test_the_seed_decides(cli: Cli) -> None:
    one, again, other = (cli("verify", "--cases", "120", "--seed", seed, "--json").out for seed in ("1", "1", "2"))
    assert one == again
    assert json.loads(one)["layers"] != json.loads(other)["layers"]


def test_text_and_json_agree(cli: Cli) -> None:
    layers = json.loads(cli("verify", "--cases", "200", "--json").out)["layers"]
    rows = re.findall(r"^(\w+) +(\d+) +(\d+) +(\d+)$", cli("verify", "--cases", "200").out, re.MULTILINE)
    assert {name: tuple(map(int, numbers)) for name, *numbers in rows} == {
        name: (tally["accepted"], tally["refused"], tally["mismatched"]) for name, tally in layers.items()
    }
