"""A SLURM cluster of one node for a test: the daemons of Debian's packages, started as root and stopped again.

A machine that already belongs to a cluster is never touched: `reason_against` says so, and the test is skipped.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CONFIGURATION = Path("/etc/slurm")  # jobs look for it here: Snakemake's plugin hides SLURM_CONF from them
PROGRAMS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "slurmctld", "slurmd", "munged")
SECONDS_TO_START = 30

# Memory and cores are only counted, so the node may claim more than the machine has.
SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=1
MinJobAge=300
ReturnToService=2
SlurmdParameters=config_overrides
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 CoresPerSocket=16 RealMemory=128000 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


def reason_against() -> str | None:
    """Why no cluster can be started here, or None if one can."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=_path()) is None]
    if missing:
        return f"{', '.join(missing)} not found (Debian: apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "starting a cluster needs root"
    own = [name for name in ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JOB_ID") if name in os.environ]
    own += [str(path) for path in (CONFIGURATION / "slurm.conf", Path("/run/slurm/conf")) if path.exists()]
    if own:
        return f"this machine belongs to a cluster of its own ({own[0]})"
    if _succeeds(["scontrol", "ping"]):
        return "a slurmctld answers here"
    return None if Path("/etc/munge/munge.key").exists() else "munge has no key"


@contextmanager
def one_node_cluster(folder: Path) -> Iterator[None]:
    """A running cluster with the partitions cpu and gpu; its state lies in `folder`, its daemons end with it."""
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    with ExitStack() as stack:
        stack.enter_context(_configuration(SLURM_CONF.format(host=host, folder=folder)))
        if not _succeeds(["munge", "--no-input"]):
            stack.enter_context(_munge(folder))
        stack.enter_context(_daemon(["slurmctld", "-D", "-c"], folder / "slurmctld.log"))
        stack.enter_context(_daemon(["slurmd", "-D", "-N", host], folder / "slurmd.log"))
        _wait_until(["srun", "--time=1", "true"], folder)
        yield


@contextmanager
def _configuration(text: str) -> Iterator[None]:
    """The files of /etc/slurm for as long as the block runs; files of others are never overwritten."""
    CONFIGURATION.mkdir(exist_ok=True)
    written = []
    try:
        for name, content in (("slurm.conf", text), ("cgroup.conf", "CgroupAutomount=no\n")):
            with open(CONFIGURATION / name, "x", encoding="utf-8") as file:
                written.append(CONFIGURATION / name)
                file.write(content)
        yield
    finally:
        for path in written:
            path.unlink()


@contextmanager
def _munge(folder: Path) -> Iterator[None]:
    """The daemon that signs messages, as its own user: it refuses to run as root."""
    sockets = Path("/run/munge")
    made = not sockets.exists()
    sockets.mkdir(mode=0o755, exist_ok=True)
    shutil.chown(sockets, "munge", "munge")
    try:
        as_munge = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
        with _daemon([*as_munge, "munged", "--foreground"], folder / "munged.log"):
            _wait_until(["munge", "--no-input"], folder)
            yield
    finally:
        if made:
            shutil.rmtree(sockets)


@contextmanager
def _daemon(command: list[str], log: Path) -> Iterator[None]:
    """A program that runs for as long as the block."""
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=_environment(), start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until(command: list[str], folder: Path) -> None:
    """Wait until `command` succeeds, at most SECONDS_TO_START."""
    end = time.monotonic() + SECONDS_TO_START
    while not _succeeds(command):
        if time.monotonic() > end:
            logs = "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in sorted(folder.glob("*.log")))
            raise RuntimeError(f"{command[0]} does not answer after {SECONDS_TO_START} s\n{logs}")
        time.sleep(0.5)


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, env=_environment(), check=False).returncode == 0


def _path() -> str:
    """PATH with the folders where Debian puts daemons."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": _path()}
