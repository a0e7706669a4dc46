"""Commands on models: register, list and promote them, predict with them, serve them."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lmtcnn.cli import show
from lmtcnn.cli.app import DATA, PARAMS, AsJson, ParamsFile, alone, app, load, logged
from lmtcnn.cli.progress import reading
from lmtcnn.core import process
from lmtcnn.core.errors import BatchError, ParamsError, problem
from lmtcnn.core.words import number_of

if TYPE_CHECKING:
    from lmtcnn.predictions.prediction import Prediction


@app.command()
def register(params_file: ParamsFile = PARAMS) -> None:
    """Bundle the networks that see all cages, and register them as champion or challenger.

    Example: lmtcnn register
    """
    from lmtcnn.tracking import checks

    checks.check_answers()  # before the longer imports
    from lmtcnn.register import register as module

    with alone(DATA / "register"):
        registration = module.register(DATA, load(params_file))
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
        found = f"{version} --back" if version else "neither"
        raise ParamsError(problem("lmtcnn promote", "a version's number or --back", found, "name one of them"))
    print(module.promote(version))


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
    from lmtcnn.tracking import checks

    checks.check_answers()  # before the longer imports
    from lmtcnn.register import register as registry
    from lmtcnn.tracking import client

    if compare:
        print(client.compare_url(client.latest_parents(compare)))
        return
    with alone(DATA / "register"):
        for line in registry.track(DATA, load(params_file)):
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
    as_json: AsJson = False,
    force: Annotated[bool, typer.Option(help="Answer for recordings of another length too.")] = False,
    explain: Annotated[
        Path | None,
        typer.Option(help="Folder for a picture of each animal: why this class."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Recordings read at once.", min=1)] = process.cores(),
) -> None:
    """Tell the class of every animal in new recordings.

    Example: lmtcnn predict new.sqlite --out predictions.csv

    Example: lmtcnn predict new.sqlite --explain reasons
    """
    if model is None or model.startswith("models:/"):
        from lmtcnn.tracking import checks

        checks.check_answers()  # before the longer imports
    from lmtcnn.bundle import bundle
    from lmtcnn.core.files import no_empty_folders
    from lmtcnn.predictions import labelled, prediction
    from lmtcnn.predictions import predict as module
    from lmtcnn.register import lookup

    if out:
        prediction.check_out(out)
    started_s = time.time()
    source = lookup.resolve(model)
    served = bundle.read(source.folder)
    answering = prediction.Model.of(served, source.uri, source.version, source.run, source.date)
    known = labelled.find(databases, cohort, served)
    answered = {}
    with no_empty_folders(*([explain] if explain else [])), reading("predict") as progress:
        if explain:
            from lmtcnn.predictions.reasons import Explainer

            answered["answered"] = Explainer(served, explain).explain
        predictions, failed = module.predict(
            known.recordings, served, force=force, workers=workers, progress=progress, model=answering, **answered
        )
    if predictions or not failed:  # where nothing could be told, nothing is written
        _tell(predictions, served.classes, answering.line, out, explain, as_json=as_json)
    if cohort and (score := labelled.score(predictions, known, served)):
        merits = (cohort, score.metrics, score.table, served.classes, source.uri)
        logged(lambda tracking: tracking.log_cohort(*merits, simulated=score.simulated, started_s=started_s))
        show.show_score(score, served.classes, to_stderr=as_json)
    if failed:
        raise BatchError(failed)


def _tell(
    predictions: "list[Prediction]",
    classes: tuple[str, ...],
    caption: str,
    out: Path | None,
    explain: Path | None,
    *,
    as_json: bool,
) -> None:
    """Write predictions into a file and show them, and say on stderr what was written."""
    from lmtcnn.predictions import prediction

    if out:
        prediction.save(predictions, classes, out)
    if as_json:
        print(prediction.to_json(predictions), end="")
    elif predictions:
        show.show_predictions(predictions, classes, caption)
    if out:
        show.say(f"{number_of(len(predictions), 'animal')}: {out}")
    if explain:
        show.say(f"why each of {number_of(len(predictions), 'animal')} is told so: {explain}")


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
