"""A study by two people on a real server: PostgreSQL, an S3 store and logins; lost, and restored from its backup.

    python proof/server.py

Needs PostgreSQL's programs (Debian: apt install postgresql), and `pip install 'lmtcnn[server]' 'moto[server]'` in the
environment. `mlops/server/serve.sh` is what is started. One member trains and evaluates, another registers and
predicts; a login that is missing, wrong or not allowed, and a server that is down, are told in a line. Then databases
and bucket are dumped, emptied and restored by the commands of mlops/README.md, and the prediction is the same.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import boto3
import requests

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-c", "from lmtcnn.cli import main; main()"]
SMALL = (
    ("cages: 12 ", "cages: 4 "),
    ("tiles: 30 ", "tiles: 10 "),
    ("channels: 16 ", "channels: 2 "),
    ("epochs: 20 ", "epochs: 2 "),
    ("seeds: [0, 1, 2] ", "seeds: [0] "),
)
PASSWORD = "a p@ss%w/rd:"
LOGINS = {"admin": "admin-password-123", "ada": "ada-password-123", "bob": "bob-password-123"}
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "lab"


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def programs() -> Path:
    """The folder of PostgreSQL's programs."""
    found = shutil.which("initdb") or max(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default="")
    if not found:
        sys.exit("proof/server.py: expected PostgreSQL's programs, found none; apt install postgresql")
    return Path(found).parent


def as_owner() -> dict[str, object]:
    """PostgreSQL does not run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}


@contextmanager
def started(command: list[str], environment: Mapping[str, str], log: Path, **how: object) -> Iterator[None]:
    """A server in a group of processes of its own, ended at the end."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            env={**environment},
            stdout=out,
            stderr=out,
            start_new_session=True,
            **how,  # type: ignore[call-overload]
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGINT)  # PostgreSQL's fast shutdown
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def postgres(folder: Path, log: Path) -> Iterator[str]:
    """A cluster with the databases `mlflow` and `mlflow_auth`; gives the first one's address, with options."""
    owner, port, place = as_owner(), free_port(), folder / "postgres"
    place.mkdir()
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if owner:
        known = pwd.getpwnam("postgres")
        for path in (place, secret):
            os.chown(path, known.pw_uid, known.pw_gid)
    init = ["-D", str(place), "-U", "mlflow", "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync"]
    subprocess.run([programs() / "initdb", *init], check=True, capture_output=True, cwd="/", **owner)  # type: ignore[call-overload]
    options = ["-D", str(place), "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(place), "-F"]
    with started([str(programs() / "postgres"), *options], os.environ, log, cwd="/", **owner):
        url = f"postgresql+psycopg2://mlflow:a%20p%40ss%25w%2Frd%3A@127.0.0.1:{port}/mlflow?sslmode=prefer&connect_timeout=10"
        os.environ.update(PGHOST="127.0.0.1", PGPORT=str(port), PGUSER="mlflow", PGPASSWORD=PASSWORD)
        until(lambda: subprocess.run(["pg_isready"], check=True, capture_output=True))
        for name in ("mlflow", "mlflow_auth"):
            subprocess.run(["createdb", name], check=True)
        yield url


def until(works: object, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            works()  # type: ignore[operator]
        except (OSError, subprocess.CalledProcessError):
            if time.monotonic() > end:
                raise
            time.sleep(0.3)
        else:
            return


def lmtcnn(folder: Path, login: str | None, *arguments: str, fails: bool = False, **environment: str) -> str:
    """Run a command as a member; returns what it prints, or with `fails` its one line of error."""
    own = {"MLFLOW_TRACKING_USERNAME": login, "MLFLOW_TRACKING_PASSWORD": LOGINS[login]} if login else {}
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, **own, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if fails:
        assert done.returncode == 2, done
        assert len(done.stderr.splitlines()) == 1, done.stderr
        return done.stderr.strip()
    assert done.returncode == 0, done.stderr
    assert "not logged" not in done.stderr, done.stderr
    return done.stdout


def project(folder: Path) -> Path:
    """A small simulated study, as far as the trackers have nothing to do with it."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for old, new in SMALL:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    folder.mkdir()
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    (folder / "dvc.yaml").write_text("stages: {}\n")
    shutil.copytree(ROOT / "mlops", folder / "mlops")
    for stage in ("simulate", "stops", "histograms"):
        lmtcnn(folder, None, stage)
    return folder


def refusals(study: Path, uri: str) -> None:
    """A login that is missing or wrong, and a server that is down."""
    told = {
        "no login": lmtcnn(study, None, "track", "--compare", "1", fails=True),
        "wrong password": lmtcnn(
            study, "ada", "track", "--compare", "1", fails=True, MLFLOW_TRACKING_PASSWORD="wrong-wrong-wrong"
        ),
    }
    begin = time.monotonic()
    told["down"] = lmtcnn(
        study, "ada", "track", "--compare", "1", fails=True, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{free_port()}"
    )
    took_s = time.monotonic() - begin
    print(*(f"{what}: {line}" for what, line in told.items()), sep="\n")
    assert "(401); set MLFLOW_TRACKING_USERNAME" in told["no login"]
    assert "(401); correct MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_PASSWORD" in told["wrong password"]
    assert "no answer" in told["down"]
    assert not [line for line in told.values() for word in LOGINS.values() if word in line]
    assert took_s < 10, f"told after {took_s:.1f} s"
    print(f"a down server is told after {took_s:.1f} s, the start of Python included ({uri} is up)")


def backup(folder: Path, s3: object) -> None:
    """As mlops/README.md says: the runs' database first, then what they point to."""
    for name in ("mlflow", "mlflow_auth"):
        subprocess.run(["pg_dump", "--format=custom", f"--file={folder / name}.dump", name], check=True)
    for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):  # type: ignore[attr-defined]
        path = folder / "bucket" / item["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(BUCKET, item["Key"], str(path))  # type: ignore[attr-defined]


def lose(s3: object) -> None:
    """Both databases and everything in the bucket."""
    for name in ("mlflow", "mlflow_auth"):
        subprocess.run(["dropdb", "--force", name], check=True)
    for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):  # type: ignore[attr-defined]
        s3.delete_object(Bucket=BUCKET, Key=item["Key"])  # type: ignore[attr-defined]


def restore(folder: Path, s3: object) -> None:
    for name in ("mlflow", "mlflow_auth"):
        subprocess.run(["createdb", name], check=True)
        subprocess.run(["pg_restore", "--exit-on-error", f"--dbname={name}", f"{folder / name}.dump"], check=True)
    for path in (folder / "bucket").rglob("*"):
        if path.is_file():
            key = path.relative_to(folder / "bucket").as_posix()
            s3.upload_file(str(path), BUCKET, key)  # type: ignore[attr-defined]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="lmtcnn-proof-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's user goes through it
        os.environ.update(KEYS)
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{programs()}:{os.environ['PATH']}"
        s3_port, port = free_port(), free_port()
        moto = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(s3_port)]
        with postgres(folder, folder / "postgres.log") as database, started(moto, os.environ, folder / "s3.log"):
            s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{s3_port}")
            until(lambda: requests.get(f"http://127.0.0.1:{s3_port}", timeout=5))
            s3.create_bucket(Bucket=BUCKET)
            settings = {
                **os.environ,
                "DATABASE_URI": database,
                "ARTIFACTS": f"s3://{BUCKET}/artifacts",
                "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{s3_port}",
                "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key for a proof",
                "MLFLOW_AUTH_ADMIN_PASSWORD": LOGINS["admin"],
                "PORT": str(port),
            }
            prove(folder, settings, f"http://127.0.0.1:{port}", s3)


