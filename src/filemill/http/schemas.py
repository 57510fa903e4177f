"""The shapes of answers, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class ErrorBody(BaseModel):
    code: str
    message: str
    hint: str | None = None
    details: dict[str, Any] | None = None


class ErrorEnvelope(BaseModel):
    error: ErrorBody


class Accepted(BaseModel):
    job_id: str
    state: Literal["queued", "processing", "done", "failed", "cancelled"]
    status_url: str


class JobError(BaseModel):
    code: str
    message: str
    hint: str | None = None
    details: dict[str, Any] | None = None
    retryable: bool


class JobStatus(BaseModel):
    model_config = ConfigDict(json_schema_extra={"title": "Job"})

    job_id: str
    state: Literal["queued", "processing", "done", "failed", "cancelled"]
    progress_pct: int = Field(ge=0, le=100)
    source_format: str = Field(description="Empty until the file at `source_url` is here.")
    target_format: str
    filename: str
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    expires_at: str
    metadata: Any = None
    eta_seconds: float | None = Field(
        None, description="While processing: about how much longer, once its pace is steady."
    )
    queue_position: int | None = Field(None, description="While queued: 1 is next.")
    download_url: str | None = Field(
        None,
        description="When done, or when only sending to `output_url` failed: fresh at each poll.",
    )
    size: int | None = Field(None, description="Bytes of the result.")
    sha256: str | None = None
    duration_ms: int | None = None
    report: dict[str, Any] | None = Field(None, description="What was verified of the result.")
    error: JobError | None = Field(None, description="When failed.")


class JobList(BaseModel):
    jobs: list[JobStatus]
    next_cursor: str | None = None


class Converted(BaseModel):
    """What /v1/convert answers to `Accept: application/json`."""

    job_id: str
    state: Literal["done"]
    download_url: str
    size: int
    duration_ms: int
    source_format: str
    target_format: str


class FormatRow(BaseModel):
    format: str
    title: str
    category: str
    extensions: list[str]
    media_types: list[str]
    reads: bool = Field(description="Whether it can be converted from.")
    writes: bool = Field(description="Whether it can be converted to.")


class FormatList(BaseModel):
    categories: dict[str, list[FormatRow]]


class Target(BaseModel):
    target: str
    route: list[str] = Field(description="The formats passed through, source and target included.")
    engines: list[str]
    losses: list[str]
    notes: list[str]
    options: dict[str, Any] = Field(description="JSON Schema of the options, an object.")


class Targets(BaseModel):
    source: str
    targets: list[Target]


class PlanRequest(BaseModel):
    source: str
    target: str
    size: int | None = Field(None, ge=0, description="Bytes.")
    options: dict[str, Any] = Field(default_factory=dict)


class PlanAnswer(Target):
    source: str
    sync: bool = Field(description="Whether POST /v1/convert takes a file of this size.")
    limits: dict[str, int] = Field(description="Largest size of each door, bytes.")
    estimate_seconds: float | None = Field(
        description="Once it runs: as long as the same took here lately; null where nothing did."
    )


class FreeKeyRequest(BaseModel):
    email: str = Field(
        max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[^@\s.\x00-\x1f]+$"
    )


class FreeKey(BaseModel):
    api_key: str = Field(description="Shown only now.")
    plan: str
    monthly_limit: int | None = Field(description="Conversions; null: no limit.")
    message: str


class RotatedKey(BaseModel):
    api_key: str = Field(description="Shown only now.")
    plan: str
    previous_expires_at: str = Field(description="The secret that asked works until then.")
    message: str


class UsedRequests(BaseModel):
    limit: int
    remaining: int
    resets_at: str


class UsedConversions(BaseModel):
    limit: int | None = Field(description="A month; null: none.")
    used: int
    remaining: int | None
    resets_at: str


class OpenJobs(BaseModel):
    processing: int
    queued: int
    concurrency: int | None = Field(description="Jobs that run at once; null: no limit.")
    queue: int | None = Field(description="Jobs that may wait; null: no limit.")


class Usage(BaseModel):
    plan: str
    requests: UsedRequests
    conversions: UsedConversions
    jobs: OpenJobs


class PlanRow(BaseModel):
    """The limits of a plan; null: none."""

    name: str
    requests_per_minute: int
    conversions_per_month: int | None
    max_file_bytes: int | None
    concurrency: int | None = Field(description="Jobs that run at once.")
    queue: int | None = Field(description="Jobs that may wait.")


class PlanList(BaseModel):
    plans: list[PlanRow]


class WebhookSecret(BaseModel):
    secret: str = Field(description="Shown only now; the previous one keeps signing for 24 h.")


class WebhookTest(BaseModel):
    webhook_url: str


class DeliveryAttempt(BaseModel):
    at: str
    status: int | None = Field(None, description="What the receiver answered.")
    latency_ms: int
    error: str | None = Field(None, description="Why there was no answer.")
    acknowledged: bool


class DeliveryStatus(BaseModel):
    id: str = Field(description="The `webhook-id` of every attempt.")
    event: str
    url: str
    state: Literal["pending", "delivered", "failed"]
    created_at: str
    next_attempt_at: str | None = None
    attempts: list[DeliveryAttempt]


class DeliveryList(BaseModel):
    deliveries: list[DeliveryStatus]
