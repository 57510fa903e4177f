"""The `filemill` command. What is for programs goes to standard output, the rest to standard error.

Imports are late where they are heavy: `convert`, `formats` and `doctor` load no server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import filemill
from filemill import terminal
from filemill.errors import BadOptions, BadRequest, Cancelled, FilemillError, UnsupportedRoute
from filemill.filename import clean
from filemill.terminal import print_json, tell

app = typer.Typer(
    help="Convert files: documents, pictures, sound, video, data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
keys = typer.Typer(help="API keys of the server.", no_args_is_help=True)
app.add_typer(keys, name="keys")

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def version(asked: bool) -> None:
    if asked:
        typer.echo(filemill.__version__)
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any.")] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Ask for no key; only on a loopback address.")
    ] = False,
) -> None:
    """Start the server."""
    from filemill import app as server

    with failures():
        server.serve(host=host, port=port, no_auth=no_auth)


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file.")],
    target: Annotated[str, typer.Argument(help="The format wanted: pdf, jpg, mp3, ...")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="File or folder; - is standard output.", allow_dash=True
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="NAME=VALUE; see `formats SOURCE`. Can be repeated."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Its format, when its content and name do not show it.")
    ] = None,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace a file.")] = False,
    as_json: Json = False,
) -> None:
    """Convert a file here, without a server."""
    from filemill import local
    from filemill.workshop import Workshop

    if as_json and output == local.STDOUT:
        raise typer.BadParameter("--json needs standard output for itself", param_hint="-o")
    with failures(as_json=as_json):
        workshop = Workshop.here()
        with terminal.progress(f"{clean(file.name)} to {target}") as report:
            done = local.convert(
                workshop,
                file,
                target,
                output=output,
                options=pairs(option or ()),
                source=source,
                force=force,
                report=report,
            )
        if as_json:
            print_json(done.to_json())
            return
        where = "standard output" if done.path == local.STDOUT else str(done.path)
        tell(f"{where}: {terminal.size(done.size)}, {done.seconds:.1f} s, verified")
        for line in (*done.plan.notes, *(f"Not kept: {loss}" for loss in done.plan.losses)):
            tell(line)


@app.command()
def formats(
    source: Annotated[str | None, typer.Argument(help="Show what this one can become.")] = None,
    as_json: Json = False,
) -> None:
    """List the formats that this host converts."""
    from filemill import catalogue
    from filemill.formats import by_name
    from filemill.workshop import Workshop

    with failures(as_json=as_json):
        graph = Workshop.here().graph
        if source:
            found = catalogue.targets(graph, by_name(source).id)
            if not found["targets"]:
                raise UnsupportedRoute(f"Nothing on this host reads {found['source']}.")
            print_json(found) if as_json else terminal.show_targets(found)
        else:
            print_json(catalogue.formats(graph)) if as_json else terminal.show_formats(graph)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show what works on this host, and try to break out of the sandbox."""
    from filemill.doctor import examine
    from filemill.workshop import Workshop

    with failures(as_json=as_json):
        diagnosis = examine(Workshop.here())
    print_json(diagnosis.to_json()) if as_json else terminal.show_diagnosis(diagnosis)
    raise typer.Exit(0 if diagnosis.usable else 1)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Whose it is; for your eyes.")],
    plan: Annotated[str, typer.Option(help="Decides its limits.")] = "unlimited",
) -> None:
    """Make a key. It is printed this once."""
    from filemill.keyring import open_keys

    with failures(), open_keys() as store:
        typer.echo(store.create(name, plan))


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the keys, and how their secrets begin."""
    from filemill.keyring import open_keys

    with failures(as_json=as_json), open_keys() as store:
        found = store.list()
    if as_json:
        rows = [asdict(key) | {"secrets": [*map(asdict, known)]} for key, known in found.items()]
        print_json({"keys": rows})
    else:
        terminal.show_keys(found)


@keys.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="Its id or name.")]) -> None:
    """End a key at once."""
    from filemill.keyring import open_keys

    with failures(), open_keys() as store:
        store.revoke(key)
    tell(f"revoked: {clean(key)}")


@keys.command("rotate")
def rotate_key(key: Annotated[str, typer.Argument(help="Its id or name.")]) -> None:
    """Replace a key's secret. The new one is printed this once."""
    from filemill.keyring import open_keys

    with failures(), open_keys() as store:
        typer.echo(store.rotate(key))


@contextmanager
def failures(*, as_json: bool = False) -> Iterator[None]:
    """Ends the command on an error: 2 for what was asked wrongly, 1 for what went wrong."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (FilemillError, OSError) as error:
        told = error if isinstance(error, FilemillError) else FilemillError(str(error))
        if isinstance(told, UnsupportedRoute) and "/v1/" in (told.hint or ""):
            told.hint = (
                "`filemill formats` lists the formats, `filemill formats FORMAT` its targets."
            )
        if as_json:
            print_json({"error": told.to_json()})
        else:
            tell(f"error: {told.message}")
            if told.hint:
                tell(f"hint: {told.hint}")
        match told:
            case Cancelled():
                code = 130
            case BadOptions() | BadRequest() | UnsupportedRoute():
                code = 2
            case _:
                code = 1
        raise typer.Exit(code) from None


def pairs(options: Sequence[str]) -> dict[str, str]:
    given = {}
    for option in options:
        name, sign, value = option.partition("=")
        if not (name and sign):
            raise BadRequest(f"Not an option: {option!r}.", hint="Write --option NAME=VALUE.")
        given[name.strip()] = value
    return given
