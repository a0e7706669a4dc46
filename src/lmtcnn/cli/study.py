"""Commands on a study: how it begins, its stages from histograms to report, and its results as tables and figures."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lmtcnn.cli import show
from lmtcnn.cli.app import DATA, PARAMS, ParamsFile, alone, app, load, logged
from lmtcnn.cli.progress import progress_of
from lmtcnn.core.words import number_of

if TYPE_CHECKING:
    from lmtcnn.core.params import Params


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(help="Folder of the new study; made where it is not there.", readable=False)
    ],
    demo: Annotated[bool, typer.Option("--demo", help="Simulate its recordings, in hours of 20 s.")] = False,
) -> None:
    """Begin a study: write its parameters, its stages and its README into a folder.

    Example: lmtcnn init my-study

    Example: lmtcnn init --demo my-demo
    """
    from lmtcnn.study import study

    in_new_repository = study.init(folder, demo=demo)
    with_git = ", in a git repository of its own without a commit yet" if in_new_repository else ""
    print(f"{folder}: a study of {'simulated mice' if demo else 'your recordings'}{with_git}. Next:")
    for number, step in enumerate(study.steps(folder, demo=demo), start=1):
        print(f"  {number}. {step}")


@app.command()
def histograms(params_file: ParamsFile = PARAMS) -> None:
    """Count the stops in a grid for each interval: a stack of histograms for each sample.

    Example: lmtcnn histograms
    """
    from lmtcnn.cohort import cohort
    from lmtcnn.histograms import histograms as module
    from lmtcnn.timeline.counted import counted_words

    params = load(params_file)
    with alone(DATA / "histograms"):
        index = module.histograms(cohort.load(params), DATA / "stops", DATA / "histograms", params)
    settings = params.histograms
    size = f"{len(settings.counted)} x {settings.tiles} x {settings.tiles}"
    counted = f", {words}" if (words := counted_words(settings)) else ""
    show.say(f"{number_of(index.height, 'stack')} of {size}{counted}: {DATA / 'histograms'}")


@app.command()
def train(
    fold: Annotated[str | None, typer.Option(help="Only the fold of this cage, into data/train/folds/.")] = None,
    params_file: ParamsFile = PARAMS,
) -> None:
    """Train the network, one cage held out at a time, and once on all cages.

    Example: lmtcnn train --fold cage01
    """
    from lmtcnn.train import train as module

    params = load(params_file)
    started_s = time.time()
    with alone(DATA / "train" / "folds" / fold if fold else DATA / "train"):
        with progress_of("train") as progress:
            summary = module.train(DATA, params, fold, progress)
        if not fold:
            logged(lambda tracking: tracking.log_train(DATA, params, started_s))
    networks = number_of(1 if fold else len(summary["folds"]), "fold"), number_of(len(summary["seeds"]), "seed")
    show.say(f"{' x '.join(networks)} on {number_of(summary['n_samples'], 'sample')}: {DATA / 'train'}")


@app.command()
def evaluate(
    params_file: ParamsFile = PARAMS,
    against: Annotated[
        str | None,
        typer.Option(help="Only compare with another study of the same samples: its folder data, or its run's id."),
    ] = None,
) -> None:
    """Score the held-out predictions beside the simple methods and the paper, and say how sure that is.

    Example: lmtcnn evaluate

    Example: lmtcnn evaluate --against ../nights/data
    """
    from lmtcnn.evaluate import evaluate as module

    params = load(params_file)
    if against is not None:
        for line in _compare(against, params):
            show.say(line)
        return
    with alone(DATA / "evaluate"):
        metrics = module.evaluate(DATA, params)
        logged(lambda tracking: tracking.log_evaluate(DATA, params))
    show.show_metrics(metrics, params)


def _compare(other: str, params: "Params") -> list[str]:
    """Compare this study's networks with those of another study's folder, or of a run."""
    from lmtcnn.core.records import find_training
    from lmtcnn.evaluate import against
    from lmtcnn.evaluate.predicted import read_training
    from lmtcnn.histograms import record

    _, index = record.load(DATA / "histograms", params)
    ours, _ = read_training(find_training(DATA, params), index, params)
    if not other.strip():
        raise typer.BadParameter("a folder or the id of a run, not an empty name", param_hint="--against")
    if Path(other).exists():
        theirs = against.read(Path(other), tuple(params.classes))
    else:
        from lmtcnn.tracking import runs

        theirs = runs.predictions_of(other)
    against.refuse_itself(ours, theirs, other)
    return against.against(ours, theirs, params.evaluate.matches_within, other).lines


@app.command()
def explain(
    recording: Annotated[str | None, typer.Argument(help="Why one animal of this recording is told as it is.")] = None,
    animal: Annotated[str | None, typer.Argument(help="Which animal: its number, or its RFID.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the picture of one animal.")] = DATA / "plot",
    params_file: ParamsFile = PARAMS,
) -> None:
    """Show where and when classes differ, what the networks use, and mean activation maps; or why one animal is told.

    Example: lmtcnn explain

    Example: lmtcnn explain cage01_adult 2
    """
    from lmtcnn.explain import explain as module

    params = load(params_file)
    if recording is not None:
        if animal is None:
            raise typer.BadParameter("an animal of the recording: its number, or its RFID", param_hint="ANIMAL")
        from lmtcnn.explain.animal import explain_animal

        said, path = explain_animal(DATA, params, recording, animal, out)
        print("\n".join(said))
        show.say(str(path))
        return
    with alone(DATA / "explain"):
        module.explain(DATA, params)
        logged(lambda tracking: tracking.log_explain(DATA, params))
    show.say(f"where, when, and what the networks use: {DATA / 'explain'}")


@app.command()
def maps(
    out: Annotated[Path, typer.Argument(help="The figure's file: .png, .svg or .pdf.")],
    channel: Annotated[
        list[str] | None, typer.Option(help="3x3/04, again for more; without, where classes differ most.")
    ] = None,
    class_: Annotated[list[str] | None, typer.Option("--class", help="A class, again for more; without, all.")] = None,
    title: Annotated[str, typer.Option(help="What stands above the figure; nothing by default.")] = "",
    crosses: Annotated[bool, typer.Option(help="Mark where a class departs most.")] = True,
    params_file: ParamsFile = PARAMS,
) -> None:
    """Draw the maps of chosen channels and classes as a figure for a paper, from what `explain` left.

    Example: lmtcnn maps figure3.pdf --channel 3x3/04 --class AM --class AF
    """
    from lmtcnn.explain import paper as module

    print(module.paper_figure(DATA, load(params_file), out, channel or [], class_ or [], title, crosses=crosses))


@app.command()
def report(params_file: ParamsFile = PARAMS) -> None:
    """Write the study's page: data/report/index.html.

    Example: lmtcnn report
    """
    from lmtcnn.report import report as module

    with alone(DATA / "report"):
        params = load(params_file)
        page = module.report(DATA, params)
        logged(lambda tracking: tracking.log_report(DATA, params))
    show.say(str(page))


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

    with alone(out), progress_of("export") as progress:
        paths = module.export(DATA, out, load(params_file), stops=stops, progress=progress)
    for path in paths:
        print(path)


@app.command()
def upgrade() -> None:
    """Accept this program's revisions of the stages for the study in the current folder.

    Example: lmtcnn upgrade
    """
    from lmtcnn.core import revisions
    from lmtcnn.study import study

    others, replaced = study.upgrade(Path())
    for new, old in replaced.items():
        print(f"{new}: now this program's; that of an older one is kept as {old}")
    if others:
        print(f"{revisions.FILE}: `dvc repro` now reruns {', '.join(others)} and what comes after")
    else:
        print(f"{revisions.FILE}: the study has this program's revisions already")
