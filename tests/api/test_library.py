"""What a program notices that imports the library: nothing but its functions."""

import doctest
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import lmtcnn
from conftest import ROOT, Scene, still

STATE = """
import importlib, json, logging, os, signal, sys, warnings
def state():
    import numpy, torch
    return [
        warnings.filters[:], logging.root.handlers[:], logging.getLogger("lmtcnn").handlers[:],
        {k: v for k, v in os.environ.items() if k != "TORCHINDUCTOR_CACHE_DIR"},  # PyTorch's optimisers set it
        [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)], numpy.geterr(), numpy.get_printoptions(),
        torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_default_dtype(),
        torch.random.get_rng_state().tolist(), numpy.random.get_state()[1].tolist(), torch.is_grad_enabled(),
    ]
"""


def python(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_loads_nothing_and_shadows_nothing() -> None:
    code = (
        "import sys, lmtcnn, inspect\n"
        "print(sorted({'torch', 'polars', 'numpy', 'mlflow', 'pydantic', 'matplotlib'} & set(sys.modules)))\n"
        "assert inspect.signature\n"
        "from lmtcnn import *\n"
        "import lmtcnn.inspect\n"
        "assert inspect.signature and lmtcnn.inspect.__name__ == 'lmtcnn.inspect'\n"
        "import lmtcnn.predictions.predict, lmtcnn.inspect.inspect\n"
        "assert callable(lmtcnn.predict) and callable(predict)"
    )
    assert python(code) == "[]"


def test_nothing_global_is_changed_by_importing_or_calling(tmp_path: Path) -> None:
    path = Scene(still(1, 300), n_frames=300).write(tmp_path / "r.sqlite")
    code = f"""{STATE}
import numpy, torch, polars, safetensors.torch, sqlalchemy, pydantic, ruamel.yaml, sympy  # have filters of their own
before = state()
import lmtcnn
stops = lmtcnn.find_stops(lmtcnn.read_positions(sys.argv[1]))
lmtcnn.stack_histograms(stops)
stacks = numpy.random.default_rng(1).poisson(1.0, (4, 2, 6, 6))
classes = ["F", "M", "F", "M"]
found = lmtcnn.cross_validate(stacks, classes, ["a", "a", "b", "b"], epochs=1, channels=2)
lmtcnn.activation_maps(found.networks["all"], stacks, classes)
after = state()
for a, b in zip(before, after):
    assert repr(a) == repr(b), (repr(a)[:500], repr(b)[:500])
print("mlflow" in sys.modules, "matplotlib" in sys.modules)
"""
    assert python(code, str(path)) == "False False"


@pytest.mark.parametrize("module", ["tracks", "stacks", "learning"])
def test_the_examples_of_the_docstrings_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    recording = Scene(still(1, 300), n_frames=300).write(tmp_path / "r.sqlite")
    found = import_module(f"lmtcnn.api.{module}")
    result = doctest.testmod(found, extraglobs={"recording": str(recording)})
    assert (result.failed, result.attempted > 1) == (0, True)


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    assert set(lmtcnn.__all__) <= set(dir(lmtcnn))
    for name in lmtcnn.__all__:
        assert getattr(lmtcnn, name) is not None
    for name in set(lmtcnn.__all__) - {"SIMULATED", "__version__", "CrossValidation"}:
        text = getattr(lmtcnn, name).__doc__
        assert "Parameters\n" in text, name
        assert "Returns\n" in text, name
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        lmtcnn.other  # noqa: B018


def test_the_page_runs_on_tables_as_the_trackers_write_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Scene(still(1, 300), n_frames=300).write(tmp_path / "recording.sqlite")
    header = "scorer,DLC,DLC,DLC,DLC,DLC,DLC\nbodyparts,nose,nose,nose,body,body,body\n"
    header += "coords,x,y,likelihood,x,y,likelihood\n"
    lines = [f"{f},1.0,2.0,0.5,{200 + 40 * (f > 90)}.0,100.0,{0.1 if f == 40 else 0.99}" for f in range(180)]
    (tmp_path / "deeplabcut.csv").write_text(header + "\n".join(lines) + "\n")
    header = "track,frame_idx,instance.score,body.x,body.y,body.score\n"
    lines = [f"{track},{f},0.9,{x},100.0,0.9" for track, x in (("a", 200), ("b", 400)) for f in range(90) if f != 40]
    (tmp_path / "sleap.analysis.csv").write_text(header + "b,90,0.1,,,\n" + "\n".join(lines) + "\n")
    page = (ROOT / "docs" / "library.md").read_text()
    seen: list[dict] = []
    names: dict = {}
    for block in page.split("```python\n")[1:]:
        exec(block.partition("```")[0], names)  # noqa: S102 - the page's own code
        seen.append(dict(names))
    assert seen[0]["stacks"].sum() == 1
    assert seen[1]["maps"].means.shape == (2, 32, 6, 6)
    assert seen[2]["stops"].select("start_frame", "end_frame", pl.col("x_cm").round(9)).rows() == [
        (3, 87, 10.0),
        (94, 176, 12.0),
    ]
    assert seen[3]["stops"].select("rfid", "x_cm").rows() == [("a", 10.0), ("b", 20.0)]
    assert seen[3]["index"]["n_stops"].to_list() == [1, 1]
