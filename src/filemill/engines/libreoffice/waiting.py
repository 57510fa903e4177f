"""A process that waits, started, for its one document.

A second start of LibreOffice on the same profile hands its arguments to the first through a
socket, and so do we. Measured (CPU from the document's arrival to the result, docx/xlsx/csv/pptx
to PDF): 165/150/95/200 ms against 434/361/292/402 ms cold; with the start itself 25% less in all,
as none waits for its tidy exit. One that has rehearsed: 75/55/20/60 ms.

It ends with its last document; an empty one that stays open keeps it. That must be there from the
start: a headless process opens none later (IpcThread::process).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from filemill.engine import Command, Standby
from filemill.engines.libreoffice import profile, rehearsal
from filemill.engines.libreoffice.program import ENVIRONMENT, START, installed


def standby() -> Standby:
    """A process that waits for the arguments of a second one (desktop/source/app/
    officeipcthread.cxx)."""
    waiting = (*START, "--nodefault")
    command = Command(waiting, env=ENVIRONMENT, files=profile.files(*installed()))
    return Standby(
        command=command,
        lasting=replace(command, argv=(*waiting, "private:factory/swriter")),
        rehearsal=rehearsal.work(),
        sockets=socket_paths,
        ready=b"InternalIPC::SendArguments\0",
        request=ipc_request,
        done=b"InternalIPC::ProcessingDone\0",
    )


def socket_paths(directory: Path, uid: int) -> tuple[str, ...]:
    """Where LibreOffice listens: the name is the MD5 of its profile's URL in UTF-16, in
    hexadecimal digits without leading zeros; before it the user id, if it has a name."""
    url = f"file://{quote(str(directory.resolve()))}/profile"
    digest = hashlib.md5(url.encode("utf-16-le"), usedforsecurity=False).digest()
    name = f"SingleOfficeIPC_{''.join(f'{byte:x}' for byte in digest)}"
    return f"/tmp/OSL_PIPE_{name}", f"/tmp/OSL_PIPE_{uid}_{name}"  # noqa: S108


def ipc_request(argv: tuple[str, ...]) -> bytes:
    arguments = (argument for argument in argv[1:] if not argument.startswith("-env:"))
    escaped = (argument.replace("\\", "\\\\").replace(",", "\\,") for argument in arguments)
    return f"InternalIPC::Arguments0,{','.join(escaped)}\0".encode()
