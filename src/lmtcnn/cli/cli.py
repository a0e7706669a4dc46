"""The command line: parse, call one function, show what it returns.

Results go to stdout, everything else to stderr. What a user got wrong ends in one line a problem and exit code 2;
a traceback is a bug. Modules are imported inside the commands, so that `--help` loads none of them.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from lmtcnn import SIMULATED, __version__
from lmtcnn.core import process
from lmtcnn.core.errors import BatchError, LmtcnnError, ParamsError, problem

if TYPE_CHECKING:
    from lmtcnn.core.params import Params
    from lmtcnn.inspect.inspect import AnimalFindings, Hour, Inspection

DATA = Path("data")

EXTRAS = {
    **dict.fromkeys(("dvc", "jinja2", "joblib", "matplotlib", "mlflow", "pandas", "PIL", "sklearn"), "study"),
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
cohort_app = typer.Typer(help="Who is who: write a manifest, or check it.", no_args_is_help=True)
app.add_typer(cohort_app, name="cohort")

ParamsFile = Annotated[Path, typer.Option("--params", help="Parameter file.", show_default=True, readable=False)]
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
        app()
    except SystemExit as end:
        if isinstance(end.code, int) and end.code > 128:
            _say("stopped: what is written is whole; run the command again for the rest")
        raise
    except LmtcnnError as error:
        _end(error)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        do = f"run pip install 'lmtcnn[{EXTRAS[package]}]'"
        _end(LmtcnnError(problem(f"lmtcnn {' '.join(sys.argv[1:2])}", f"the package {package}", "none", do)))
    except Exception as error:
        from lmtcnn.tracking import store  # only now: a command that ends well waits for none of it

        if refused := store.refusal(error):
            _end(refused)
        raise


def _end(error: LmtcnnError) -> NoReturn:
    for line in error.lines:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(2)


@app.command()
def simulate(
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the databases, the manifest and the truth; without, data/simulate."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of simulate.seed.", min=0)] = None,
    cages: Annotated[int | None, typer.Option(help="Instead of simulate.cages.", min=1)] = None,
    full_length: Annotated[
        Path | None, typer.Option("--full-length", help="Write one recording of 72 real hours to this file instead.")
    ] = None,
    stops_only: Annotated[
        bool,
        typer.Option(
            "--stops-only",
            help="Write stop tables of full density instead of databases: to stops in --out; without, to data/stops.",
        ),
    ] = False,
    params_file: ParamsFile = PARAMS,
) -> None:
    """Write a cohort of LMT databases with a known truth.

    Example: lmtcnn simulate --seed 7 --cages 2 --out cohort7
    """
    from lmtcnn.simulate import simulate as module

    if full_length and (stops_only or out):
        found = "--stops-only" if stops_only else f"--out {out}"
        raise ParamsError(problem(f"--full-length {full_length}", "no other place or kind", found, "leave one out"))
    params = _load(params_file).with_simulate(seed=seed, cages=cages)
    if full_length:
        with _progress("simulate") as progress:  # one file, that is replaced whole: no lock is needed
            module.simulate_full_length(full_length, params, progress)
    elif stops_only:
        from lmtcnn.simulate import stops_only as planted

        manifest_folder, folder = planted.places(DATA, out)
        with _alone(manifest_folder), _alone(folder), _progress("simulate") as progress:
            planted.stops_only(DATA, params, progress, out)
    else:
        folder = out or DATA / "simulate"
        with _alone(folder), _progress("simulate") as progress:
            module.simulate(folder, params, progress)


@cohort_app.command("init")
def cohort_init(
    databases: Annotated[Path, typer.Argument(help="Folder of LMT databases, or one of them.")],
    manifest: Annotated[Path, typer.Option(help="Manifest to write.")] = DATA / "cohort.csv",
    labels: Annotated[
        list[str] | None, typer.Option(help="Label columns, instead of those of `classes`; commas between.")
    ] = None,
    params_file: ParamsFile = PARAMS,
) -> None:
    """Write a manifest to be filled in: a row for each animal of each database.

    Example: lmtcnn cohort init data/raw

    Example: lmtcnn cohort init data/raw --labels genotype,treatment
    """
    from lmtcnn.cohort import cohort

    params = _load(params_file)
    columns = [name.strip() for text in labels or [] for name in text.split(",") if name.strip()]
    rows, failed = cohort.init(databases, manifest, params, columns)
    left_out = f"; {len(failed)} databases could not be read and are not in it" if failed else ""
    print(f"{manifest}: {len(rows)} animals{left_out}. Next:")
    steps = _steps_after_init(params, params_file, cohort.root_of(databases, manifest, params), manifest, columns)
    for number, step in enumerate(steps, start=1):
        print(f"  {number}. {step}")
    if failed:
        raise BatchError(failed)


def _steps_after_init(
    params: "Params", params_file: Path, folder: Path, manifest: Path, labels: Sequence[str]
) -> Iterator[str]:
    """What to do with a new manifest; nothing that would change a study which has one of its own."""
    yield "fill in its empty columns (cage: a name for the animals housed together)"
    others = [label for label in labels if label not in params.labels]
    classes = f"in {params_file}: classes that name the values of {', '.join(others)}"
    named = Path(params.cohort.databases), Path(params.cohort.manifest)
    is_of_study = [path.resolve() for path in named] == [path.resolve() for path in (folder, manifest)]
    if not is_of_study and not params.simulates:
        yield f"new animals for a model: lmtcnn predict {folder} --cohort {manifest}"
        changes = f"cohort.databases: {folder}, cohort.manifest: {manifest}"
        yield f"a study of their own: a copy of {params_file} with {changes}"
        yield f"{params_file} itself is that of {named[1]}, and stays"
        return
    if not is_of_study:
        yield f"in {params_file}: cohort.databases: {folder}, cohort.manifest: {manifest}"
        yield f"in {params_file}: histograms.interval_s and train.lr, the values for real recordings"
    if others:
        yield classes
    yield "lmtcnn cohort check && dvc repro"


@cohort_app.command("check")
def cohort_check(
    workers: Annotated[int, typer.Option(help="Recordings read at once.", min=1)] = process.cores(),
    params_file: ParamsFile = PARAMS,
) -> None:
    """Say everything wrong with the manifest and its databases at once.

    Example: lmtcnn cohort check
    """
    from collections import Counter

    from lmtcnn.cohort import cohort

    params = _load(params_file)
    with _progress("cohort check") as progress:
        found = cohort.check(params, workers, progress)
    counts = Counter(sample.class_name for sample in found.cohort.samples)
    classes = ", ".join(f"{counts[name]} {name}" for name in params.classes if counts[name])
    verdict = "fine" if not found.odd else "usable, with the warnings above"
    for line in found.odd:
        _say(f"warning: {line}")
    _show_frame("samples by clock hour of the start:", found.start_hours)
    sizes = f"{len(found.cohort.recordings)} recordings, {len(found.cohort.samples)} samples ({classes})"
    excluded = found.cohort.excluded
    if excluded:
        _say(f"excluded by the manifest: {'; '.join(each.words for each in excluded)}")
    rows = f", {len(excluded)} rows excluded" * bool(excluded)
    print(f"{sizes}, {len(found.cohort.cages)} cages{rows}: {verdict}")


@app.command()
def inspect(
    databases: Annotated[
        list[Path] | None,
        typer.Argument(help="Databases, or folders of them; without, the study's recordings.", readable=False),
    ] = None,
    hours: Annotated[bool, typer.Option("--hours", help="Show every hour of every animal, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    workers: Annotated[int, typer.Option(help="Recordings read at once.", min=1)] = process.cores(),
    params_file: ParamsFile = PARAMS,
) -> None:
    """Say what recordings are, and what is wrong with them.

    Example: lmtcnn inspect recording.sqlite
    """
    from lmtcnn.cohort import cohort
    from lmtcnn.inspect import inspect as module

    params = _load(params_file)
    process.keep_memory(below=2**23)  # as in `stops`
    recordings, failed = module.find(databases, params) if databases else (list(cohort.load(params).recordings), [])
    with _reading("inspect") as progress:
        inspections, unread = module.inspect(recordings, params, workers, progress)
    if as_json:
        print(module.to_json(inspections), end="")
    else:
        _show_inspections(inspections, hours=hours)
    if unread or failed:
        raise BatchError([*unread, *failed])


@app.command()
def stops(
    databases: Annotated[
        list[Path] | None, typer.Argument(help="Databases or folders of them; without, the study's.", readable=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the stop tables.")] = DATA / "stops",
    workers: Annotated[int, typer.Option(help="Recordings read at once.", min=1)] = process.cores(),
    again: Annotated[bool, typer.Option(help="Read the study's unchanged recordings as well.")] = False,
    params_file: ParamsFile = PARAMS,
) -> None:
    """Find where each mouse stopped: one Parquet a recording.

    Example: lmtcnn stops recording.sqlite --out stops
    """
    from lmtcnn.cohort import cohort
    from lmtcnn.stops import stops as module
    from lmtcnn.stops.ledger import Ledger

    params = _load(params_file)
    recordings = cohort.unlisted(databases, params) if databases else cohort.load(params).recordings
    study = not databases and out == DATA / "stops"  # elsewhere nothing may go because it is of another study
    ledger = None if databases or again else Ledger(out.with_name(f".{out.name}"), out, params)
    process.keep_memory(below=2**23)  # positions and lists of pages are larger, and should not stay
    with _alone(out), _reading("stops") as progress:
        others: Literal["refuse", "remove"] = "remove" if study else "refuse"
        quality = module.stops(recordings, out, params, workers, progress, ledger, others)
    _say(f"{quality['n_stops'].sum()} stops of {quality.height} samples in {len(recordings)} recordings: {out}")


@app.command()
def plot(
    recording: Annotated[str, typer.Argument(help="A database, or a recording of the study's manifest.")],
    animal: Annotated[str | None, typer.Option(help="RFID or number; without, the first.")] = None,
    interval: Annotated[int | None, typer.Option(help="From 0; without, the one with most stops.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = DATA / "plot",
    params_file: ParamsFile = PARAMS,
) -> None:
    """Draw one hour of one mouse: positions through time, stops on the floor, histogram.

    Example: lmtcnn plot recording.sqlite --animal 900000001000101 --interval 20
    """
    from lmtcnn.cohort import cohort
    from lmtcnn.inspect import plot as module

    params = _load(params_file)
    for path in module.plot(cohort.find_recording(recording, params), animal, interval, out, params):
        print(path)


@app.command()
def histograms(params_file: ParamsFile = PARAMS) -> None:
    """Count the stops in a grid for each interval: a stack of histograms for each sample.

    Example: lmtcnn histograms
    """
    from lmtcnn.cohort import cohort
    from lmtcnn.histograms import histograms as module
    from lmtcnn.timeline.clock import counted_words

    params = _load(params_file)
    with _alone(DATA / "histograms"):
        index = module.histograms(cohort.load(params), DATA / "stops", DATA / "histograms", params)
    settings = params.histograms
    size = f"{len(settings.counted)} x {settings.tiles} x {settings.tiles}"
    counted = f", {words}" if (words := counted_words(settings)) else ""
    _say(f"{index.height} stacks of {size}{counted}: {DATA / 'histograms'}")


@app.command()
def train(
    fold: Annotated[str | None, typer.Option(help="Only the fold of this cage, into data/train/folds/.")] = None,
    params_file: ParamsFile = PARAMS,
) -> None:
    """Train the network, one cage held out at a time, and once on all cages.

    Example: lmtcnn train --fold cage01
    """
    from lmtcnn.train import train as module

    params = _load(params_file)
    started_s = time.time()
    with _alone(DATA / "train" / "folds" / fold if fold else DATA / "train"):
        with _progress("train") as progress:
            summary = module.train(DATA, params, fold, progress)
        if not fold:
            _track(lambda tracking: tracking.log_train(DATA, params, started_s))
    folds = 1 if fold else len(summary["folds"])
    _say(f"{folds} folds x {len(summary['seeds'])} seeds on {summary['n_samples']} samples: {DATA / 'train'}")


@app.command()
def evaluate(params_file: ParamsFile = PARAMS) -> None:
    """Score the held-out predictions beside the baselines and the paper.

    Example: lmtcnn evaluate
    """
    from lmtcnn.evaluate import evaluate as module

    params = _load(params_file)
    with _alone(DATA / "evaluate"):
        metrics = module.evaluate(DATA, params)
        _track(lambda tracking: tracking.log_evaluate(DATA, params))
    _show_metrics(metrics, params)


@app.command()
def explain(params_file: ParamsFile = PARAMS) -> None:
    """Show which places speak for a class: mean activation maps of every channel.

    Example: lmtcnn explain
    """
    from lmtcnn.explain import explain as module

    params = _load(params_file)
    with _alone(DATA / "explain"):
        module.explain(DATA, params)
        _track(lambda tracking: tracking.log_explain(DATA, params))
    _say(f"activation maps: {DATA / 'explain'}")


@app.command()
def maps(
    out: Annotated[Path, typer.Argument(help="The figure's file: .png, .svg or .pdf.")],
    channel: Annotated[
        list[str] | None, typer.Option(help="3x3/04, again for more; without, where classes differ most.")
    ] = None,
    class_: Annotated[list[str] | None, typer.Option("--class", help="A class, again for more; without, all.")] = None,
    title: Annotated[str, typer.Option(help="What stands above the figure; nothing by default.")] = "",
    crosses: Annotated[bool, typer.Option(help="Mark the tiles of largest spread.")] = True,
    params_file: ParamsFile = PARAMS,
) -> None:
    """Draw the maps of chosen channels and classes as a figure for a paper, from what `explain` left.

    Example: lmtcnn maps figure3.pdf --channel 3x3/04 --class AM --class AF
    """
    from lmtcnn.explain import explain as module

    print(module.paper_figure(DATA, _load(params_file), out, channel or [], class_ or [], title, crosses=crosses))


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder for the tables.")] = DATA / "export",
    stops: Annotated[bool, typer.Option(help="Write the table of all stops, the largest, too.")] = True,
    params_file: ParamsFile = PARAMS,
) -> None:
    """Write the study's tables as CSV for R: samples, stops, and the mean maps and hours of each class.

    Example: lmtcnn export --out tables --no-stops
    """
    from lmtcnn.report import export as module

    with _alone(out), _progress("export") as progress:
        paths = module.export(DATA, out, _load(params_file), stops=stops, progress=progress)
    for path in paths:
        print(path)


@app.command()
def register(params_file: ParamsFile = PARAMS) -> None:
    """Bundle the networks that see all cages, and register them as champion or challenger.

    Example: lmtcnn register
    """
    from lmtcnn.tracking import store

    store.check_answers()  # before the longer imports
    from lmtcnn.register import register as module

    with _alone(DATA / "register"):
        registration = module.register(DATA, _load(params_file))
    _say(registration.line)


@app.command()
def registry(as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> None:
    """List the registered versions, and which one was champion when.

    Example: lmtcnn registry --json
    """
    import json

    from lmtcnn.register import register as module

    found = module.listing()
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))
    elif found["versions"]:
        _show_registry(**found)
    else:
        _say("no version is registered: run `dvc repro` first")


@app.command()
def promote(
    version: Annotated[str | None, typer.Argument(help="Number of the version that is to serve.")] = None,
    back: Annotated[bool, typer.Option("--back", help="The version that was champion before.")] = False,
) -> None:
    """Make a registered version the champion by hand, or take that back.

    Example: lmtcnn promote 3
    """
    from lmtcnn.register import register as module

    if bool(version) == back:
        raise typer.BadParameter("either a version's number or --back")
    print(module.promote(version))


@app.command()
def report(params_file: ParamsFile = PARAMS) -> None:
    """Write the study's page: data/report/index.html.

    Example: lmtcnn report
    """
    from lmtcnn.report import report as module

    with _alone(DATA / "report"):
        page = module.report(DATA, _load(params_file))
    _say(str(page))


@app.command()
def upgrade() -> None:
    """Accept this program's revisions of the stages for the study in the current folder.

    Example: lmtcnn upgrade
    """
    from lmtcnn.core import revisions

    if others := revisions.upgrade():
        print(f"{revisions.FILE}: `dvc repro` now reruns {', '.join(others)} and what comes after")
    else:
        print(f"{revisions.FILE}: the study has this program's revisions already")


@app.command()
def track(
    compare: Annotated[
        int, typer.Option(help="Only print the address that compares this many of the last trainings.", min=0)
    ] = 0,
    params_file: ParamsFile = PARAMS,
) -> None:
    """Log the study's files to MLflow again where its store was lost, and register its model.

    Example: lmtcnn track --compare 2
    """
    from lmtcnn.tracking import store

    store.check_answers()  # before the longer imports
    from lmtcnn.register import register as registry
    from lmtcnn.tracking import tracking

    if compare:
        print(tracking.compare_url(tracking.latest_parents(compare)))
        return
    with _alone(DATA / "register"):
        for line in registry.track(DATA, _load(params_file)):
            _say(line)


@app.command()
def predict(
    databases: Annotated[list[Path], typer.Argument(help="Databases, or folders of them.", readable=False)],
    cohort: Annotated[
        Path | None,
        typer.Option(help="Manifest: who is who, and which files are one; with labels: scored, as a run of MLflow."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="models:/lmtcnn/3 or a bundle's folder; without, the champion, models:/lmtcnn@champion."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the table as .csv, .parquet or .json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    force: Annotated[bool, typer.Option(help="Answer for recordings of another length too.")] = False,
    workers: Annotated[int, typer.Option(help="Recordings read at once.", min=1)] = process.cores(),
) -> None:
    """Tell the class of every animal in new recordings.

    Example: lmtcnn predict new.sqlite --out predictions.csv
    """
    if model is None or model.startswith("models:/"):
        from lmtcnn.tracking import store

        store.check_answers()  # before the longer imports
    from lmtcnn.bundle import bundle
    from lmtcnn.cohort import cohort as cohorts
    from lmtcnn.predict import predict as module
    from lmtcnn.register import register

    if out:
        module.check_out(out)
    started_s = time.time()
    source = register.resolve(model)
    served = bundle.read(source.folder)
    answering = module.Model.of(served, source.uri, source.version, source.run, source.date)
    if cohort:
        known = module.listed(cohort, databases, served)
        recordings = list(known.recordings)
    else:
        recordings = cohorts.unlisted(databases, served.definitions)
    with _reading("predict") as progress:
        predictions, failed = module.predict(
            recordings, served, force=force, workers=workers, progress=progress, model=answering
        )
    if out:
        module.save(predictions, served.classes, out)
    if as_json:
        print(module.to_json(predictions), end="")
    elif predictions:
        _show_predictions(predictions, served.classes, answering.line)
    if cohort and predictions and all(sample.labels for sample in known.samples):
        score = module.score(predictions, known, served)
        tags = {"lmtcnn.simulated": str(score.simulated).lower(), "lmtcnn.model": source.uri}
        scored = (cohort, score.metrics, score.table, served.classes, tags, started_s)
        _track(lambda tracking: tracking.log_cohort(*scored))
        _show_score(score, served.classes, to_stderr=as_json)
    if failed:
        raise BatchError(failed)


@app.command()
def serve(
    model: Annotated[
        str | None,
        typer.Option(help="models:/lmtcnn/3 or a bundle's folder; without, the champion, models:/lmtcnn@champion."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; no login is asked for.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of that address.", min=1, max=65535)] = 5001,
    workers: Annotated[int, typer.Option(help="Processes that answer.", min=1)] = 2,
) -> None:
    """Answer tables of stops over REST, until it is stopped.

    Example: lmtcnn serve --port 5001
    """
    from lmtcnn.serve import serve as module

    module.serve(model, host, port, workers)


def _track(log: Callable[[Any], object]) -> None:
    """Log a stage's result in MLflow, whose import takes seconds on a slow machine: the work is done before it."""
    from lmtcnn.tracking import tracking

    with tracking.repairable():
        log(tracking)


