"""The command line: parse, call one function, show what it returns.

Results go to stdout, everything else to stderr. What a user got wrong ends in one line a problem and exit code 2;
a traceback is a bug. Modules are imported inside the commands, so that `--help` loads none of them.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from lmtcnn import __version__
from lmtcnn.cli import show
from lmtcnn.cli.progress import progress_of, reading
from lmtcnn.core import process
from lmtcnn.core.errors import BatchError, LmtcnnError, ParamsError, problem

if TYPE_CHECKING:
    from lmtcnn.core.params import Params

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
            show.say("stopped: what is written is whole; run the command again for the rest")
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
        with progress_of("simulate") as progress:  # one file, that is replaced whole: no lock is needed
            module.simulate_full_length(full_length, params, progress)
    elif stops_only:
        from lmtcnn.simulate import stops_only as planted

        manifest_folder, folder = planted.places(DATA, out)
        with _alone(manifest_folder), _alone(folder), progress_of("simulate") as progress:
            planted.stops_only(DATA, params, progress, out)
    else:
        folder = out or DATA / "simulate"
        with _alone(folder), progress_of("simulate") as progress:
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
    """Yield the steps that follow a new manifest; none of them would change a study which has one of its own."""
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
    with progress_of("cohort check") as progress:
        found = cohort.check(params, workers, progress)
    counts = Counter(sample.class_name for sample in found.cohort.samples)
    classes = ", ".join(f"{counts[name]} {name}" for name in params.classes if counts[name])
    verdict = "fine" if not found.odd else "usable, with the warnings above"
    for line in found.odd:
        show.say(f"warning: {line}")
    show.show_frame("samples by clock hour of the start:", found.start_hours)
    sizes = f"{len(found.cohort.recordings)} recordings, {len(found.cohort.samples)} samples ({classes})"
    excluded = found.cohort.excluded
    if excluded:
        show.say(f"excluded by the manifest: {'; '.join(each.words for each in excluded)}")
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
    with reading("inspect") as progress:
        inspections, unread = module.inspect(recordings, params, workers, progress)
    if as_json:
        print(module.to_json(inspections), end="")
    else:
        show.show_inspections(inspections, hours=hours)
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
    with _alone(out), reading("stops") as progress:
        others: Literal["refuse", "remove"] = "remove" if study else "refuse"
        quality = module.stops(recordings, out, params, workers, progress, ledger, others)
    show.say(f"{quality['n_stops'].sum()} stops of {quality.height} samples in {len(recordings)} recordings: {out}")


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
    show.say(f"{index.height} stacks of {size}{counted}: {DATA / 'histograms'}")


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
        with progress_of("train") as progress:
            summary = module.train(DATA, params, fold, progress)
        if not fold:
            _track(lambda tracking: tracking.log_train(DATA, params, started_s))
    folds = 1 if fold else len(summary["folds"])
    show.say(f"{folds} folds x {len(summary['seeds'])} seeds on {summary['n_samples']} samples: {DATA / 'train'}")


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
    show.show_metrics(metrics, params)


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
    show.say(f"activation maps: {DATA / 'explain'}")


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

    with _alone(out), progress_of("export") as progress:
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
    show.say(registration.line)


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
        show.show_registry(**found)
    else:
        show.say("no version is registered: run `dvc repro` first")


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
    show.say(str(page))


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
            show.say(line)


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
    with reading("predict") as progress:
        predictions, failed = module.predict(
            recordings, served, force=force, workers=workers, progress=progress, model=answering
        )
    if out:
        module.save(predictions, served.classes, out)
    if as_json:
        print(module.to_json(predictions), end="")
    elif predictions:
        show.show_predictions(predictions, served.classes, answering.line)
    if cohort and predictions and all(sample.labels for sample in known.samples):
        score = module.score(predictions, known, served)
        tags = {"lmtcnn.simulated": str(score.simulated).lower(), "lmtcnn.model": source.uri}
        scored = (cohort, score.metrics, score.table, served.classes, tags, started_s)
        _track(lambda tracking: tracking.log_cohort(*scored))
        show.show_score(score, served.classes, to_stderr=as_json)
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


class _Lower(logging.Formatter):
    """`warning: ...`, as other programs of the shell say it; plain news without a word before it."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        prefix = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return prefix + record.getMessage()
