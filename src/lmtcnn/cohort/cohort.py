"""Who is who: a study's recordings and samples, from its manifest or from files alone."""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lmtcnn.cohort import manifest as manifests
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.errors import CohortError, listed, problem
from lmtcnn.core.params import Definitions, Params
from lmtcnn.lmt.files import find


@dataclass(frozen=True)
class Excluded:
    """A row that the manifest leaves out: its recording, its RFID, and the files of that recording."""

    recording: str
    rfid: str
    files: tuple[Path, ...]

    @property
    def words(self) -> str:
        """The row as it is told: `recording, RFID`."""
        return f"{self.recording}, {self.rfid}"


@dataclass(frozen=True)
class Cohort:
    """A study's recordings and samples, in order of recording and RFID, and what its manifest excludes."""

    recordings: tuple[Recording, ...]
    samples: tuple[Sample, ...]
    excluded: tuple[Excluded, ...] = ()

    @property
    def cages(self) -> tuple[str, ...]:
        """Cages, sorted."""
        return tuple(sorted({sample.cage for sample in self.samples}))


def load(params: Params) -> Cohort:
    """Read the cohort that params.yaml names; see `read`."""
    return read(Path(params.cohort.manifest), Path(params.cohort.databases), params)


def read(manifest: Path, databases: Path, params: Definitions) -> Cohort:
    """Read a manifest (CSV or TSV; commas, semicolons or tabs; BOM and CRLF accepted).

    Raises CohortError with one line a problem.
    """
    cohort, problems = understand(manifest, databases, params)
    if problems:
        raise CohortError(problems)
    return cohort


def read_new(manifest: Path, databases: Path, params: Definitions) -> Cohort:
    """Read a manifest that may lack all label columns: its samples then have no label, and no class."""
    header = {name.strip() for name in manifests.read_table(manifest)[0]}
    if not header & set(params.labels):
        params = params.model_copy(update={"classes": {}})
    return read(manifest, databases, params)


def understand(manifest: Path, databases: Path, params: Definitions) -> tuple[Cohort, list[str]]:
    """Read a manifest as far as it can be understood, and return it with a line for each of its problems."""
    problems: list[str] = []
    samples: list[Sample] = []
    excluded = []
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    everyone: dict[str, set[str]] = defaultdict(set)
    for where, row, lacking in manifests.read_rows(manifest, params):
        name = row["recording"]
        everyone[name].add(row["rfid"])
        faults, leave_out = manifests.is_excluded(where, row)
        problems += faults
        if leave_out:
            excluded.append(Excluded(name, row["rfid"], manifests.files_of(databases, row)))
            continue
        faults, sample = manifests.sample_of(where, row, lacking, params)
        problems += faults
        if name:
            rows[name].append(row)
        if sample:
            samples.append(sample)
    if not rows and not problems:
        do = f"put LMT databases into {databases}, run `lmtcnn cohort init {databases}`, fill in what it leaves empty"
        problems.append(problem(manifest, "a row for each animal of each recording", "none", do))
    problems += manifests.doubled(manifest, samples)
    recordings = []
    for name, own in sorted(rows.items()):
        faults, recording = manifests.recording_of(manifest, own, databases, params)
        problems += faults
        if recording:
            known = {sample.rfid: sample for sample in samples if sample.recording == name}
            others = frozenset(everyone[name] - set(known))  # left out, or not understood
            recordings.append(replace(recording, samples=known, excluded=others))
    problems += manifests.shared_files(manifest, recordings)
    ordered = sorted(samples, key=lambda sample: (sample.recording, sample.rfid))
    left_out = sorted(excluded, key=lambda each: (each.recording, each.rfid))
    return Cohort(tuple(recordings), tuple(ordered), tuple(left_out)), _by_rows(problems)


def _by_rows(problems: Iterable[str]) -> list[str]:
    """Tell in one line what is wrong with several rows alike, such as those of a template that nobody filled in."""
    rows: dict[tuple[str, str], list[str]] = {}
    for line in problems:
        found = re.fullmatch(r"(.*?: )row (\d+)(: .*)", line)
        before, number, after = found.groups() if found else (line, "", "")
        rows.setdefault((before, after), []).append(number)
    return [
        f"{before}row{'s' * (len(numbers) > 1)} {listed(numbers)}{after}" if numbers[0] else before
        for (before, after), numbers in rows.items()
    ]


def unlisted(paths: Iterable[Path], params: Definitions) -> list[Recording]:
    """Find recordings without a manifest, each a database, named by its stem, in which every animal counts.

    Raises CohortError where two have one stem.
    """
    named: dict[str, list[Path]] = defaultdict(list)
    for path in find(paths):
        named[path.stem].append(path)
    if doubled := {stem: ", ".join(map(str, alike)) for stem, alike in named.items() if len(alike) > 1}:
        raise CohortError(problem(stem, "one database of this name", both, "rename") for stem, both in doubled.items())
    return [Recording(stem, (path,), params.stops.arena) for stem, (path,) in named.items()]


def find_recording(name: str, params: Params) -> Recording:
    """Find a recording by the path of its database, or by its name in the study's manifest, with all of its files.

    A name wins over a path only where no such file is there. Raises CohortError where `name` is neither, with the names
    that are in the manifest, or where the manifest cannot be read.
    """
    path, manifest = Path(name), Path(params.cohort.manifest)
    if path.is_file() or not manifest.is_file():
        (recording,) = unlisted([path], params)
        return recording
    known = {recording.name: recording for recording in load(params).recordings}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)[:3]
    expected = f"a database, or a recording of {manifest} such as {', '.join(near)}"
    raise CohortError(problem(name, expected, "neither", "correct the name"))
