"""DuckDB: one that sees this directory only, its SQL, and its errors in our words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filemill.errors import EngineError, FileInvalid, FilemillError, LimitExceeded
from filemill.formats.table import FORMATS


def connect(threads: int = 1) -> Any:
    """A DuckDB that sees the current directory and nothing else, and uses 400 MB."""
    import duckdb

    here = str(Path.cwd())
    connection = duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": "400MB",
            "temp_directory": f"{here}/spill{os.getpid()}",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        }
    )
    connection.execute(
        f"SET TimeZone='UTC'; SET allowed_directories=[{quoted(here)}];"
        "SET enable_progress_bar=false; SET enable_external_access=false;"
        "SET lock_configuration=true"
    )
    return connection


def quoted(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """An SQL name."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def reading(format: str) -> Iterator[None]:
    """Turns DuckDB's errors into ours."""
    import duckdb

    try:
        yield
    except FilemillError:
        raise
    except duckdb.OutOfMemoryException:
        raise LimitExceeded(
            "The table needs more memory than is allowed.", details={"limit": "memory"}
        ) from None
    except duckdb.InternalException:
        raise EngineError("DuckDB failed on this file.") from None
    except duckdb.Error as error:
        raise _invalid(format, str(error)) from None


def _invalid(format: str, said: str) -> FilemillError:
    title = FORMATS[format].title
    if found := re.search(r"CSV Error on Line: (\d+)", said):
        why = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", said)
        what = (
            f"it has {why[2]} fields, the first line has {why[1]}"
            if why
            else "a quoted value does not end"
            if "unterminated quote" in said
            else "it cannot be read"
        )
        return FileInvalid(
            f"Line {found[1]} is broken: {what}.",
            hint="Every row needs the same number of fields; check quotes and the delimiter.",
            details={"line": int(found[1])},
        )
    if "Maximum line size" in said or "maximum_object_size" in said:
        return LimitExceeded("One row is too long.", details={"limit": "row size"})
    if found := re.search(r"Malformed JSON in file \"[^\"]*\", (at byte[^.]*)\.", said):
        return FileInvalid(f"The JSON is broken {found[1]}.")
    return FileInvalid(f"This {title} file cannot be read.", hint="It is damaged or cut off.")
