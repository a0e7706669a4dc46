"""Commands on recordings: simulate, look at them, say who is who, find where they stopped."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lmtcnn.cli import show
from lmtcnn.cli.app import DATA, PARAMS, AsJson, ParamsFile, alone, app, load
from lmtcnn.cli.inspections import show_inspections
from lmtcnn.cli.progress import progress_of, reading
from lmtcnn.core import process
from lmtcnn.core.errors import BatchError, ParamsError, problem
from lmtcnn.core.words import number_of

cohort_app = typer.Typer(help="Who is who: write a manifest, or check it.", no_args_is_help=True)
app.add_typer(cohort_app, name="cohort")


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
    from lmtcnn.core.files import no_empty_folders
    from lmtcnn.simulate import simulate as module

    if full_length and (stops_only or out):
        found = "--stops-only" if stops_only else f"--out {out}"
        raise ParamsError(problem(f"--full-length {full_length}", "no other place or kind", found, "leave one out"))
    params = load(params_file, study=not full_length).with_simulate(seed=seed, cages=cages)
    if full_length:
        with no_empty_folders(full_length.parent), progress_of("simulate") as progress:  # replaced whole: needs no lock
            module.simulate_full_length(full_length, params, progress)
    elif stops_only:
        from lmtcnn.simulate import stops_only as planted

        manifest_folder, folder = planted.places(DATA, out)
        with alone(manifest_folder), alone(folder), progress_of("simulate") as progress:
            planted.stops_only(DATA, params, progress, out)
    else:
        folder = out or DATA / "simulate"
        with alone(folder), progress_of("simulate") as progress:
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
    from lmtcnn.cohort import steps
    from lmtcnn.cohort.init import init, root_of

    params = load(params_file, study=False)
    columns = [name.strip() for text in labels or [] for name in text.split(",") if name.strip()]
    rows, failed = init(databases, manifest, params, columns)
    lost = number_of(len(failed), "database could not be read and is", "databases could not be read and are")
    print(f"{manifest}: {number_of(len(rows), 'animal')}{f'; {lost} not in it' * bool(failed)}. Next:")
    folder = root_of(databases, manifest, params)
    for number, step in enumerate(steps.after_init(params, params_file, folder, manifest, columns), start=1):
        print(f"  {number}. {step}")
    if failed:
        raise BatchError(failed)


@cohort_app.command("check")
def cohort_check(
    workers: Annotated[int, typer.Option(help="Recordings read at once.", min=1)] = process.cores(),
    params_file: ParamsFile = PARAMS,
) -> None:
    """Say everything wrong with the manifest and its databases at once.

    Example: lmtcnn cohort check
    """
    from lmtcnn.cohort.check import check

    params = load(params_file)
    with progress_of("cohort check") as progress:
        found = check(params, workers, progress)
    show.show_check(found, params)


@app.command()
def inspect(
    databases: Annotated[
        list[Path] | None,
        typer.Argument(help="Databases, or folders of them; without, the study's recordings.", readable=False),
    ] = None,
    hours: Annotated[bool, typer.Option("--hours", help="Show every hour of every animal, too.")] = False,
    as_json: AsJson = False,
    workers: Annotated[int, typer.Option(help="Recordings read at once.", min=1)] = process.cores(),
    params_file: ParamsFile = PARAMS,
) -> None:
    """Say what recordings are, and what is wrong with them.

    Example: lmtcnn inspect recording.sqlite
    """
    from lmtcnn.cohort import cohort
    from lmtcnn.inspect import inspect as module

    params = load(params_file, study=not databases)
    process.keep_memory(below=2**23)  # as in `stops`
    recordings, failed = module.find(databases, params) if databases else (list(cohort.load(params).recordings), [])
    with reading("inspect") as progress:
        inspections, unread = module.inspect(recordings, params, workers, progress)
    if as_json and (inspections or not (unread or failed)):
        print(module.to_json(inspections), end="")
    elif not as_json:
        show_inspections(inspections, hours=hours)
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

    params = load(params_file, study=not databases)
    recordings = cohort.unlisted(databases, params) if databases else cohort.load(params).recordings
    study = not databases and out == DATA / "stops"  # elsewhere nothing may go because it is of another study
    ledger = None if databases or again else Ledger(out.with_name(f".{out.name}"), out, params)
    process.keep_memory(below=2**23)  # positions and lists of pages are larger, and should not stay
    with alone(out), reading("stops") as progress:
        others: Literal["refuse", "remove"] = "remove" if study else "refuse"
        quality = module.stops(recordings, out, params, workers, progress, ledger, others)
    words = number_of(int(quality["n_stops"].sum()), "stop"), number_of(quality.height, "sample")
    show.say(f"{' of '.join(words)} in {number_of(len(recordings), 'recording')}: {out}")


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

    params = load(params_file, study=False)
    for path in module.plot(cohort.find_recording(recording, params), animal, interval, out, params):
        print(path)
