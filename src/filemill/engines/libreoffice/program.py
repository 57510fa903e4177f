"""The program on this host: where it is, which one, and how it is started."""

from __future__ import annotations

import configparser
import functools
import itertools
import shutil
from pathlib import Path

HERE = "/proc/self/cwd"
"""LibreOffice only knows absolute names. This one holds wherever the private directory is, and
leads there even when the folders above it are closed to the user it runs as."""
# No PATH: it would ask gpgconf, gpg and paperconf things that do not matter here.
ENVIRONMENT = {
    "HOME": HERE,
    "TMPDIR": HERE,
    "LC_ALL": "C.UTF-8",
    "PATH": "/nonexistent",
    "SAL_USE_VCLPLUGIN": "svp",
}
START = (
    "soffice",
    "--headless",
    "--norestore",
    "--nolockcheck",
    f"-env:UserInstallation=file://{HERE}/profile",
)


def find() -> Path | None:
    """`soffice.bin` itself: its wrapper scripts only add a process that must be killed too."""
    folders = [Path(folder) for folder in ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt")]
    found = itertools.chain.from_iterable(
        sorted(folder.glob("libreoffice*/program/soffice.bin"), reverse=True) for folder in folders
    )
    if wrapper := shutil.which("soffice"):
        found = itertools.chain([Path(wrapper).resolve().with_name("soffice.bin")], found)
    return next((path for path in found if path.is_file()), None)


@functools.cache
def installed() -> tuple[str, str]:
    """(major.minor, build id) of the program that `find` finds: a property of the host."""
    if (program := find()) is None:
        return "", ""
    ini = configparser.ConfigParser(interpolation=None, strict=False)
    ini.read([program.with_name("bootstraprc"), program.with_name("versionrc")])
    product = ini.get("Bootstrap", "ProductKey", fallback="")
    return product.rpartition(" ")[2], ini.get("Version", "buildid", fallback="")
