"""What is compared, found or set up: two virtual environments, smtp-server, Postfix's test programs.

Everything that is set up goes into ``build/bench``, is kept for the next run, and leaves the system as
it was. What cannot be had is noted and left out of the comparison.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import trustme

__all__ = ["OLD", "Environment", "place", "prepare"]

ROOT = Path(__file__).resolve().parent.parent
OLD = "1.4.6"
_SMTP_SERVER = "3.21.6"
# smtp-sink and smtp-source are in none of the folders that the search path of a user has.
_SYSTEM_FOLDERS = f"{os.defpath}:/usr/sbin:/usr/local/sbin:/usr/libexec/postfix"


@dataclass
class Environment:
    """What there is to compare with.

    Attributes:
        folder: where all is set up.
        new: the Python that imports aiosmtpd from this tree.
        old: the Python that imports aiosmtpd 1.4.6, or None.
        sink: Postfix's ``smtp-sink``, or None.
        source: Postfix's ``smtp-source``, or None.
        node: Node, or None; it is there only if nodemailer's ``smtp-server`` is there too.
        uvloop: whether both Pythons have uvloop.
        certificate: a PEM file with a certificate and its key.
        server_core: the core that servers are kept on, or None for any.
        variables: the environment variables of the servers and of ``smtp-source``.
        versions: what was found, by name.
        notes: what is left out, and why.
    """

    folder: Path
    new: Path
    certificate: Path
    old: Path | None = None
    sink: Path | None = None
    source: Path | None = None
    node: Path | None = None
    uvloop: bool = False
    server_core: int | None = None
    variables: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def prepare(folder: Path = ROOT / "build" / "bench") -> Environment:
    """Set up what is not there yet, and tell what there is.

    Raises:
        subprocess.CalledProcessError: not even an environment for this tree can be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    certificate = folder / "certificate.pem"
    trustme.CA().issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        certificate
    )
    # It would have every server import the package from one place.
    os.environ.pop("PYTHONPATH", None)
    environment = Environment(folder, _make_venv(folder, "new"), certificate)
    site = _run(environment.new, "-c", "import site; print(site.getsitepackages()[0])")
    Path(site, "aiosmtpd-tree.pth").write_text(f"{ROOT / 'src'}\n")
    _add_old(environment)
    _add_uvloop(environment)
    _add_postfix(environment)
    _add_node(environment)
    environment.versions["Python"] = _run(environment.new, "-V").removeprefix("Python ")
    environment.versions["aiosmtpd"] = _version_of(environment.new, "aiosmtpd")
    return environment


def place(environment: Environment) -> None:
    """Keep the servers on one core, and this process with all other children on another.

    Where the system places them as it likes, a message costs a third more or less by whether the two
    happen to share a core, and that may stay so for a whole scenario.
    """
    if sys.platform != "linux":
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        environment.notes.append("There is one core only, which servers and clients share")
        return
    environment.server_core = cores[0]
    os.sched_setaffinity(0, {cores[-1]})


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    return subprocess.run(
        command, cwd=cwd, check=True, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ).stdout.strip()


def _make_venv(parent: Path, name: str) -> Path:
    folder = parent / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        _run(sys.executable, "-m", "venv", folder)
    return python


def _imports(python: Path, package: str) -> bool:
    command = (python, "-c", f"import {package}")
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _version_of(python: Path, package: str) -> str:
    return _run(python, "-c", f"import {package}; print({package}.__version__)")


def _pip_install(python: Path, package: str) -> None:
    _run(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", package)


def _add_old(environment: Environment) -> None:
    try:
        python = _make_venv(environment.folder, "old")
        if not _imports(python, "aiosmtpd"):
            _pip_install(python, f"aiosmtpd=={OLD}")
    except subprocess.CalledProcessError:
        environment.notes.append(f"aiosmtpd {OLD} is left out: pip cannot install it")
    else:
        environment.old = python
        environment.versions[f"aiosmtpd {OLD}"] = _version_of(python, "aiosmtpd")


def _add_uvloop(environment: Environment) -> None:
    pythons = [python for python in (environment.new, environment.old) if python is not None]
    try:
        for python in pythons:
            if not _imports(python, "uvloop"):
                _pip_install(python, "uvloop")
    except subprocess.CalledProcessError:
        environment.notes.append("uvloop is left out: pip cannot install it")
    else:
        environment.uvloop = True
        environment.versions["uvloop"] = _version_of(environment.new, "uvloop")


def _add_postfix(environment: Environment) -> None:
    folder = environment.folder / "postfix"
    if not _find_postfix(environment, _SYSTEM_FOLDERS):
        unpacked = f"{folder}/usr/sbin"
        if not _find_postfix(environment, unpacked):
            _unpack_postfix(folder)
            _find_postfix(environment, unpacked)
        libraries = [folder / "usr/lib/postfix", *folder.glob("usr/lib/*-linux-gnu*")]
        environment.variables["LD_LIBRARY_PATH"] = ":".join(map(str, libraries))
    if environment.source is None:
        environment.notes.append(
            "Postfix (Debian package postfix) is neither here nor to be had: smtp-sink is left out, "
            "and the load comes from the client of bench/client.py alone"
        )


def _find_postfix(environment: Environment, folders: str) -> bool:
    sink, source = (shutil.which(name, path=folders) for name in ("smtp-sink", "smtp-source"))
    if sink is None or source is None:
        return False
    environment.sink, environment.source = Path(sink), Path(source)
    return True


def _unpack_postfix(folder: Path) -> None:
    """Fetch Debian's package and what it needs, and unpack without installing them.

    To install it would replace the mail server of this machine, or start one.
    """
    if shutil.which("apt-get") is None:
        return
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    fetch = ["apt-get", "-qq", "-y", "-o", "Debug::NoLocking=1", "--no-install-recommends"]
    fetch += ["-o", f"Dir::Cache::archives={archives}", "--download-only", "install", "postfix"]
    if subprocess.run(fetch, check=False, capture_output=True).returncode != 0:
        # The list of packages may be old, or not there; only root can renew it.
        subprocess.run(["apt-get", "-qq", "update"], check=False, capture_output=True)
        subprocess.run(fetch, check=False, capture_output=True)
    for archive in archives.glob("*.deb"):
        _run("dpkg", "-x", archive, folder)


def _add_node(environment: Environment) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    folder = environment.folder / "node"
    package = folder / "node_modules" / "smtp-server"
    if node is None or npm is None:
        environment.notes.append("smtp-server is left out: there is no Node with npm")
        return
    if not package.exists():
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n')
        try:
            _run(npm, "install", "--silent", f"smtp-server@{_SMTP_SERVER}", cwd=folder)
        except subprocess.CalledProcessError:
            environment.notes.append("smtp-server is left out: npm cannot install it")
            return
    environment.node = Path(node)
    environment.variables["SMTP_SERVER"] = str(package)
    environment.versions["Node"] = _run(node, "--version").removeprefix("v")
    environment.versions["smtp-server"] = _SMTP_SERVER
