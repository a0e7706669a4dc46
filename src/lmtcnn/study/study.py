"""A study of one's own: the files that it begins with, written into a folder.

There is one template, and in a clone of the program it is the clone's own top level, which is the demo: `FILES` and
`DEMO` name its files, and pyproject.toml packs the same ones into the wheel. What differs in a study of real recordings
is derived from it.
"""

import logging
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from lmtcnn.core import revisions
from lmtcnn.core.errors import OutputError, problem
from lmtcnn.core.files import ensure_folder, write_bytes
from lmtcnn.core.revisions import PIPELINE

FILES = (
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    "constraints.txt",
    "dvc.yaml",
    "mlops/README.md",
    "mlops/lmtcnn-serve.service",
    "mlops/promotion.py",
    "mlops/serve.sh",
    "mlops/server/.env.example",
    "mlops/server/Dockerfile",
    "mlops/server/Dockerfile.dockerignore",
    "mlops/server/auth.py",
    "mlops/server/compose.yaml",
    "mlops/server/serve.sh",
    "mlops/slurm/folds.sbatch",
    "params.yaml",
    "revisions.yaml",
)
"""Files of every study."""

DEMO = ("data/dvc.yaml",)
"""Files of a demo alone: the stage that simulates its cohort."""

PARAMS, CONFIG, README = "params.yaml", ".dvc/config", "README.md"
RECORDINGS, MANIFEST = "data/raw", "data/cohort.csv"
"""Where params.yaml of a study of real recordings looks for them."""

EMPTY_MANIFEST = b"recording,rfid,cage,sex,age,files\n"
"""A manifest that lists nobody yet; `lmtcnn cohort init` puts rows in its place."""

_REAL = re.compile(
    r"^(?P<key> *\w+: )(?P<demo>[^#\n]+? +)# (?P<said>[^\n]*?); (?:real recordings|one's own): (?P<real>[^\s,;]+)",
    re.MULTILINE,
)
"""A line of params.yaml whose comment says the value for real recordings."""

_OF_DEMO = re.compile(r"^#\n# The demo [^\n]*\n(?:# [^\n]+\n)*", re.MULTILINE)
"""The paragraph at the top of params.yaml that is about the demo."""


def init(folder: Path, *, demo: bool = False) -> bool:
    """Write the files of a new study; run again, it writes those that are lacking.

    Nothing is overwritten. The study belongs to the git repository around the folder; where there is none and git is
    installed, the folder becomes one; without git, DVC is told to do without.

    Parameters
    ----------
    folder : Path
        Where the study is to lie; made where it is not there.
    demo : bool
        Whether its recordings are simulated, in hours of 20 s. Without, its parameters are the paper's, and its
        recordings are looked for in data/raw and listed in data/cohort.csv.

    Returns
    -------
    bool
        Whether a git repository was made.

    Raises
    ------
    OutputError
        Where a file of another content is in the way (nothing has been written then), or the folder cannot be written
        or is ignored by git.
    ModuleNotFoundError
        Where DVC is not installed.
    """
    import dvc.repo  # noqa: F401 - before anything is written

    content = contents(demo=demo)
    _refuse_others(folder, content)
    ensure_folder(folder)
    git = shutil.which("git")
    made = bool(git) and not _in_repository(folder)
    if git and made:
        _run(git, folder, "init", "--quiet")
    if not git:
        content[CONFIG] = _without_git(content[CONFIG])
    _init_dvc(folder, with_git=bool(git))
    for name, text in content.items():
        write_bytes(folder / name, text)
        if text.startswith(b"#!"):
            _make_executable(folder / name)
    if not demo:
        ensure_folder(folder / RECORDINGS)
        if not (folder / MANIFEST).exists():
            write_bytes(folder / MANIFEST, EMPTY_MANIFEST)
    return made