def _load(path: Path) -> "Params":
    from lmtcnn.core import params

    return params.load(path)


def _alone(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the lock on a folder, so that an orphan of a killed pipeline is no second writer.

    Raises ParamsError where the study in the current folder was made with other revisions of the stages.
    """
    from lmtcnn.core import revisions
    from lmtcnn.core.locks import locked

    revisions.check()
    return locked(folder, DATA)


@contextlib.contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, silent where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import MofNCompleteColumn

    with _bar(MofNCompleteColumn()) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def _reading(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """The same of detections: how many, and how many a second. None where stderr is no terminal: none are counted."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import TextColumn

    with _bar(TextColumn("{task.fields[read]}")) as bar:
        task = bar.add_task(label, total=None, read="")
        begin_s = time.monotonic()

        def show(done: int, total: int) -> None:
            rate = done / max(time.monotonic() - begin_s, 1e-3)
            read = f"{done / 1e6:.1f} of {total / 1e6:.1f} million detections, {rate / 1e6:.1f} million/s"
            bar.update(task, completed=done, total=total, read=read)

        yield show


def _bar(counted: Any) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), counted, TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _show_frame(title: str, frame: Any) -> None:
    """A small table as it is."""
    from rich.table import Table

    print(title)
    table = Table(*frame.columns)
    for row in frame.iter_rows():
        table.add_row(*(str(value) for value in row))
    _console().print(table)


