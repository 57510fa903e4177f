"""Every setting, and the one place that reads the environment. Prefix `FILEMILL_`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, create_model, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from filemill import plans
from filemill.limits import MB, Ceilings
from filemill.plans import KeyPlan


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FILEMILL_", extra="ignore", frozen=True)

    data: Path = Field(
        default=Path("data"), description="Folder for everything that is kept on this host."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8080, ge=0, le=65535, description="Port to listen on; 0: any free one."
    )
    database_url: str | None = Field(
        default=None, description="postgresql://... ; default: SQLite in the data folder."
    )
    blob_url: str | None = Field(
        default=None,
        description="s3://bucket/prefix, gs://..., az://... ; default: the data folder.",
    )
    base_url: str | None = Field(
        default=None, description="Public address in links; default: the one a request was sent to."
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        default=(IPv4Network("127.0.0.1"), IPv6Network("::1")),
        description="Networks (CIDR, comma-separated) of reverse proxies whose `X-Forwarded-For` "
        "and `X-Forwarded-Proto` are believed. By the client's address callers without a key, and "
        "those who ask for one, are told apart and limited; the protocol stands in links.",
    )
    outbound_allow: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        default=(),
        description="Networks (CIDR, comma-separated) that webhooks, imports and exports may "
        "reach although they are not public.",
    )
    webhook_retry_delays: Annotated[tuple[float, ...], NoDecode] = Field(
        default=(30, 300, 1800), description="Seconds before each further attempt, comma-separated."
    )
    worker_slots: int = Field(
        default=os.cpu_count() or 1,
        ge=1,
        description="Conversions at once on this host; default: cores. The same on all hosts that "
        "share a database: a larger one runs several servers.",
    )
    warm_office: int | None = Field(
        default=None,
        ge=0,
        description="LibreOffice processes that wait ready, 50 to 110 MB each; "
        "default: worker_slots; 0: none.",
    )
    office_reuse: int = Field(
        default=1,
        ge=1,
        description="Documents that a LibreOffice process which waited converts before another "
        "takes its place. More than 1 is quicker, and only for files that may share a process: "
        "one that takes it over sees those that come after it.",
    )
    part_seconds: float = Field(
        default=15,
        gt=0,
        description="How much work a part of a long conversion is, about, seconds of one core: "
        "what a crash may cost each slot. Shorter files than three parts are done whole.",
    )
    job_ttl: float = Field(
        default=24 * 3600,
        gt=0,
        description="Seconds that a job and its files live. One that has not ended fails with "
        "`timeout` an hour before, or in the last tenth of a shorter life.",
    )
    link_ttl: float = Field(default=3600, gt=0, description="Seconds that a download link lives.")
    job_timeout: float = Field(
        default=6 * 3600,
        gt=0,
        description="Seconds after which the server kills one process of a conversion. Most "
        "engines have less of their own (docs/security.md); a long film has all of it.",
    )
    max_upload: int = Field(
        default=500 * MB, ge=1, description="Largest file of POST /v1/jobs, bytes."
    )
    max_output: int = Field(
        default=4096 * MB,
        ge=1,
        description="Largest file that a conversion of the server may write, bytes. Its folder, "
        "the input included, may hold twice that.",
    )
    upload_ttl: float = Field(
        default=24 * 3600, gt=0, description="Seconds that a resumable upload may take."
    )
    transfer_timeout: float = Field(
        default=3600, gt=0, description="Seconds that one import or export of a file may take."
    )
    min_free_disk: int = Field(
        default=1024 * MB,
        ge=0,
        description="Free bytes of the data folder's disk below which new work is refused (503).",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("*",),
        description="Origins of web pages that may upload to /v1/uploads, comma-separated; "
        "with --no-auth none may unless named here.",
    )
    convert_timeout: float = Field(
        default=120, gt=0, description="Seconds that POST /v1/convert waits before it answers 504."
    )
    client_timeout: float = Field(
        default=30,
        gt=0,
        description="Seconds of silence after which a client that has not sent its whole "
        "request is cut off.",
    )
    free_keys: bool = Field(default=True, description="Whether POST /v1/keys/free gives out keys.")
    keys_per_hour: int = Field(
        default=20,
        ge=1,
        description="Keys that one client address may ask for in an hour, new or rotated.",
    )
    max_queue: int = Field(
        default=10_000, ge=1, description="Jobs that may wait, of all keys together."
    )
    plans: Mapping[str, Mapping[str, int | None]] | None = Field(
        default=None,
        description="JSON: changes to the plans of keys, and plans of your own, e.g. "
        '`{"free": {"conversions_per_month": 100}, "team": {"concurrency": 4}}`; null: no limit. '
        "See GET /v1/plans.",
    )
    executor_id: str = Field(
        default="",
        description="Name of this host among those that share a database; default: its own.",
    )
    host_timeout: float = Field(
        default=30,
        gt=0,
        description="Seconds of silence after which a host that shares the database is taken for "
        "dead: what it did goes to the others. The same on all of them.",
    )
    without_landlock: Literal["refuse", "allow"] = Field(
        default="refuse",
        description="Where the kernel lacks Landlock: refuse or allow conversions of which a "
        "hostile file could then read this host's other files (RTF and doc by LibreOffice).",
    )
    log_level: str = Field(default="info", description="debug, info, warning or error.")

    @field_validator(
        "cors_origins", "outbound_allow", "trusted_proxies", "webhook_retry_delays", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("plans")
    @classmethod
    def _check_plans(
        cls, value: Mapping[str, Mapping[str, int | None]] | None
    ) -> Mapping[str, Mapping[str, int | None]] | None:
        plans.read(value or {})
        return value

    @property
    def key_plans(self) -> Mapping[str, KeyPlan]:
        return plans.read(self.plans or {})

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data.absolute() / 'filemill.db'}"

    @property
    def scratch(self) -> Path:
        return self.data / "scratch"


class _Limits(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FILEMILL_MAX_", extra="ignore", frozen=True)


Limits: type[_Limits] = create_model(  # type: ignore[call-overload]
    "Limits",
    __base__=_Limits,
    **{
        field.name: (int, Field(field.default, ge=1, description=field.metadata["description"]))
        for field in fields(Ceilings)
    },
)
"""A setting for each ceiling."""


def ceilings() -> Ceilings:
    return Ceilings(**Limits().model_dump())
