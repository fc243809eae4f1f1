"""convarith train, recipes and report.

- Recipes train end to end on the digits: numbers, pictures, pages, a model that can be loaded; the report shows them.
- --json prints documents that match the committed schemas.
- --resume continues a training; without it, a training is not overwritten.
- Invalid input gives a one-line error; Ctrl-C exits with 130 and prints how to resume; a diverged training exits with 1.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.command_line import assert_refused, environment_with, run_here, run_process
from support.tiny_trainings import write_recipe

pytest.importorskip("torch", reason="trains with torch, which is not installed")

import torch
from convarith_gallery.autoencoders.datasets.digits import digits
from convarith_gallery.autoencoders.recipe import names
from convarith_gallery.autoencoders.reporting import results
from convarith_gallery.autoencoders.training.losses import mean_squared_error
from convarith_gallery.autoencoders.training.saved_model import load_model
from PIL import Image, ImageSequence

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("torch")]

CONV = "Conv2d(1, 8, 4, stride=4); ReLU(); Conv2d(8, {latent}, 7)"
DENSE = "Flatten(); Linear(784, {latent})"
VARIATIONAL = 'variational = true\nlikelihood = "bernoulli"\nbinarise = true\n[options]\nnll_images = 5\nnll_samples = 20\nsamples = 300'


def validate(command: str, document: Any) -> None:
    schema = json.loads((files("convarith_cli") / "schemas" / f"{command}.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(document)


def train_here(*arguments: str) -> tuple[int, dict[str, Any], str]:
    exit_code, out, err = run_here("train", *arguments, "--json")
    return exit_code, json.loads(out), err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Two tiny recipes, end to end."""
    folder = tmp_path_factory.mktemp("suite")
    first = write_recipe(
        folder, "tiny", ["reconstruction", "interpolation", "sampling", "gap"], CONV, "[sweep]\nlatent = [2, 4]"
    )
    evaluations = ["reconstruction", "likelihood", "latents", "sampling", "traversals", "sparsity", "redundancy"]
    second = write_recipe(folder, "tiny-vae", evaluations, DENSE, VARIATIONAL)
    documents = {}
    for recipe in (first, second):
        exit_code, document, err = train_here(recipe, "--out", str(folder / "runs"))
        assert exit_code == 0
        assert "digits: 13,500 training and 2,673 test images" in err
        documents[Path(recipe).stem] = document
    return folder / "runs", documents


def test_documents_match_their_schemas(trained: tuple[Path, dict[str, Any]]) -> None:
    for document in trained[1].values():
        validate("train", document)
    validate("report", json.loads(run_here("report", str(trained[0]), "--json").out))
    validate("recipes", json.loads(run_here("recipes", "--json").out))


def test_every_variant_has_its_numbers(trained: tuple[Path, dict[str, Any]]) -> None:
    found = trained[1]["tiny"]["results"][0]
    assert {(number["variant"], number["metric"]) for number in found["numbers"]} == {
        (variant, metric)
        for variant in ("latent=2", "latent=4")
        for metric in (
            "test MSE", "training MSE", "test over training MSE", "MSE from midpoint to nearest image",
            "Frechet distance of samples",
        )
    }  # fmt: skip
    metrics = {number["metric"]: number for number in trained[1]["tiny-vae"]["results"][0]["numbers"]}
    assert metrics["-ELBO, nats"]["value"] == pytest.approx(
        metrics["fit, nats"]["value"] + metrics["KL, nats"]["value"]
    )
    assert metrics["NLL, nats"]["value"] < metrics["-ELBO, nats"]["value"]


def test_the_folder_has_all_files(trained: tuple[Path, dict[str, Any]]) -> None:
    runs, documents = trained
    for name, document in documents.items():
        for picture in document["results"][0]["pictures"]:
            with Image.open(runs / name / picture["file"]) as image:
                image.load()
                if picture["file"].startswith("epochs"):
                    assert len(ImageSequence.all_frames(image)) == 2
        page = (runs / name / "report.html").read_text(encoding="utf-8")
        assert page.count("<img") == len(document["results"][0]["pictures"])
        assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert 'href="tiny-vae/report.html"' in (runs / "index.html").read_text(encoding="utf-8")


def test_the_model_loads_again(trained: tuple[Path, dict[str, Any]]) -> None:
    runs, documents = trained
    for number in documents["tiny"]["results"][0]["numbers"]:
        if number["metric"] == "test MSE":
            model = load_model(runs / "tiny" / number["variant"])
            assert mean_squared_error(model, digits().test) == pytest.approx(number["value"], rel=1e-5)


