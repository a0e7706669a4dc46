"""How many requests `lmtcnn serve` answers: requests/s, p50, p99, processor time and memory with 1, 4 and 16 clients.

    python benchmarks/serving.py [--workers 2] [--seconds 10] [--stops 1300] [--model FOLDER_OR_ADDRESS]

Without a model, one of full size is made (72 intervals of an hour, 30 x 30 tiles, 3 networks of 16 channels a branch,
untrained: that changes no time). A request is one animal with so many stops, as JSON (`dataframe_split`); a client is
a thread of another process that sends one after the other over one connection. Every answer must be 200.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from threading import Thread

import psutil

from lmtcnn.bundle import bundle
from lmtcnn.core.params import load
from lmtcnn.core.sections import dump
from lmtcnn.histograms.stack import floor_of
from lmtcnn.train.model import StereotypeCNN, initialise, join

COMMAND = [sys.executable, "-c", "from lmtcnn.cli import main; main()"]
HOUR_S = 3600.0


def make_bundle(folder: Path) -> None:
    """Networks of full size, and a model.json of the parameters beside this file."""
    params = load(Path(__file__).parent.parent / "params.yaml")
    histograms = {**dump(params.histograms), "interval_s": HOUR_S}
    architecture = {
        "members": len(params.train.seeds),
        "intervals": params.histograms.intervals,
        "tiles": params.histograms.tiles,
        "classes": len(params.classes),
        "kernels": list(params.train.kernels),
        "channels": params.train.channels,
        "pool": params.train.pool,
    }
    meta = {
        "format": bundle.FORMAT,
        **{key: dump(params)[key] for key in bundle.DEFINITIONS},
        "histograms": histograms,
        "architecture": architecture,
        "train": dump(params.train),
        "simulated": True,
        "inputs": {},
        **{key: [] for key in ("samples", "animals", "held_out")},
        "floor_cm": list(floor_of(params.stops.arena)),
        "cohort_statistics": {name: [0.0, 1e9] for name in bundle.WORDS},
    }
    networks = {seed: StereotypeCNN(**{**architecture, "members": 1}) for seed in params.train.seeds}
    for seed, network in networks.items():
        initialise(network, seed)
    bundle.write(bundle.Bundle(join(networks), meta), folder)


def request(n_stops: int, length_s: float) -> bytes:
    rng = random.Random(0)
    starts = [*sorted(rng.uniform(0, length_s) for _ in range(n_stops - 1)), 0.99 * length_s]
    rows = [["cage01", 1, start_s, rng.uniform(1, 60), rng.uniform(0, 50), rng.uniform(0, 50)] for start_s in starts]
    columns = ["recording", "animal_id", "start_s", "duration_s", "x_cm", "y_cm"]
    return json.dumps({"dataframe_split": {"columns": columns, "data": rows}}).encode()


def clients(port: int, n: int, seconds: float, body: bytes, out: multiprocessing.Queue) -> None:
    """So many threads that ask one after the other; puts the seconds of each answer."""
    took: list[float] = []
    end = time.monotonic() + seconds

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < end:
            begin = time.monotonic()
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(content)
            took.append(time.monotonic() - begin)

    threads = [Thread(target=ask) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    out.put(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--stops", type=int, default=1300)
    parser.add_argument("--model")
    chosen = parser.parse_args()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        if not chosen.model:
            make_bundle(Path(name))
        told = ["--model", chosen.model or name, "--port", str(port), "--workers", str(chosen.workers)]
        with subprocess.Popen([*COMMAND, "serve", *told], stdout=subprocess.DEVNULL) as server:
            try:
                measure(server, port, chosen)
            finally:
                server.terminate()


def measure(server: subprocess.Popen, port: int, chosen: argparse.Namespace) -> None:
    body = request(chosen.stops, 72 * HOUR_S)
    while True:
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=5).request("GET", "/ping")
            break
        except OSError:
            if server.poll() is not None:
                sys.exit("the server has ended")
            time.sleep(0.2)
    out: multiprocessing.Queue = multiprocessing.Queue()
    print(
        f"{chosen.workers} workers, {os.cpu_count()} cores, {chosen.stops} stops ({len(body) / 1000:.0f} kB) a request"
    )
    print(
        "| clients | requests/s | p50, ms | p99, ms | processor, ms a request | memory, MB |\n|---|---|---|---|---|---|"
    )
    for n in (1, 1, 4, 16):  # the first time to warm up
        processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
        busy_s = sum(sum(p.cpu_times()[:2]) for p in processes)
        sender = multiprocessing.Process(target=clients, args=(port, n, chosen.seconds, body, out))
        begin = time.monotonic()
        sender.start()
        took = out.get(timeout=chosen.seconds + 120)
        passed_s = time.monotonic() - begin
        sender.join()
        own_ms = 1000 * (sum(sum(p.cpu_times()[:2]) for p in processes) - busy_s) / len(took)
        memory = sum(p.memory_info().rss for p in processes) / 1e6
        cuts = quantiles(took, n=100)
        numbers = (len(took) / passed_s, 1000 * cuts[49], 1000 * cuts[98])
        print(f"| {n} | {' | '.join(f'{x:.0f}' for x in numbers)} | {own_ms:.0f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
