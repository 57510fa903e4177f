"""The composition root: puts the server together from concrete adapters."""

from __future__ import annotations

import itertools
import logging
import os
import resource
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import uvicorn
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError

from filemill import logs
from filemill.admission import Admission
from filemill.blobs import DiskBlobs, open_blobs
from filemill.courier import Courier
from filemill.disk import Watermark
from filemill.durable import DurableQueue, Lock
from filemill.errors import BadRequest, ServiceUnavailable
from filemill.http import api
from filemill.http.connection import Connection
from filemill.http.door import Door
from filemill.http.render import Links
from filemill.http.site import Site, is_loopback
from filemill.intake import Caps
from filemill.jobs.counters import Counters
from filemill.jobs.cuts import Cuts
from filemill.jobs.database import Database
from filemill.jobs.deliveries import Deliveries, WebhookSecrets
from filemill.jobs.jobs import Jobs
from filemill.jobs.keys import Keys
from filemill.jobs.lines import Idempotency, Lines, Usage
from filemill.jobs.secrets import Secrets
from filemill.jobs.uploads import Uploads as Incomings
from filemill.litter import Litter
from filemill.model import ApiKey
from filemill.outbound import Outbound
from filemill.parts import Parts
from filemill.ratelimit import Limiter
from filemill.runner import Runner
from filemill.service import Service
from filemill.settings import Settings
from filemill.settlement import Settlement
from filemill.signing import Signer
from filemill.sweeper import Sweeper
from filemill.transfer import Transfer
from filemill.uploads import Uploads
from filemill.watch import Watch
from filemill.workshop import Workshop

log = logging.getLogger(__name__)
T = TypeVar("T")

SWEEP_EVERY = 30.0
"""Seconds between two rounds of the sweeper; less where jobs live for minutes only."""
GRACE = 3600.0
"""Seconds at the end of its life in which a job that did not end is a failed one: enough for all
attempts of a webhook. At most a tenth of that life."""
ORPHANS_EVERY = 120
"""Rounds between two looks for files that nothing owns: those read all names."""
ANONYMOUS = ApiKey(id="anonymous", name="anonymous", plan="anonymous", created_at=0)


