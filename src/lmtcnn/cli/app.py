"""The command line: parse, call one function, show what it returns.

Results go to stdout, everything else to stderr. What a user got wrong ends in one line a problem and exit code 2;
a traceback is a bug. Modules are imported inside the commands, so that `--help` loads none of them.

The commands are in `recordings`, `study` and `models`; this module holds what all of them share.
"""

import contextlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from lmtcnn import __version__
from lmtcnn.cli import show
from lmtcnn.core import process
from lmtcnn.core.errors import LmtcnnError, problem

if TYPE_CHECKING:
    from lmtcnn.core.params import Params

DATA = Path("data")

EXTRAS = {
    **dict.fromkeys(("dvc", "jinja2", "matplotlib", "mlflow", "pandas", "PIL", "scipy", "sklearn"), "study"),
    **dict.fromkeys(("starlette", "uvicorn"), "serve"),
}
"""Packages that not every installation has, and the extra that brings them."""

app = typer.Typer(
    help="Stop maps of Live Mouse Tracker recordings, and a network that tells sex and age from them and shows why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ParamsFile = Annotated[Path, typer.Option("--params", help="Parameter file.", show_default=True, readable=False)]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout; nothing where no recording could be read (exit 2).")
]
PARAMS = Path("params.yaml")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"lmtcnn {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", help="Say which version this is, and end.", callback=_show_version, is_eager=True)
]


@app.callback()
def _options(version: Version = False) -> None: ...


def main() -> None:
    """Run a command; a user's error becomes lines on stderr and exit code 2."""
    process.die_with_dvc()
    process.end_in_order()
    process.keep_memory()
    process.keep_to_cores()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lower())
    logging.getLogger("lmtcnn").addHandler(handler)
    logging.getLogger("lmtcnn").setLevel(logging.INFO)
    try:
        _run()
    except BaseException as error:
        if end := process.told_to_end(error):
            show.say("stopped: what is written is whole; run the command again for the rest")
            raise end from None
        raise
    finally:
        process.end_at_once()


def _run() -> None:
    try:
        app()
    except LmtcnnError as error:
        _end(error)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        do = f"run pip install 'lmtcnn[{EXTRAS[package]}]'"
        _end(LmtcnnError(problem(f"lmtcnn {' '.join(sys.argv[1:2])}", f"the package {package}", "none", do)))
    except Exception as error:
        if process.told_to_end(error):
            raise
        from lmtcnn.tracking import checks  # only now: a command that ends well waits for none of it

        if refused := checks.refusal(error):
            _end(refused)
        raise


def _end(error: LmtcnnError) -> NoReturn:
    for line in error.lines:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(2)


def logged(log: Callable[[Any], object]) -> None:
    """Log a stage's result in MLflow, whose import takes seconds on a slow machine: the work is done before it."""
    from lmtcnn.tracking import client, tracking

    with client.repairable():
        log(tracking)


def load(path: Path, *, study: bool = True) -> "Params":
    """Read the parameter file; where the work needs no `study`, the paper's values do in a folder without one."""
    from lmtcnn.core import params

    return params.load(path, needs_file=study)


def alone(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the lock on a folder, so that an orphan of a killed pipeline is no second writer.

    Raises ParamsError where the study in the current folder was made with other revisions of the stages.
    """
    from lmtcnn.core import revisions
    from lmtcnn.core.locks import locked

    revisions.check()
    return locked(folder, DATA)


class _Lower(logging.Formatter):
    """`warning: ...`, as other programs of the shell say it; plain news without a word before it."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        prefix = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return prefix + record.getMessage()
