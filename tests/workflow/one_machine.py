"""A Slurm cluster that is this machine alone, for as long as a test needs it."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

# Where each job looks, as Snakemake's plugin takes SLURM_CONF away from it.
CONFIG = Path("/etc/slurm/slurm.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo", "scontrol")
NODE_LOST_SECONDS = 10

TEMPLATE = """\
ClusterName=one
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
ReturnToService=2
SlurmdTimeout={lost}
# How long squeue knows of a job that has ended.
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Why this machine cannot be a cluster, if it cannot."""
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"needs Slurm (Debian's slurmctld, slurmd, slurm-client, munge): no {missing[0]}"
    if os.geteuid():
        return "needs to be root, as which slurmd runs"
    return f"{CONFIG} is there: this machine has a cluster already" if CONFIG.exists() else None


class Cluster:
    """The daemons of a cluster, whose files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("state", "spool"):
            (folder / name).mkdir()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        text = TEMPLATE.format(
            host=socket.gethostname().split(".")[0],
            folder=folder,
            cpus=os.cpu_count(),
            memory=memory * 3 // 4,
            lost=NODE_LOST_SECONDS,
        )
        CONFIG.write_text(text)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log"}
        options = [f"--{option}={folder}/munge.{end}" for option, end in files.items()]
        # --force: pytest's folders may be written to by a group.
        run("munged", "--force", f"--seed-file={folder}/munge.seed", *options)
        run("slurmctld")
        self.start_node()

    def start_node(self) -> None:
        """Start the machine as a node, and wait until it takes jobs."""
        run("slurmd")
        wait_for(lambda: output("sinfo", "-h", "-o", "%T") in ("idle", "mixed", "allocated"))

    def kill_node(self) -> None:
        """What happens when a machine loses its power: slurmd and all that its jobs do is gone."""
        self._kill("slurmd")
        for steps in processes("slurmstepd"):
            kill_tree(steps)

    def stop(self) -> None:
        self.kill_node()
        for name in ("slurmctld", "munge"):
            self._kill(name)
        CONFIG.unlink()

    def _kill(self, name: str) -> None:
        pid = int((self.folder / f"{name}.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{pid}").exists())


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def wait_for(condition, seconds: float = 60) -> None:
    """Wait until a condition holds; TimeoutError if it never does."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"after {seconds} s: {output('sinfo')} {output('squeue')}")
        time.sleep(0.2)


def processes(name: str) -> list:
    import psutil

    return [process for process in psutil.process_iter(["name"]) if process.info["name"] == name]


def kill_tree(process) -> None:
    """Kill a process with all that it has started."""
    for one in [process, *process.children(recursive=True)]:
        one.kill()
