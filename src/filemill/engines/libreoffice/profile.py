"""A profile that looks as if it had been used before, and in which nothing hostile runs."""

from __future__ import annotations

_APPS = ("Writer", "Calc", "Impress")
_SETTINGS: tuple[tuple[str, str, str], ...] = (
    ("Setup/L10N", "ooLocale", "en-US"),
    ("Setup/Office", "ooSetupInstCompleted", "true"),  # else 40 files of presets are copied
    ("Office.Common/Misc", "FirstRun", "false"),
    ("Office.Common/Misc", "UseOpenCL", "false"),
    ("Office.Common/Save/Document", "AutoSave", "false"),
    ("Office.Recovery/RecoveryInfo", "Enabled", "false"),
    ("Office.Java/VirtualMachine", "Enable", "false"),
    # Hostile documents: nothing of them runs, nothing outside of them is fetched.
    ("Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("Office.Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("Office.Common/Security/Scripting", "DisableActiveContent", "true"),
    ("Office.Common/Security/Scripting", "DisableOLEAutomation", "true"),
    *((f"Office.{app}/Filter/Import/VBA", "Load", "false") for app in _APPS),
    ("Office.Writer/Content/Update", "Link", "2"),
    ("Office.WriterWeb/Content/Update", "Link", "2"),
    ("Office.Calc/Content/Update", "Link", "2"),
)
_CALCULATING = tuple(
    ("Office.Calc/Formula/Load", f"{kind}RecalcMode", "0") for kind in ("OOXML", "ODF")
)
_PROFILE = "profile/user"


def files(
    version: str, build_id: str, locale: str = "", *, calculate: bool = False
) -> dict[str, bytes]:
    """By name, in the private directory. `version` is major.minor. Without a `locale` the
    paper is the process's own: A4 in the C locale. `calculate`: every formula, whatever result the
    file has of it."""
    settings = (
        *_SETTINGS,
        *(_CALCULATING if calculate else ()),
        ("Setup/Product", "ooSetupLastVersion", version),
        ("Setup/L10N", "ooSetupSystemLocale", locale),
    )
    items = "".join(
        f'<item oor:path="/org.openoffice.{path}"><prop oor:name="{name}" oor:op="fuse">'
        f"<value>{value}</value></prop></item>\n"
        for path, name, value in settings
    )
    registry = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<oor:items xmlns:oor="http://openoffice.org/2001/registry"'
        f' xmlns:xs="http://www.w3.org/2001/XMLSchema">\n{items}</oor:items>\n'
    )
    return {
        f"{_PROFILE}/registrymodifications.xcu": registry.encode(),
        f"{_PROFILE}/extensions/buildid": build_id.encode(),
        f"{_PROFILE}/extensions/bundled/lastsynchronized": b"1",
        f"{_PROFILE}/extensions/shared/lastsynchronized": b"1",
    }
