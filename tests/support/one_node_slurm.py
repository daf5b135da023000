"""A real Slurm of one node, for a test: own key, own ports, own folder, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
PATIENCE = 60.0  # seconds for anything that Slurm does; it mostly takes one

CONFIGURATION = """
ClusterName=soak
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits until its old credential is void: by default two minutes.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# More processors than there may be: four tasks are to run side by side.
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MailProg=/usr/bin/true
SchedulerParameters=sched_interval=1,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=10 State=UP
"""


def unusable() -> str:
    """Why no Slurm can be started here; "" if one can."""
    missing = [name for name in (*DAEMONS, "sbatch", "scontrol") if _find(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (packages slurm-wlm and munge)"
    return "" if os.geteuid() == 0 else "its daemons need root"


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def wait(what: Callable[[], bool], whom: str, patience: float = PATIENCE) -> None:
    """Until something is so; AssertionError when it does not come."""
    until = time.monotonic() + patience
    while not what():
        assert time.monotonic() < until, f"{whom}: nothing within {patience:g} s"
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Cluster:
    """Started on entering, ended on leaving."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemons: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes Slurm's commands talk to this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self) -> Cluster:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        try:
            self._start_munge()
            self._start_slurm()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed"}
        options = [f"--{name}={self.folder}/munge.{end}" for name, end in places.items()]
        options.append(f"--log-file={self.folder}/munge.log")
        self._start("munged", "--foreground", "--force", *options)
        wait((self.folder / "munge.socket").exists, "munged")

    def _start_slurm(self) -> None:
        host = socket.gethostname().partition(".")[0]
        controller, daemon = _free_ports(2)
        text = CONFIGURATION.format(
            host=host, controller=controller, daemon=daemon, folder=self.folder
        )
        (self.folder / "slurm.conf").write_text(text)
        self._start("slurmctld", "-D", "-c")
        self._start("slurmd", "-D", "-N", host)
        wait(lambda: "State=IDLE" in self.command("scontrol", "show", "node"), "the node")

    def _start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.out").open("wb") as output:
            process = subprocess.Popen(
                [str(_find(name)), *arguments],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._daemons.append(process)

    def _stop(self) -> None:
        if (self.folder / "slurm.conf").exists():
            self.command("scancel", "--user=root", "--signal=KILL")
        for process in reversed(self._daemons):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def command(self, *words: str) -> str:
        """The output of one of Slurm's commands; "" while it fails."""
        done = subprocess.run(
            words,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return done.stdout if done.returncode == 0 else ""

    def state(self, job: str) -> Mapping[str, str]:
        """What Slurm knows of a job, or of a task of an array."""
        words = self.command("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def ended(self, jobs: Sequence[str]) -> bool:
        """Whether all of them have come to their end."""
        done = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        return all(self.state(job).get("JobState") in done for job in jobs)
