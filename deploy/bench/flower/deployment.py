"""Runs rounds.py in a deployment of Flower on this machine: a SuperLink and as many SuperNodes as the plan has
clients, all as processes and as they come, without TLS.

    GLASSHOUSE_ROUNDS='{... as for rounds.py ..., "limit": 240, "ports": [FIRST, ...]}' python deployment.py

Ends after `limit` seconds, whatever has been measured by then, and everything that it started with it. Ports: the
SuperLink's, then one for each SuperNode.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = pathlib.Path(sys.executable).parent
PAUSE = 0.2  # seconds between looks at what cannot be waited for


def started(words, environment, log):
    # A group of its own: what it starts ends with it.
    return subprocess.Popen(
        [str(PROGRAMS / words[0]), *words[1:]],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(plan, place, log, processes):
    end = time.monotonic() + plan["limit"]
    link, *nodes = plan["ports"]
    (place / "config.toml").write_text(
        f'[superlink]\ndefault = "bench"\n[superlink.bench]\naddress = "127.0.0.1:{link}"\ninsecure = true\n'
    )
    environment = {
        **os.environ,
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "FLWR_HOME": str(place),
        "FLWR_TELEMETRY_ENABLED": "0",
    }

    def start(*words):
        processes.append(started(words, environment, log))
        return processes[-1]

    superlink = start(
        "flower-superlink", "--insecure", "--port", str(link), "--disable-runtime-dependency-installation"
    )
    while not listens(link):
        if superlink.poll() is not None or time.monotonic() > end:
            sys.exit("the SuperLink does not come up")
        time.sleep(PAUSE)
    for number, port in enumerate(nodes):
        start(
            "flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{link}", "--port", str(port),
            "--node-config", f"partition-id={number}",
        )
    app = place / "app"
    app.mkdir()
    for name in ("pyproject.toml", "rounds.py"):
        shutil.copy(HERE / name, app)
    running = start("flwr", "run", str(app), "bench", "--stream")
    done = place / "done"
    while not done.exists() and running.poll() is None and time.monotonic() < end:
        time.sleep(PAUSE)
    if not done.exists() and running.poll() not in (None, 0):
        sys.exit("`flwr run` failed")


def main():
    plan = json.loads(os.environ["GLASSHOUSE_ROUNDS"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    processes = []
    with tempfile.TemporaryDirectory() as folder, open(plan["log"], "w") as log:
        plan["done"] = str(pathlib.Path(folder) / "done")
        os.environ["GLASSHOUSE_ROUNDS"] = json.dumps(plan)
        try:
            run(plan, pathlib.Path(folder), log, processes)
        finally:
            for process in processes:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()


if __name__ == "__main__":
    main()
