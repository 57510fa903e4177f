"""The OpenAPI document against the live server: no 5xx, no answer that it does not tell of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from server.running import Server

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def test_every_operation(tmp_path: Path) -> None:
    """Schemathesis, unmodified: hundreds of requests made from the document alone."""
    with Server(tmp_path / "data") as server:
        ran = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                f"{server.url}/openapi.json",
                f"--header=Authorization: Bearer {server.key}",
                f"--checks={','.join(CHECKS)}",
                "--max-examples=10",
                "--seed=1",
                "--request-timeout=60",
                "--suppress-health-check=all",
                "--warnings=off",
            ],
            cwd=tmp_path,  # it keeps its notes in the working folder
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert ran.returncode == 0, ran.stdout[-6000:]
        assert "passed" in ran.stdout


def test_the_document_says_how_to_authenticate(server: Server) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    (name,) = schemes
    assert (schemes[name]["type"], schemes[name]["scheme"]) == ("http", "bearer")
    assert document["paths"]["/v1/jobs"]["post"]["security"] == [{name: []}]
    assert "security" not in document["paths"]["/v1/formats"]["get"]