def test_the_report_is_one_table(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    page = tmp_path / "suite.html"
    exit_code, out, _ = run_here("report", str(trained[0]), "--page", str(page))
    assert exit_code == 0
    assert re.search(r"^recipe +variant +metric +test +baseline +published +seed +epochs +seconds +verdict$", out, re.M)
    assert re.search(r"^tiny +latent=2 +test MSE +[\d.]+ +[\d.]+ \(PCA-2\) +0 +2 ", out, re.M)
    assert "tiny-vae" in page.read_text(encoding="utf-8")


def test_the_committed_results_are_shown() -> None:
    exit_code, out, _ = run_here("report", "--json")
    assert exit_code == 0
    validate("report", json.loads(out))
    found = json.loads(out)["results"]
    assert {metrics["recipe"].removesuffix(f"-{metrics['data']}") for metrics in found} <= set(names())
    for metrics in found:
        for number in metrics["numbers"]:
            again = results.verdict(number["value"], number["lower_is_better"], number["baseline"], number["published"])
            assert number["verdict"] == again


def test_a_training_is_not_overwritten_but_can_be_resumed(tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path, "own", ["reconstruction"], DENSE), str(tmp_path / "runs")
    assert train_here(recipe, "--out", out, "--epochs", "1")[0] == 0
    message = assert_refused_line(run_here("train", recipe, "--out", out, "--epochs", "1"))
    assert "already contains a training: continue it with --resume, or choose another folder with --out" in message
    weights = (tmp_path / "runs/own/model/model.safetensors").read_bytes()
    (tmp_path / "runs/own/metrics.json").unlink()  # the trained model is then only evaluated again
    assert train_here(recipe, "--out", out, "--epochs", "1", "--resume")[0] == 0
    assert (tmp_path / "runs/own/model/model.safetensors").read_bytes() == weights
    message = assert_refused_line(run_here("train", recipe, "--out", out, "--epochs", "2", "--resume"))
    assert "other settings (epochs was 1, now 2)" in message


def assert_refused_line(result: Any) -> str:
    """Check for exit code 2 and a single Error line, after the description of the data; the line."""
    assert result.exit_code == 2
    (line,) = [line for line in result.err.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in result.err
    return str(line)


def test_a_recipe_of_another_shares_its_trainings(tmp_path: Path) -> None:
    few = ("--epochs", "1", "--set", "images=128", "--latent", "8", "--data", "digits", "--out", str(tmp_path))
    assert train_here("deep", *few)[0] == 0
    stamp = (tmp_path / "deep/latent=8/checkpoint.safetensors").stat().st_mtime_ns
    exit_code, document, _ = train_here("interpolation", *few)
    assert exit_code == 0
    assert (tmp_path / "deep/latent=8/checkpoint.safetensors").stat().st_mtime_ns == stamp
    assert document["results"][0]["recipe"] == "interpolation"
    assert not (tmp_path / "interpolation/latent=8").exists()


def test_points_in_the_plane(tmp_path: Path) -> None:
    exit_code, document, _ = train_here("curve", "--epochs", "1", "--out", str(tmp_path))
    assert exit_code == 0
    assert document["results"][0]["data"] == "circle"


def test_a_users_own_encoder(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from torch import nn\nclass Encoder(nn.Sequential):\n    def __init__(self):\n        super().__init__(nn.Conv2d(1, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 7))\n",
        encoding="utf-8",
    )
    exit_code, document, _ = train_here(
        "deep", "--encoder", f"{own}:Encoder", "--epochs", "1", "--set", "images=128", "--data", "digits",
        "--out", str(tmp_path),
    )  # fmt: skip
    assert exit_code == 0
    (variant,) = document["results"][0]["variants"]
    assert [layer["layer"] for layer in variant["layers"]][-1] == "ConvTranspose2d(4, 1, 4, stride=4)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("deeep",), "unknown recipe 'deeep': did you mean 'deep'"),
        (("deep", "--device", "cudaa"), "there is no device 'cudaa': choose from auto, "),
        (("deep", "--set", "latnet=3"), "unknown setting 'latnet': did you mean 'latent'"),
        (("deep", "--latent", "0"), "latent must be at least 1: got 0"),
        (("deep", "--data", "no-such-folder"), "there is no folder no-such-folder"),
        (("no.toml",), "cannot read no.toml: No such file or directory"),
    ],
)
def test_invalid_input_is_a_one_line_error(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in assert_refused(run_here("train", *arguments, "--out", str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    assert "there are no results in" in assert_refused(run_here("report", str(tmp_path)))
    (tmp_path / "metrics.json").write_text("{}", encoding="utf-8")
    assert "does not contain results: train the recipe again" in assert_refused(run_here("report", str(tmp_path)))


def test_committed_results_are_found_by_recipe() -> None:
    everything = results.read_committed()
    answer = json.loads(run_here("report", "vae", "sdae", "--json").out)["results"]
    assert [metrics["recipe"] for metrics in answer] == [
        metrics["recipe"] for metrics in everything if metrics["recipe"].startswith(("sdae", "vae"))
        and metrics["recipe"] not in ("vae-binary", "vae-deep")
    ]  # fmt: skip
    assert all(metrics in everything for metrics in answer)
    assert "there are no results in sdea: did you mean 'sdae'" in assert_refused(run_here("report", "sdea"))


def test_a_damaged_checkpoint_is_a_one_line_error(tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path, "own", ["reconstruction"], DENSE), str(tmp_path / "runs")
    assert train_here(recipe, "--out", out)[0] == 0
    (tmp_path / "runs/own/metrics.json").unlink()  # with this file the recipe is finished and no checkpoint is read
    path = tmp_path / "runs/own/model/checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    message = assert_refused_line(run_here("train", recipe, "--out", out, "--resume"))
    assert "is damaged: it is not a complete checkpoint: delete it to --resume from" in message
    path.unlink()
    assert train_here(recipe, "--out", out, "--resume")[0] == 0


def test_a_diverged_training_exits_with_1(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "own", ["reconstruction"], DENSE)
    exit_code, document, _ = train_here(recipe, "--out", str(tmp_path), "--set", "learning_rate=1e30")
    assert exit_code == 1
    assert document["results"] == []
    assert "not finite at step" in document["failures"][0]


def test_ctrl_c_prints_how_to_resume(tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path, "own", ["reconstruction"], CONV, ""), tmp_path / "runs"
    command = [sys.executable, "-m", "convarith_cli", "train", recipe, "--out", str(out), "--epochs", "4000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment_with(OMP_NUM_THREADS="1")) as run:
        end = time.monotonic() + 60
        while not (out / "own/model/checkpoint.safetensors").exists() and time.monotonic() < end:
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    last = err.splitlines()[-1]
    assert re.fullmatch(
        rf"own: stopped at step \d+ of \d+; continue with: convarith train {re.escape(recipe)} .* --resume", last
    )


def test_a_missing_package_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['safetensors'] = None\n", encoding="utf-8")
    result = run_process("train", "conv", PYTHONPATH=str(tmp_path))
    assert "safetensors is not installed: run  pip install 'convarith[train]'" in re.sub(
        " +", " ", assert_refused(result)
    ).replace("run pip", "run  pip")


@pytest.mark.parametrize(
    "code", ["import convarith_gallery.autoencoders", "from convarith_cli.main import run; run(['recipes'])"]
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    program = f"{code}\nimport sys\nsys.stderr.write(' '.join(sys.modules))"
    seen = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr.split()
    assert not {"torch", "numpy", "matplotlib", "sklearn", "PIL", "pooch", "rich"} & set(seen)


MDSR = """
evaluations = []
[settings]
network = "mdsr"
dataset = "natural"
width = 4
depth = 1
corruption = "reduce"
level = 2.0
images = 200
epochs = 1
"""


@pytest.mark.parametrize(("text", "image"), [("", (1, 28, 28)), (MDSR, (3, 24, 24))], ids=["dense", "mdsr"])
def test_two_processes_under_torchrun(tmp_path: Path, text: str, image: tuple[int, int, int]) -> None:
    """Also if each process draws its own scale and uses layers that the other leaves out."""
    recipe = write_recipe(tmp_path, "own", ["reconstruction"], DENSE)
    if text:
        Path(recipe).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "convarith_cli", "train", recipe, "--out", str(tmp_path / "runs"), "--json"], text=True,
        capture_output=True, env=environment_with(OMP_NUM_THREADS="1"), timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    validate("train", json.loads(done.stdout))
    model = load_model(tmp_path / "runs/own/model")
    scale = 2 if text else 1
    assert model(torch.rand(2, *image)).shape == (2, image[0], scale * image[1], scale * image[2])