def _show_inspections(inspections: "Sequence[Inspection]", *, hours: bool) -> None:
    """Several begin with a line each, and then fit 80 columns where stdout is no terminal."""
    several = len(inspections) > 1
    console = _console(plain_width=80 if several else 160)
    if several:
        for line in _summary_lines(inspections):
            print(line)
    told: set[str] = set()
    for inspection in inspections:
        _show_inspection(inspection, console, told, hours=hours)


def _summary_lines(inspections: "Sequence[Inspection]") -> Iterator[str]:
    """Recording, start, length, animals and verdict, in 80 columns: long names lose their middle."""
    from lmtcnn.timeline.clock import length

    rows = [
        (_start(found, "minutes"), length(found.duration_s), _number(len(found.animals), "animal"), found.verdict)
        for found in inspections
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = max(12, 80 - sum(widths) - 2 * len(widths))
    names = [_shortened(found.recording, room) for found in inspections]
    widths = [max(map(len, names)), *widths]
    for cells in zip(names, *zip(*rows, strict=True), strict=True):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _number(n: int, what: str) -> str:
    """`1 stop`, `2 stops`."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def _shortened(name: str, room: int) -> str:
    """A name in so many columns: its beginning and its end."""
    head = (room - 1) // 2
    return name if len(name) <= room else f"{name[:head]}…{name[head + 1 - room :]}"


def _start(found: "Inspection", precision: str) -> str:
    """When a recording begins, on the wall clock and with its offset from UTC."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    begin = datetime.fromisoformat(found.start).astimezone(ZoneInfo(found.timezone))
    return begin.isoformat(timespec=precision)


WIDE = 120
"""Columns from which the tables of `inspect` show everything side by side."""


def _show_inspection(found: "Inspection", console: Any, told: set[str], *, hours: bool) -> None:
    """The tables of a recording; below narrow ones the checks' definitions, but for those that were `told` before."""
    from rich.table import Table

    narrow = console.width < WIDE
    table = Table(found.recording, found.verdict, title=SIMULATED if found.simulated else None)
    ghosts = [("never detected", f"{', '.join(found.never_detected)}: in ANIMAL only, no animals")]
    for name, text in (*_recording_lines(found), *_animal_lines(found.animals), *ghosts * bool(found.never_detected)):
        table.add_row(name, text)
    console.print(table)
    for each in _animal_tables(found.animals, narrow=narrow):
        console.print(each)
    for each in _hour_tables(found, narrow=narrow) if hours else []:
        console.print(each)
    console.print(_check_table(found, narrow=narrow))
    if narrow:
        lines = [f"{name}: {words}" for name, words in {c.name: c.definition for c in found.checks}.items()]
        for line in lines:
            if line not in told:
                console.print(line)
        told.update(lines)


def _recording_lines(found: "Inspection") -> Iterator[tuple[str, str]]:
    from lmtcnn.timeline.clock import length

    yield "file", "\n".join([*found.files, f"{found.bytes / 1e6:.1f} MB"])
    yield "time", f"{length(found.duration_s)} from {_start(found, 'milliseconds')}, {length(found.paused_s)} paused"
    rate = "no" if found.fps is None else f"{found.fps:.2f}"
    missing = f"{found.n_missing_frames} missing ({found.missing_share:.2%})"
    yield "frames", f"{found.n_frames}, {missing}, {found.n_segments} segments, {rate} frames/s by TIMESTAMP"
    if found.clock_steps:
        yield "clock", ", ".join(f"{step.by_ms:+} ms at frame {step.frame}" for step in found.clock_steps)
    others = [name for name in found.indexes if name != found.covering_index]
    covering = f"{found.covering_index} (covering)" if found.covering_index else "no covering one: a slower read"
    yield "indexes", ", ".join([covering, *others])
    tools = [f"{tool.process} {tool.version}, {tool.runs} times, last {tool.last}" for tool in found.tools]
    yield "tools", "\n".join([*tools, *["identities corrected"] * found.identity_corrected]) or "none logged"
    yield "flicker", "\n".join(_flicker_lines(found.animals)) or "none"
    yield (
        "sensors",
        "\n".join(
            f"{name}: {f'{r.lowest:g} to {r.highest:g}, mean {r.mean:.4g}' if r else 'not fitted'}"
            for name, r in found.sensors.items()
        ),
    )


def _flicker_lines(animals: "Sequence[AnimalFindings]") -> Iterator[str]:
    """Of each animal whose centre hops to and fro: how often, and its stops if it were bridged, or not."""
    from lmtcnn.timeline.clock import length

    for a in (animal for animal in animals if animal.n_flicker):
        bridged = [
            f"{f'bridged up to {level} frames' if int(level) else 'not bridged'}: {_number(n, 'stop')}, "
            f"{length(a.stopped_s_flicker[level])}"
            for level, n in a.n_stops_flicker.items()
        ]
        yield f"animal {a.animal_id}: {a.n_flicker} frames ({a.n_flicker / a.n_detected:.1%}); {'; '.join(bridged)}"


def _animal_lines(animals: "Sequence[AnimalFindings]") -> Iterator[tuple[str, str]]:
    from lmtcnn.cohort.recording import has_chip, no_chip

    for animal in animals:
        told = [f"{name} {value}" for name, value in animal.columns.items() if value not in (None, "")]
        chip = f"RFID {animal.rfid}" if has_chip(animal.rfid) else no_chip(animal.rfid)
        yield f"animal {animal.animal_id}", ", ".join([chip, *told])


def _animal_tables(animals: "Sequence[AnimalFindings]", *, narrow: bool) -> Iterator[Any]:
    """A row for each animal; `narrow`: a column for each, four at most side by side."""
    from rich.table import Table

    from lmtcnn.timeline.clock import length

    halves = [f"with half window {half}" for half in animals[0].n_stops_half_window]
    odd = ("double same / other", "at 0 / invalid / untimed")
    rows = [["animal", "detections", "known", "stops", *halves, "stopped", "filled", "jumps", *odd]]
    for a in animals:
        known = [str(a.animal_id), str(a.n_rows), f"{a.detected_share:.1%}"]
        counts = [str(n) for n in (a.n_stops, *a.n_stops_half_window.values())]
        others = [f"{a.n_identical} / {a.n_conflicting}", f"{a.n_at_zero} / {a.n_invalid} / {a.n_untimed}"]
        rows.append([*known, *counts, length(a.stopped_s), str(a.n_filled), str(a.n_jumps), *others])
    parts = [rows]
    if narrow:
        chunks = [rows[1:][i : i + 4] for i in range(0, len(animals), 4)]
        parts = [[list(column) for column in zip(rows[0], *chunk, strict=True)] for chunk in chunks]
    for head, *body in parts:
        table = Table(*head)
        for row in body:
            table.add_row(*row)
        yield table


def _hour_tables(found: "Inspection", *, narrow: bool) -> Iterator[Any]:
    """A row for each interval; of each animal: share of frames in which it is known, stops, seconds stopped.

    Where the animal flickers, the share of those frames follows. `narrow`: two animals a table, below the recording's.
    """
    from rich.table import Table

    from lmtcnn.timeline.clock import length

    names = [f"{a.animal_id}: known, stops, stopped" for a in found.animals]
    begin = f"from (x {length(found.interval_s)})"
    cells: dict[int, dict[int, str]] = {}
    for animal in found.animals:
        for each in animal.intervals:
            known = "" if each.detected_share is None else f"{each.detected_share:.0%}"
            words = f"{known}, {each.n_stops}, {each.stopped_s:.0f} s"
            flicker = f", {each.n_flicker / each.detected:.1%} flicker" if each.n_flicker else ""
            cells.setdefault(each.interval, {})[animal.animal_id] = words + flicker
    hours = {hour.interval: _hour_cells(hour) for hour in found.hours}
    rows = []
    for interval, row in sorted(cells.items()):  # a stop may begin on a step of the clock, in an hour without a frame
        own = [row.get(a.animal_id, "") for a in found.animals]
        rows.append((str(interval), *hours.get(interval, ("", "", "")), *own))
    head = (begin, "clock", "frames missing", "anonymous", *names)
    every = [*range(len(head))]
    pairs = [[0, *every[i : i + 2]] for i in every[4::2]]
    for columns in [every[:4], *pairs] if narrow else [every]:
        table = Table(*(head[i] for i in columns))
        for values in rows:
            table.add_row(*(values[i] for i in columns))
        yield table


def _hour_cells(hour: "Hour") -> tuple[str, str, str]:
    anonymous = "" if hour.anonymous_share is None else f"{hour.anonymous_share:.1%}"
    return f"{hour.clock}{' night' if hour.night else ''}", f"{hour.n_missing} of {hour.n_unpaused}", anonymous


def _check_table(found: "Inspection", *, narrow: bool) -> Any:
    """A row for each check; `narrow`: without the definitions."""
    from rich.table import Table

    table = Table("check", "animal", "counted", "of", "value", "verdict", *([] if narrow else ["definition"]))
    told: set[str] = set()
    for c in found.checks:
        numbers = [f"{n:.12g}" for n in (c.numerator, c.denominator)]
        value = "" if c.value is None else f"{c.value:.2%}" if c.unit == "share" else f"{c.value:.6g} {c.unit}"
        words = [] if narrow else [c.definition if c.definition not in told else "as above"]
        told.add(c.definition)
        table.add_row(c.name, "" if c.animal_id is None else str(c.animal_id), *numbers, value, c.verdict, *words)
    return table


def _show_predictions(predictions: list[Any], classes: tuple[str, ...], caption: str) -> None:
    from itertools import groupby

    console = _console()
    table = _prediction_table(predictions, classes)
    if _fits(table, console):
        console.print(table)
    else:
        for name, group in groupby(predictions, lambda p: p.recording):
            console.print(name)
            console.print(_prediction_table(list(group), classes, narrow=True))
    console.print(caption)
    told: dict[str, list[str]] = {}
    for p in predictions:
        for line in p.warnings:
            told.setdefault(line, []).append(f"{p.recording}/{p.animal_id}")
    for line, whom in told.items():
        who = "all animals" if len(whom) == len(predictions) else ", ".join(whom)
        _say(f"warning: {who}: {line}")


def _fits(table: Any, console: Any) -> bool:
    """Whether a console shows a table with each cell in one line."""
    return bool(console.measure(table, options=console.options.update(width=sys.maxsize)).maximum <= console.width)


def _prediction_table(predictions: list[Any], classes: tuple[str, ...], *, narrow: bool = False) -> Any:
    """A row for each animal; `narrow`: without the recording, and without p, the highest of the classes'."""
    from rich.table import Table

    table = Table()
    if not narrow:
        table.add_column("recording")
    for name in ("animal", "RFID", "class"):
        table.add_column(name, no_wrap=True)  # who is who is never cut
    for name in ([] if narrow else ["p"]) + [f"p({name})" for name in classes] + ["agreement"]:
        table.add_column(name, overflow="fold")
    for p in predictions:
        who = [*([] if narrow else [p.recording]), str(p.animal_id), p.rfid or "", p.predicted]
        highest = [] if narrow else [f"{p.probability:.2f}"]
        table.add_row(*who, *highest, *(f"{p.probabilities[name]:.2f}" for name in classes), f"{p.agreement:.0%}")
    return table


def _show_registry(versions: list[dict[str, Any]], history: list[dict[str, Any]]) -> None:
    from rich.table import Table

    head = ("version", "alias", "registered (UTC)", "run", "balanced", "accuracy", "mice", "why")
    rows = []
    for each in versions:
        figures = [each["balanced_accuracy"], each["ensemble_accuracy"]]
        numbers = ["" if value is None else f"{value:.4f}" for value in figures]
        mice = {True: "simulated", False: "real", None: ""}[each["simulated"]]
        words = [each["version"], ", ".join(each["aliases"]), _day(each["date"]), each["run"] or "", *numbers]
        rows.append([*words, mice, each["decision"] or ""])
    console = _console()
    whole = Table(*head)
    for row in rows:
        whole.add_row(*row)
    if _fits(whole, console):
        console.print(whole)
    else:
        part = Table()
        for name in head[:-2]:
            part.add_column(name, no_wrap=name != "run", overflow="fold")
        for row in rows:
            part.add_row(*row[:-2])
        console.print(part)
        for version, *_, mice, why in rows:
            console.print(f"version {version}: {'; '.join(filter(None, [f'{mice} mice' if mice else '', why]))}")
    if history:
        print("champions, the last one below:")
    for event in history:
        after = f" after {event['before']}" if event["before"] else ""
        who = f"{event['who']} on {event['host']}, by {event['by']}"
        print(f"  {_day(event['when'])}  version {event['version']}{after}, {who}: {event['why']}")


def _day(when: str) -> str:
    """A date in UTC to the minute."""
    return when[:16].replace("T", " ")


def _show_score(score: Any, classes: tuple[str, ...], *, to_stderr: bool) -> None:
    from rich.table import Table

    table = Table("true \\ predicted", *classes, "recall")
    for name, row in zip(classes, score.confusion, strict=True):
        recall = score.metrics.get(f"recall_{name}")
        table.add_row(name, *(str(n) for n in row), "" if recall is None else f"{recall:.2f}")
    _console(to_stderr).print(table)
    line = f"accuracy {score.metrics['ensemble_accuracy']:.3f} on {score.table.height} samples"
    print(f"{line}; {SIMULATED}" if score.simulated else line, file=sys.stderr if to_stderr else sys.stdout)


def _show_metrics(metrics: dict[str, Any], params: "Params") -> None:
    from rich.table import Table

    from lmtcnn.evaluate.metrics import compare

    if metrics["simulated"]:
        print(SIMULATED)  # as the table's title it would be broken: the table is narrower
    rows = compare(metrics, params.classes)
    shown = 2 if any(row.paper is not None for row in rows) else 1
    table = Table("held-out cages", *("here", "paper")[:shown])
    for name, *values in rows:
        table.add_row(name, *("" if value is None else f"{value:.3f}" for value in values[:shown]))
    _console().print(table)


def _console(to_stderr: bool = False, plain_width: int = 160) -> Any:
    """A console as wide as the terminal, or as COLUMNS says, or of `plain_width` where there is neither."""
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    known = stream.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    # What stands in files is shown as it is: a name such as `a[b]` is no markup, `:mouse:` no emoji.
    return Console(file=stream, width=None if known else plain_width, markup=False, emoji=False, highlight=False)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


class _Lower(logging.Formatter):
    """`warning: ...`, as other programs of the shell say it; plain news without a word before it."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        prefix = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return prefix + record.getMessage()
