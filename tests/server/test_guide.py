"""The published guide's client code runs against us with only the host and key changed."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from filemill.engines import libreoffice
from filemill.formats.detect import detect_file
from samples import documents, media
from server import guide_client
from server.running import Server, finish

GUIDE = Path(__file__).parents[3] / "shared" / "guide.txt"


@pytest.fixture(autouse=True)
def _here(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    guide_client.use(server.url, server.key)
    # The guide polls every 5 s; its text stays, only the default is quicker here.
    monkeypatch.setattr(guide_client.poll_job, "__defaults__", (0.1, 60.0))


@pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not beside this checkout")
def test_the_client_is_the_guides_text() -> None:
    guide = [line.strip() for line in GUIDE.read_text().splitlines()]
    kept = False
    compared = 0
    for line in Path(guide_client.__file__).read_text().splitlines():
        if "the guide's text" in line:
            kept = line.strip().endswith("begins ---")
        elif kept and line.strip():
            assert line.strip() in guide
            compared += 1
    assert compared > 70


def test_submit_poll_download(png: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(png, tmp_path / "ein bild.png"))
    out = asyncio.run(guide_client.convert_large_file(source, "webp"))
    with Image.open(out) as image, Image.open(png) as before:
        assert (image.format, image.size) == ("WEBP", before.size)


@pytest.mark.parametrize(
    ("samples", "source", "target"),
    [
        (documents, "docx", "html"),
        pytest.param(
            *(documents, "pptx", "pdf"),
            marks=pytest.mark.skipif(libreoffice.find() is None, reason="no LibreOffice here"),
        ),
        (documents, "xlsx", "csv"),
        (media, "mp4", "webm"),
        (media, "wav", "mp3"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_documents_sound_and_films(samples: Any, source: str, target: str, tmp_path: Path) -> None:
    path = tmp_path / f"the file.{source}"
    samples.make(source, path)
    out = asyncio.run(guide_client.convert_large_file(path, target))
    with out.open("rb") as file:
        assert detect_file(file, out.name).id == target


def test_batch_of_many_files(png: Path, tmp_path: Path) -> None:
    files = [Path(shutil.copy(png, tmp_path / f"{number}.png")) for number in range(12)]
    asyncio.run(guide_client.batch_large_files(files, "jpg"))
    for file in files:
        with Image.open(file.with_suffix(".jpg")) as image:
            assert image.format == "JPEG"


def test_error_branch_of_a_broken_file(png: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(png.read_bytes()[:2000])

    async def run() -> list[tuple[str, str]]:
        logged: list[tuple[str, str]] = []
        async with httpx.AsyncClient() as client:
            job_id = await guide_client.submit_job(client, broken, "jpg")
            with pytest.raises(RuntimeError, match="file_invalid"):
                await guide_client.poll_job(client, job_id)
            url = f"{guide_client.JOBS_URL}/{job_id}"
            status = (await client.get(url, headers=guide_client.HEADERS)).json()
            await guide_client.error_branch(
                client, status, job_id, broken, "jpg", lambda *what: logged.append(what)
            )
            assert logged == [(job_id, "corrupted_or_unsupported")]
        return logged

    assert asyncio.run(run())


def test_submission_by_raw_body_with_a_webhook(client: httpx.Client, png: Path) -> None:
    """The guide's second listing: parameters in the query, metadata as JSON."""
    resp = client.post(
        "/v1/jobs",
        content=png.read_bytes(),
        params={
            "target": "gif",
            "filename": "source.png",
            "webhook_url": "https://your-server.com/webhooks/ctf",
            "webhook_metadata": json.dumps({"user_id": "u_123", "file_id": "f_456"}),
        },
    )
    assert resp.status_code == 202
    job = finish(client, resp.json()["job_id"])
    assert job["state"] == "done"
    assert job["metadata"] == {"user_id": "u_123", "file_id": "f_456"}


def test_form_as_the_worker_builds_it(client: httpx.Client, png: Path) -> None:
    """FormData in the Worker's order: the file first, the target after it."""
    resp = client.post(
        "/v1/jobs",
        files=[
            ("file", ("photo.png", png.read_bytes(), "image/png")),
            ("target", (None, "webp")),
            ("webhook_url", (None, "https://worker.example.com/webhook/ctf")),
        ],
    )
    assert resp.status_code == 202
    assert resp.headers["location"] == resp.json()["status_url"]
    assert finish(client, resp.json()["job_id"])["state"] == "done"


WORKER = """
const [url, key, path] = process.argv.slice(1);
const { readFileSync } = await import('node:fs');
const file = new File([readFileSync(path)], 'photo.png', { type: 'image/png' });
const target = 'jpg';
const env = { CTF_API_KEY: key, WORKER_URL: 'https://worker.example.com' };
const resp = await fetch(`${url}/v1/jobs`, {
method: 'POST',
headers: {
Authorization: `Bearer ${env.CTF_API_KEY}`,
},
body: (() => {
const fd = new FormData();
fd.append('file', file);
fd.append('target', target);
fd.append('webhook_url', `${env.WORKER_URL}/webhook/ctf`);
return fd;
})(),
});
const { job_id } = await resp.json();
console.log(job_id);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here to run it")
def test_the_worker_itself(server: Server, client: httpx.Client, png: Path) -> None:
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", WORKER, server.url, server.key, str(png)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert finish(client, ran.stdout.strip())["state"] == "done"


def test_a_job_says_when_it_ends(client: httpx.Client, png: Path) -> None:
    """Jobs expire after 24 hours, download links after one."""
    resp = client.post(
        "/v1/jobs", content=png.read_bytes(), params={"target": "jpg", "filename": "a.png"}
    )
    job = finish(client, resp.json()["job_id"])
    expires = time.mktime(time.strptime(str(job["expires_at"])[:19], "%Y-%m-%dT%H:%M:%S"))
    created = time.mktime(time.strptime(str(job["created_at"])[:19], "%Y-%m-%dT%H:%M:%S"))
    assert expires - created == 24 * 3600
    token = str(job["download_url"]).partition("token=")[2]
    assert abs(int(token.partition(".")[0]) - (time.time() + 3600)) < 30