def upgrade(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Accept this program's revisions of the stages for a study, and its stages where they are of an older program.

    Stages of programs without revisions depended on the program's source files, so they run in no other place; theirs
    are kept under another name.

    Parameters
    ----------
    folder : Path
        The study's folder, that with dvc.yaml.

    Returns
    -------
    list of str
        Stages whose results `dvc repro` makes again.
    dict of str to str
        The files that were replaced, and where the old ones are kept.

    Raises
    ------
    OutputError
        Where the folder holds no study, or cannot be written.
    """
    if not (folder / PIPELINE).is_file():
        do = "run in the folder of a study; `lmtcnn init FOLDER` begins one"
        raise OutputError(problem(folder / PIPELINE, "the stages of a study", "no file", do))
    replaced = {}
    for name in (PIPELINE, *DEMO):
        path = folder / name
        if path.is_file() and revisions.FILE.name.encode() not in (old := path.read_bytes()):
            kept = path.with_name("dvc.old.yaml")
            write_bytes(kept, old)
            write_bytes(path, (template() / name).read_bytes())
            replaced[name] = kept.relative_to(folder).as_posix()
    return revisions.upgrade(folder / revisions.FILE), replaced


def steps(folder: Path, *, demo: bool) -> Iterator[str]:
    """Yield the steps that follow a new study."""
    if shutil.which("lmtcnn") is None:
        yield f"put {Path(sys.executable).parent} on your PATH: `dvc repro` looks for `lmtcnn` there"
    if folder.resolve() != Path.cwd():
        yield f"cd {shlex.quote(str(folder))}"
    if not demo:
        yield f"put your LMT databases (.sqlite) into {RECORDINGS}"
        yield f"lmtcnn cohort init {RECORDINGS}, which writes {MANIFEST}; fill in its empty columns"
        yield "lmtcnn cohort check"
    yield "dvc repro"


def contents(*, demo: bool) -> dict[str, bytes]:
    """Return the files of a new study, path in its folder -> bytes, and a README.md of its own."""
    names = FILES + DEMO if demo else FILES
    found = {name: (template() / name).read_bytes() for name in names}
    if not demo:
        found[PARAMS] = for_real_recordings(found[PARAMS].decode()).encode()
    readme = Path(__file__).with_name("demo.md" if demo else "study.md")
    return {**found, README: readme.read_bytes()}


def template() -> Path:
    """Return the folder with the template: packed beside this module, else the clone that this module runs from."""
    packed = Path(__file__).with_name("template")
    return packed if packed.is_dir() else Path(__file__).parents[3]


def for_real_recordings(params: str) -> str:
    """Write the demo's params.yaml for recordings of real length: the values that its comments name for these.

    Parameters
    ----------
    params : str
        Text of the demo's params.yaml, with lines such as `lr: 0.1  # a rate; real recordings: 0.001 [paper]`.

    Returns
    -------
    str
        The same text with these values, `lr: 0.001  # a rate [paper]`, and without what it says of the demo.
    """

    def line(found: re.Match[str]) -> str:
        return f"{found['key']}{found['real']:<{len(found['demo']) - 1}} # {found['said']}"

    return _REAL.sub(line, _OF_DEMO.sub("", params))


def _refuse_others(folder: Path, content: Mapping[str, bytes]) -> None:
    """Raise OutputError in one line where a file of the study is there with another content."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(problem(folder, "a folder, or nothing yet", "a file", "name another folder"))
    others = []
    for name, wanted in content.items():
        path = folder / name
        try:
            if path.is_symlink() or path.exists():
                same = path.read_bytes() in (wanted, _without_git(wanted) if name == CONFIG else wanted)
                others += [] if same else [name]
        except OSError:  # a folder in its place, or a file that may not be read: another one at any rate
            others.append(name)
    if others:
        do = "name an empty folder, or move these files away: nothing is overwritten"
        raise OutputError(problem(folder, "no files of another study", ", ".join(others), do))


def _in_repository(folder: Path) -> bool:
    """Whether git knows a repository at a folder or around it."""
    return any((place / ".git").exists() for place in (folder.resolve(), *folder.resolve().parents))


def _init_dvc(folder: Path, *, with_git: bool) -> None:
    """Let DVC make its folder, where there is none."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if (folder / ".dvc").is_dir():
        return
    logging.getLogger("dvc").setLevel(logging.WARNING)  # it would tell of its own next steps
    try:
        Repo.init(str(folder), no_scm=not with_git, subdir=with_git).close()
    except DvcException as error:
        found = " ".join(str(error).split())
        raise OutputError(problem(folder, "a folder for DVC", found, "name another folder")) from error


def _run(program: str, folder: Path, *arguments: str) -> None:
    """Run a program in a folder; raises OutputError with its last words where it fails."""
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        found = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        command = f"{Path(program).name} {' '.join(arguments)}"
        raise OutputError(problem(folder, f"`{command}` to succeed", found, "name another folder"))


def _without_git(config: bytes) -> bytes:
    """Return DVC's configuration for a study outside of git."""
    return config.replace(b"[core]\n", b"[core]\n    no_scm = true\n")


def _make_executable(path: Path) -> None:
    """Let everybody run a file who may read it."""
    mode = path.stat().st_mode
    path.chmod(mode | (mode & 0o444) >> 2)
