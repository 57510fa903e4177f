"""The Python client of the published guide: its text, but for host, key and imports.

test_guide.py compares it with the guide line by line.
"""

# ruff: noqa
import asyncio
import os
from pathlib import Path

import httpx

API_KEY = os.environ.get("CTF_API_KEY", "")
JOBS_URL = ""
HEADERS: dict = {}


def use(url: str, key: str) -> None:
    global API_KEY, JOBS_URL, HEADERS
    API_KEY, JOBS_URL = key, f"{url}/v1/jobs"
    HEADERS = {"Authorization": f"Bearer {API_KEY}"}


# fmt: off
# --- the guide's text begins ---
async def submit_job(client: httpx.AsyncClient, file_path: Path, target: str) -> str:
    """Submit a conversion job. Returns job_id."""
    content = file_path.read_bytes()
    resp = await client.post(
        JOBS_URL,
        headers=HEADERS,
        content=content,
        params={'target': target, 'filename': file_path.name},
        timeout=60, # upload timeout only
    )
    resp.raise_for_status()
    return resp.json()['job_id']
async def poll_job(
    client: httpx.AsyncClient,
    job_id: str,
    poll_interval: float = 5.0,
    max_wait: float = 600.0,
) -> dict:
    """Poll until job completes. Returns final status dict."""
    waited = 0.0
    while waited < max_wait:
        resp = await client.get(
            f'{JOBS_URL}/{job_id}',
            headers=HEADERS,
            timeout=10,
        )
        resp.raise_for_status()
        status = resp.json()
        if status['state'] == 'done':
            return status
        elif status['state'] == 'failed':
            raise RuntimeError(f"Job {job_id} failed: {status.get('error', 'unknown')}")
        elif status['state'] in ('queued', 'processing'):
            # Optional: log progress
            pct = status.get('progress_pct', '?')
            print(f'Job {job_id}: {status["state"]} ({pct}%)')
        await asyncio.sleep(poll_interval)
        waited += poll_interval
    raise TimeoutError(f'Job {job_id} did not complete within {max_wait}s')
async def download_result(client: httpx.AsyncClient, status: dict, out_path: Path):
    """Download the completed job output."""
    dl_url = status['download_url'] # Pre-signed, expires in 1 hour
    resp = await client.get(dl_url, timeout=300) # large files
    resp.raise_for_status()
    out_path.write_bytes(resp.content)
async def convert_large_file(file_path: Path, target: str) -> Path:
    out_path = file_path.with_suffix(f'.{target}')
    async with httpx.AsyncClient() as client:
        job_id = await submit_job(client, file_path, target)
        print(f'Submitted job {job_id}')
        status = await poll_job(client, job_id)
        await download_result(client, status, out_path)
        print(f'Saved to {out_path}')
        return out_path
async def batch_large_files(files: list[Path], target: str):
    async with httpx.AsyncClient() as client:
        # Submit all jobs concurrently
        job_ids = await asyncio.gather(
            *[submit_job(client, f, target) for f in files]
        )
        print(f'Submitted {len(job_ids)} jobs')
        # Poll all jobs concurrently
        statuses = await asyncio.gather(
            *[poll_job(client, jid) for jid in job_ids]
        )
        # Download all results concurrently
        for file_path, status in zip(files, statuses):
            out_path = file_path.with_suffix(f'.{target}')
            await download_result(client, status, out_path)
# --- the guide's text ends ---


async def error_branch(client, status, job_id, file_path, target, log_failure):
    # --- the guide's text begins ---
    if status['state'] == 'failed':
        error = status.get('error', {})
        code = error.get('code', 'unknown')
        if code == 'file_invalid':
            # Bad file — skip and log
            log_failure(job_id, 'corrupted_or_unsupported')
        elif code == 'engine_error':
            # Conversion engine crashed — retry once
            new_job = await submit_job(client, file_path, target)
        elif code == 'timeout':
            # File took too long (very large video) — try lower quality target
            log_failure(job_id, 'too_large_for_engine')
    # --- the guide's text ends ---
