"""The frozen values that flow through filemill, and the life of a job.

Floor 0: imports nothing of the package. Times are POSIX seconds (float, UTC),
sizes are bytes, durations are seconds unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit


class Category(StrEnum):
    """What a format holds; decides its size cap and how a result is probed."""

    DOCUMENT = "document"
    SPREADSHEET = "spreadsheet"
    PRESENTATION = "presentation"
    EBOOK = "ebook"
    IMAGE = "image"
    VECTOR = "vector"
    VIDEO = "video"
    AUDIO = "audio"
    DATA = "data"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the format table."""

    id: str
    title: str
    category: Category
    extensions: tuple[str, ...]
    """Without the dot, the usual one first; a download is named with it."""
    media_types: tuple[str, ...]
    """The registered one first (IANA media types registry where there is one)."""
    editable: bool = False
    """Holds text or cells that a person would go on editing."""
    text: bool = False
    """Plain text: its content has no magic number, so the file's name decides."""

    @property
    def extension(self) -> str:
        return self.extensions[0]

    @property
    def media_type(self) -> str:
        return self.media_types[0]

    @property
    def raster(self) -> bool:
        return self.category is Category.IMAGE

    @property
    def timed(self) -> bool:
        """It plays: video or audio."""
        return self.category in (Category.VIDEO, Category.AUDIO)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a probe read out of a file. None: does not apply, or was not readable cheaply."""

    format: str
    size: int
    pages: int | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    duration: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    audio_codecs: tuple[str, ...] | None = None
    """Of each sound track, where there are several; "": nothing here decodes it."""
    audio_tracks: int | None = None
    """How many of several sound tracks were heard."""
    subtitles: tuple[str, ...] | None = None
    """Codec of each subtitle track; "": nothing here decodes it."""
    rotation: int | None = None
    """Degrees a player turns the stored pictures, when not 0; width and height are as shown."""
    rate: str | None = None
    """Pictures a second, "30000/1001", where the head says that all stay for as long."""
    delay: float | None = None
    """How much later than the file the picture begins, seconds."""
    sample_bits: int | None = None
    """Bits a sample of lossless sound."""
    cover: str | None = None
    """Codec of the cover picture of an audio file."""
    rows: int | None = None
    """Of the first sheet or table, its header included."""
    columns: int | None = None
    last_row: int | None = None
    """The furthest that the values of any sheet reach, from 1."""
    last_column: int | None = None
    sheets: int | None = None
    uncalculated: Sequence[int] | None = None
    """How many formulas of each sheet have no stored result, where any has none."""
    zeros: bool | None = None
    """Their results are stored, but all as 0: nobody calculated them."""
    errors: int | None = None
    """Cells of a workbook that hold an error, like #N/A, where any does."""
    characters: int | None = None
    entries: int | None = None
    """Files inside a container."""
    left_out: int | None = None
    """Links and devices of an archive: they are in nothing that is made of it."""

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Facts:
        names = data.keys() & {"audio_codecs", "subtitles"}  # JSON has no tuples
        return cls(**{**data, **{name: tuple(data[name]) for name in names}})


@dataclass(frozen=True, slots=True)
class Step:
    """One conversion by one engine."""

    engine: str
    source: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    cost: float = 1.0
    """Weight of this step in the plan's progress."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file gets from its format to the wanted one."""

    source: str
    target: str
    steps: tuple[Step, ...]
    losses: tuple[str, ...] = ()
    """What the result lacks, in words for people."""
    notes: tuple[str, ...] = ()
    wish: Mapping[str, Any] | None = None
    """The options for a file that is not here yet: only then is its `source` known, and `steps`."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        return cls(
            source=data["source"],
            target=data["target"],
            steps=tuple(Step(**step) for step in data["steps"]),
            losses=tuple(data["losses"]),
            notes=tuple(data["notes"]),
            wish=data.get("wish"),
        )


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes."""

    key: str
    size: int
    sha256: str


