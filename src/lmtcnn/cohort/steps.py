"""The steps that follow a new manifest."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lmtcnn.core.params import Params


def after_init(
    params: Params, params_file: Path, databases: Path, manifest: Path, labels: Sequence[str]
) -> Iterator[str]:
    """Yield the steps that follow a new manifest; none of them would change a study which has one of its own.

    Parameters
    ----------
    params, params_file
        The parameters of the study in the current folder, and the file that they were read from.
    databases
        Folder of the databases that the manifest lists.
    manifest
        The manifest that was written.
    labels
        Its label columns.

    Yields
    ------
    A step in words.
    """
    yield "fill in its empty columns (cage: a name for the animals housed together)"
    if not params_file.exists():
        yield f"new animals for a model: lmtcnn predict {databases} --cohort {manifest} --model FOLDER"
        yield "a study of their own: `lmtcnn init my-study` makes its folder, and says what comes next"
        return
    others = [label for label in labels if label not in params.labels]
    named = Path(params.cohort.databases), Path(params.cohort.manifest)
    is_of_study = [path.resolve() for path in named] == [path.resolve() for path in (databases, manifest)]
    if not is_of_study and not params.simulates:
        yield f"new animals for a model: lmtcnn predict {databases} --cohort {manifest}"
        changes = f"cohort.databases: {databases}, cohort.manifest: {manifest}"
        yield f"a study of their own: a copy of {params_file} with {changes}"
        yield f"{params_file} itself is that of {named[1]}, and stays"
        return
    if not is_of_study:
        yield f"in {params_file}: cohort.databases: {databases}, cohort.manifest: {manifest}"
        yield f"in {params_file}: histograms.interval_s and train.lr, the values for real recordings"
    if others:
        yield f"in {params_file}: classes that name the values of {', '.join(others)}"
    yield "lmtcnn cohort check && dvc repro"
