"""Files with a password: refused with a word on what to do, by whatever way they come."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from filemill.conversion import Converter
from filemill.errors import FileInvalid, protected
from filemill.model import Step
from samples import locked

TARGETS = {"pdf": "png", "zip": "tar"}


@pytest.mark.parametrize("format_id", locked.FORMATS)
def test_over_http(client: httpx.Client, tmp_path: Path, format_id: str) -> None:
    path = locked.make(format_id, tmp_path / f"a.{format_id}")
    answer = client.post(
        "/v1/convert",
        files={"file": (path.name, path.read_bytes())},
        data={"target": TARGETS.get(format_id, "pdf")},
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "file_invalid")
    assert error == protected().to_json()


@pytest.mark.parametrize("format_id", locked.FORMATS)
def test_whoever_skips_the_first_look(converter: Converter, tmp_path: Path, format_id: str) -> None:
    """The probe refuses it too, before any engine."""
    path = locked.make(format_id, tmp_path / f"in.{format_id}")
    step = Step("tables", format_id, "pdf")  # an engine that every host has
    with pytest.raises(FileInvalid) as caught:
        converter.look(step, path.parent)
    assert caught.value.to_json() == protected().to_json()