class State(StrEnum):
    QUEUED = "queued"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return not TRANSITIONS[self]


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.PROCESSING, State.FAILED, State.CANCELLED}),
    # processing -> processing: another attempt takes over after a crash.
    State.PROCESSING: frozenset({State.PROCESSING, State.DONE, State.FAILED, State.CANCELLED}),
    State.DONE: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the jobs table. Changes are new rows' values, never mutation."""

    id: str
    key_id: str
    state: State
    plan: Plan
    filename: str
    """As the client named it; shown back, never used on disk."""
    input: Blob
    created_at: float
    expires_at: float
    turn: int = 1
    """When it is served, among the jobs that wait: lower is sooner."""
    held: bool = False
    """Not on the queue yet: its key has as many jobs there as its plan lets run."""
    progress_pct: int = 0
    attempt: str | None = None
    """Token of the run that owns the job; every write of a run compares it."""
    output: Blob | None = None
    output_name: str | None = None
    media_type: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    ends_at: float | None = None
    """When it will end, by the look of it."""
    report: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    webhook_url: str | None = None
    metadata: Any = None
    source_url: str | None = None
    """Where the run fetches the input from: `input` has no key until then."""
    output_url: str | None = None
    """Where the run puts the result, besides."""
    base_url: str = ""
    """Address that the client reached us at: links in its webhooks begin with it."""

    @property
    def duration_ms(self) -> int | None:
        """Time spent converting, queueing left out."""
        if self.started_at is None or self.finished_at is None:
            return None
        return round((self.finished_at - self.started_at) * 1000)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a step, on record."""

    number: int
    weight: float
    blob: Blob | None = None
    """Its result: once it is there the part is never done again."""
    facts: Mapping[str, Any] | None = None
    """Of the result."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A step of a job that is done in parts, on record."""

    job_id: str
    step: int
    grain: float
    """What the split was asked for: the same on every host that does a part."""
    facts: Facts
    """Of the step's input."""
    earlier: tuple[Mapping[str, Any], ...]
    """Outcomes of the steps before."""
    whole: bool = False
    """The parts turned out not to fit: the step is done whole."""
    outcome: Mapping[str, Any] | None = None
    """Of the step, once its parts are joined."""
    pieces: tuple[Piece, ...] = ()

    @property
    def complete(self) -> bool:
        return all(piece.blob for piece in self.pieces)


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one receiver."""

    id: str
    """The same on every attempt: what a receiver knows a repetition by."""
    job_id: str
    key_id: str
    event: str
    url: str
    created_at: float
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    """Those that were made."""
    next_at: float | None = None
    """When the next one is due; None: none is."""

    @property
    def receiver(self) -> str:
        """Whom deliveries wait for one another by: scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"[:200]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver."""

    number: int
    """From 0."""
    at: float
    seconds: float
    status: int | None = None
    """What the receiver answered; None: it did not."""
    error: str | None = None

    @property
    def acknowledged(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that arrives piece by piece: a row of the uploads table."""

    id: str
    key_id: str
    filename: str
    metadata: str
    """The client's Upload-Metadata header, given back as it came."""
    size: int
    """Of the whole file."""
    parts: tuple[Blob, ...]
    """What has arrived, in order."""
    created_at: float
    expires_at: float
    format: str | None = None
    """Told by the first bytes, or by the client."""
    partial: bool = False
    """One of several that are to become one file (tus 1.0, concatenation)."""

    @property
    def offset(self) -> int:
        """Bytes that have arrived."""
        return sum(part.size for part in self.parts)

    @property
    def complete(self) -> bool:
        return self.offset == self.size


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who asks. Its secrets are kept elsewhere, as hashes."""

    id: str
    name: str
    plan: str
    created_at: float
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True)
class KeySecret:
    """What is known of a secret of a key."""

    prefix: str
    """How it begins."""
    expires_at: float | None
    """POSIX seconds, after a rotation; None: it is the newest."""