def serve(*, host: str | None = None, port: int | None = None, no_auth: bool = False) -> None:
    """Serve until told to stop. Never returns: the process ends here, and whatever ran is
    resumed at the next start, exactly as after a crash."""
    given = {"host": host, "port": port}
    settings = Settings().model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    logs.configure(settings.log_level)
    if no_auth and not is_loopback(settings.host):
        raise BadRequest(
            "Serving without keys is possible on a loopback address only.",
            hint="Use --host 127.0.0.1, or leave --no-auth out.",
        )
    listener = _bind(settings)
    _allow_connections()
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.database)
    # Held until the process ends: two on one folder would empty each other's private directories,
    # and on SQLite not see each other's slots. Hosts that share a database have their own folders.
    lock = Lock(settings.data / "filemill.lock")
    shutil.rmtree(settings.scratch, ignore_errors=True)
    settings.scratch.mkdir(mode=0o711)

    workshop = Workshop.here()
    for missing in workshop.inventory.missing:
        log.warning("engine %s is off: %s", missing.engine.name, "; ".join(missing.hints))
    opened = workshop.open(
        preload=True,
        wall=settings.job_timeout,
        output=settings.max_output,
        spares=settings.worker_slots if settings.warm_office is None else settings.warm_office,
        tasks=settings.office_reuse,
        rooms=settings.scratch / "standby",
    )
    converter = opened.__enter__()  # never left: the process ends by os._exit
    jobs = Jobs(database)
    blobs = (
        open_blobs(settings.blob_url, spool=settings.scratch)
        if settings.blob_url
        else DiskBlobs(settings.data / "blobs")
    )
    watch = Watch(jobs)
    queue = DurableQueue(
        database.engine,
        slots=settings.worker_slots,
        executor_id="local" if database.is_sqlite else _executor_id(settings),
        dead_after=settings.host_timeout,
    )
    deliveries = Deliveries(database)
    counters, idempotency = Counters(database), Idempotency(database)
    admission = Admission(settings.key_plans, Lines(), Usage(), queue, settings.max_queue)
    settlement = Settlement(jobs, deliveries, queue, admission, watch.changed)
    parts = Parts(
        *(jobs, blobs, converter, settings.scratch, settlement, watch.changed),
        Cuts(database),
        queue,
        settings.part_seconds,
    )
    caps = Caps(settings.max_upload, settings.max_upload, "Split the file, or make it smaller.")
    outbound = Outbound(settings.outbound_allow)
    disk = Watermark(settings.data, settings.min_free_disk)
    transfer = Transfer(
        *(outbound, jobs, blobs, workshop.graph, admission),
        *(caps, disk.check, settings.transfer_timeout),
    )
    runner = Runner(
        jobs, blobs, converter, settings.scratch, settlement, watch.changed, parts, transfer
    )
    service = Service(
        jobs,
        blobs,
        queue,
        settlement,
        admission,
        idempotency,
        workshop.graph,
        watch,
        disk,
        settings.job_ttl,
    )
    keys = Keys(database, settings.key_plans)
    links = Links(
        Signer(Secrets(database).all("links"), "download"), settings.link_ttl, settings.base_url
    )
    courier = Courier(
        jobs,
        deliveries,
        WebhookSecrets(database),
        outbound,
        queue,
        link=lambda job: links.download(job.base_url, job),
        delays=settings.webhook_retry_delays,
    )
    incomings = Incomings(database)
    door = Door(
        service=service,
        uploads=Uploads(incomings, blobs, service, caps, disk.check, settings.upload_ttl),
        keys=keys,
        links=links,
        job_caps=caps,
        disk=disk,
        anonymous=ANONYMOUS if no_auth else None,
        sync_seconds=settings.convert_timeout,
        limiter=Limiter(counters),
        keys_per_hour=settings.keys_per_hour,
        free_keys=settings.free_keys,
    )
    queue.begin(runner.run, courier.deliver, parts.run)
    grace = min(GRACE, settings.job_ttl / 10)
    sweeper = Sweeper(jobs, blobs, queue, settlement, courier, grace, (counters, idempotency))
    litter = Litter(jobs, incomings, blobs)
    if database.is_sqlite:  # nobody else can be about to start these
        sweeper.sweep(adopt_after=0)
        litter.sweep_orphans(settled=0)
        incomings.unlock_all()
    rounds = (sweeper, litter, min(SWEEP_EVERY, grace / 2))
    threading.Thread(target=_sweep_forever, args=rounds, daemon=True).start()

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await run_sync(_greet, settings, listener, None if no_auth else keys)
        yield

    # A page elsewhere that may upload where nobody needs a key: only one that was named.
    named = "cors_origins" in settings.model_fields_set
    origins = settings.cors_origins if named or not no_auth else ()
    public = urlsplit(settings.base_url or "").hostname
    server = _Server(
        uvicorn.Config(
            api.build(
                door,
                courier,
                partial(_answered, database.ping),
                partial(_answered, jobs.counts),
                lifespan,
                client_timeout=settings.client_timeout,
                upload_origins=origins,
                site=Site(frozenset({public} if public else ()), origins) if no_auth else None,
            ),
            http=partial(Connection, seconds=settings.client_timeout),  # type: ignore[arg-type]
            ws="none",
            forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )
    server.run(sockets=[listener])
    logging.shutdown()
    # A stop is a crash that says goodbye: engines die with us, their jobs go on at the next start.
    del lock
    os._exit(0)


class _Server(uvicorn.Server):
    """uvicorn, but a signal to stop is a wish that was granted, not a way to die."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield


def _sweep_forever(sweeper: Sweeper, litter: Litter, every: float) -> None:
    for number in itertools.count(1):
        time.sleep(every)
        try:
            sweeper.sweep()
            litter.sweep()
            if number % ORPHANS_EVERY == 0:
                litter.sweep_orphans()
        except Exception:
            log.exception("a round of sweeping failed; the next one may do better")


def _bind(settings: Settings) -> socket.socket:
    """The listening socket. Bound first: a taken port is told before anything is opened."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise ServiceUnavailable(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}.",
            hint="Choose another with --port or FILEMILL_PORT.",
        ) from error
    return listener


def _allow_connections() -> None:
    """As many open files as this process may have: each idle client holds one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _greet(settings: Settings, listener: socket.socket, keys: Keys | None) -> None:
    """Say where we are; on the very first start also the key, which is shown just once."""
    host, port = listener.getsockname()[:2]
    base = settings.base_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"
    lines = [f"filemill serves on {base}  (documentation: {base}/docs)"]
    shown = "$FILEMILL_KEY"
    if keys is not None and not keys.list():
        shown = keys.create("local")
        lines.append(f"Your API key, shown only now: {shown}")
    header = "" if keys is None else f'-H "Authorization: Bearer {shown}" '
    lines.append("Try it:")
    lines.append(
        f"  echo '# Hello' | curl -sS {header}--data-binary @- "
        f"'{base}/v1/convert?target=docx&filename=hello.md' -o hello.docx"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _executor_id(settings: Settings) -> str:
    """Ours alone among those that share the database, and the same after a restart, so that our
    runs are taken up again at once: kept in the data folder."""
    if settings.executor_id:
        return settings.executor_id
    path = settings.data / "executor"
    if not path.exists():
        new = path.with_suffix(".new")
        new.write_text(f"{socket.gethostname()}-{secrets.token_hex(4)}")
        new.replace(path)
    return path.read_text()


def _answered(question: Callable[[], T]) -> T:
    """The database's answer. Raises `ServiceUnavailable`."""
    try:
        return question()
    except SQLAlchemyError as error:
        raise ServiceUnavailable("The database does not answer.") from error
