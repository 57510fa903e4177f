"""LibreOffice without its guards: the same conversion, where macros run and links are followed.

Two guards stop macros, each alone: the settings, and that `--convert-to` lets none run whatever
they say. So without the second a macro of our own converts, from a library in the profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from filemill.engine import Command, Task, Work
from samples.macros import listed, module

_REGISTRY = "profile/user/registrymodifications.xcu"
_BASIC = "profile/user/basic"
_ITEM = (
    '<item oor:path="/org.openoffice.{}"><prop oor:name="{}" oor:op="fuse"><value>{}</value>'
    "</prop></item>\n"
)
_ALLOWED = (
    ("Office.Common/Security/Scripting", "MacroSecurityLevel", "0"),
    ("Office.Writer/Content/Update", "Link", "0"),
    ("Office.Calc/Content/Update", "Link", "0"),
)
_CONVERT = """Sub Main
    On Error Resume Next
    Dim opened(5) As New com.sun.star.beans.PropertyValue
    opened(0).Name = "FilterName"
    opened(0).Value = "{read}"
    opened(1).Name = "FilterOptions"
    opened(1).Value = "{read_options}"
    opened(2).Name = "MacroExecutionMode"
    opened(2).Value = com.sun.star.document.MacroExecMode.ALWAYS_EXECUTE_NO_WARN
    opened(3).Name = "UpdateDocMode"
    opened(3).Value = com.sun.star.document.UpdateDocMode.FULL_UPDATE
    opened(4).Name = "Hidden"
    opened(4).Value = {hidden}
    opened(5).Name = "Silent"
    opened(5).Value = True
    Dim stored(1) As New com.sun.star.beans.PropertyValue
    stored(0).Name = "FilterName"
    stored(0).Value = "{write}"
    stored(1).Name = "FilterOptions"
    stored(1).Value = "{write_options}"
    document = StarDesktop.loadComponentFromURL("{input}", "_blank", 0, opened())
    createUnoService("com.sun.star.awt.Toolkit").processEventsToIdle()
    {update}
    {called}
    document.storeToURL("file:///proc/self/cwd/{output}", stored())
    StarDesktop.terminate()
End Sub
"""
_REFRESH = """areas = document.AreaLinks
    For at = 0 To areas.Count - 1
        areas.getByIndex(at).refresh()
    Next
    document.calculateAll()"""
_CALL = """address = "vnd.sun.star.script:{}?language=Basic&location=document"
    document.getScriptProvider().getScript(address).invoke(Array(), Array(), Array())"""


def settings(work: Work) -> Work:
    """With a profile that forbids nothing."""
    kept = (
        line
        for line in _files(work)[_REGISTRY].split(b"\n")
        if not any(guard in line for guard in (b"Security", b"Content/Update", b"VBA"))
    )
    return _with(_placing(work, {_REGISTRY: b"\n".join(kept)}), *_ALLOWED)


def command(task: Task, work: Work, call: str = "") -> Work:
    """With a command that lets the document's macros run, and follows its links, if the profile
    does. `call`: a macro of the document to run, `Library.Module.Name`."""
    macro = "macro:///Standard.Convert.Main"
    processes = tuple(
        replace(process, argv=(*process.argv[: _at(process)], macro), standby=False)
        if isinstance(process, Command)
        else process
        for process in work.processes
    )
    named = 'library:name="Standard" xlink:href="$(USER)/basic/Standard/script.xlb/" '
    library = {
        f"{_BASIC}/script.xlc": listed(
            "libraries", f'<library:library {named}xlink:type="simple" library:link="false"/>'
        ),
        f"{_BASIC}/Standard/script.xlb": listed(
            "library",
            '<library:element library:name="Convert"/>',
            'library:name="Standard" library:readonly="false" library:passwordprotected="false"',
        ),
        f"{_BASIC}/Standard/Convert.xba": module("Convert", _converting(task, work, call)),
    }
    placed = {name: text.encode() for name, text in library.items()}
    # Else the first start would put an empty library in its place.
    return _with(
        _placing(replace(work, processes=processes), placed),
        ("Setup/Office", "ooSetupInstCompleted", "true"),
    )


def _at(process: Command) -> int:
    """Where the conversion begins in its arguments."""
    return next(at for at, word in enumerate(process.argv) if word.startswith("--infilter="))


def _converting(task: Task, work: Work, call: str) -> str:
    (convert,) = (process for process in work.processes if isinstance(process, Command))
    read, _, read_options = convert.argv[_at(convert)].partition("=")[2].partition(":")
    to = convert.argv[convert.argv.index("--convert-to") + 1]
    write, _, write_options = to.partition(":")[2].partition(":")
    # Without its window files Calc dies when it shows a sheet, and it needs none to compute one;
    # the event of a text or a presentation is for those that are shown.
    hidden = task.source in ("xlsx", "xls", "ods", "csv", "tsv")
    return _CONVERT.format(
        read=read,
        read_options=read_options,
        hidden=hidden,
        update=_REFRESH if hidden else "document.updateLinks()",
        called=_CALL.format(call) if call else "",
        write=write,
        write_options=write_options.replace('"', '""'),
        input=convert.argv[-1],
        output=work.outputs[0],
    )


def _with(work: Work, *items: tuple[str, str, str]) -> Work:
    added = "".join(_ITEM.format(*item) for item in items) + "</oor:items>"
    whole = _files(work)[_REGISTRY].replace(b"</oor:items>", added.encode())
    return _placing(work, {_REGISTRY: whole})


def _files(work: Work) -> Mapping[str, bytes]:
    """Those of its LibreOffice."""
    (command,) = (process for process in work.processes if isinstance(process, Command))
    return command.files


def _placing(work: Work, files: Mapping[str, bytes]) -> Work:
    """The same with more of them."""
    processes = (
        replace(process, files={**process.files, **files})
        if isinstance(process, Command)
        else process
        for process in work.processes
    )
    return replace(work, processes=tuple(processes))