def prove(folder: Path, settings: Mapping[str, str], uri: str, s3: object) -> None:
    os.environ.update(MLFLOW_TRACKING_URI=uri, XDG_CACHE_HOME=str(folder / "cache"))
    study, kept, serve = (
        project(folder / "study"),
        folder / "backup",
        ["sh", str(ROOT / "mlops" / "server" / "serve.sh")],
    )
    kept.mkdir()
    new = next(study.glob("data/simulate/*.sqlite"))
    with started(serve, settings, folder / "server.log"):
        until(lambda: requests.get(f"{uri}/health", timeout=5))
        for name in ("ada", "bob"):
            login = {"username": name, "password": LOGINS[name]}
            admin = ("admin", LOGINS["admin"])
            requests.post(f"{uri}/api/2.0/mlflow/users/create", json=login, auth=admin, timeout=60).raise_for_status()
        refusals(study, uri)
        lmtcnn(study, "ada", "train")
        lmtcnn(study, "ada", "evaluate")
        lmtcnn(study, "bob", "register")
        before = lmtcnn(study, "bob", "predict", str(new), "--json")
        backup(kept, s3)
    lose(s3)
    restore(kept, s3)
    shutil.rmtree(folder / "cache")
    with started(serve, settings, folder / "server.log"):
        until(lambda: requests.get(f"{uri}/health", timeout=5))
        assert lmtcnn(study, "bob", "predict", str(new), "--json") == before
        lmtcnn(study, "ada", "track")
    n_files = sum(path.is_file() for path in (kept / "bucket").rglob("*"))
    print(f"one member trained and evaluated, another registered and predicted; restored: 2 databases, {n_files} files")


if __name__ == "__main__":
    main()
