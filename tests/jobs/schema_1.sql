-- The schema of version 1 (release 0.1.0), frozen: where every later one begins.
-- SQLite has DOUBLE in place of DOUBLE PRECISION.

CREATE TABLE api_keys (
    id VARCHAR(64) NOT NULL,
    name TEXT NOT NULL,
    plan VARCHAR(32) NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    revoked_at DOUBLE PRECISION,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX api_keys_name ON api_keys (name) WHERE revoked_at IS NULL;

CREATE TABLE idempotency (
    key_id VARCHAR(64) NOT NULL,
    token VARCHAR(128) NOT NULL,
    fingerprint VARCHAR(64) NOT NULL,
    job_id VARCHAR(64) NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (key_id, token)
);
CREATE INDEX ix_idempotency_expires_at ON idempotency (expires_at);
CREATE INDEX ix_idempotency_job_id ON idempotency (job_id);

CREATE TABLE jobs (
    id VARCHAR(64) NOT NULL,
    key_id VARCHAR(64) NOT NULL,
    state VARCHAR(16) NOT NULL,
    plan TEXT NOT NULL,
    filename TEXT NOT NULL,
    input TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    turn INTEGER NOT NULL,
    held BOOLEAN NOT NULL,
    progress_pct INTEGER NOT NULL,
    attempt VARCHAR(64),
    attempts INTEGER NOT NULL,
    output TEXT,
    output_name TEXT,
    media_type TEXT,
    started_at DOUBLE PRECISION,
    finished_at DOUBLE PRECISION,
    ends_at DOUBLE PRECISION,
    report TEXT,
    error TEXT,
    webhook_url TEXT,
    source_url TEXT,
    output_url TEXT,
    metadata TEXT,
    base_url TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX jobs_by_end ON jobs (finished_at);
CREATE INDEX jobs_by_expiry ON jobs (expires_at);
CREATE INDEX jobs_by_state ON jobs (state, created_at);
CREATE INDEX jobs_in_line ON jobs (key_id, state, turn);
CREATE INDEX jobs_of_key ON jobs (key_id, created_at, id);

CREATE TABLE request_counts (
    subject VARCHAR(128) NOT NULL,
    start BIGINT NOT NULL,
    ends_at DOUBLE PRECISION NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (subject, start)
);

CREATE TABLE schema_version (
    version INTEGER NOT NULL,
    PRIMARY KEY (version)
);

CREATE TABLE secrets (
    purpose VARCHAR(32) NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    value VARCHAR(128) NOT NULL,
    PRIMARY KEY (purpose, created_at)
);

CREATE TABLE uploads (
    id VARCHAR(64) NOT NULL,
    key_id VARCHAR(64) NOT NULL,
    filename TEXT NOT NULL,
    metadata TEXT NOT NULL,
    size BIGINT NOT NULL,
    parts TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    format VARCHAR(32),
    partial BOOLEAN NOT NULL,
    lock VARCHAR(64),
    locked_until DOUBLE PRECISION,
    PRIMARY KEY (id)
);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);
CREATE INDEX uploads_of_key ON uploads (key_id);

CREATE TABLE usage (
    key_id VARCHAR(64) NOT NULL,
    month VARCHAR(7) NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (key_id)
);

CREATE TABLE webhook_secrets (
    key_id VARCHAR(64) NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    value VARCHAR(128) NOT NULL,
    expires_at DOUBLE PRECISION,
    PRIMARY KEY (key_id, created_at)
);

CREATE TABLE api_key_secrets (
    hash VARCHAR(64) NOT NULL,
    key_id VARCHAR(64) NOT NULL,
    prefix VARCHAR(32) NOT NULL,
    expires_at DOUBLE PRECISION,
    PRIMARY KEY (hash),
    FOREIGN KEY(key_id) REFERENCES api_keys (id)
);
CREATE INDEX ix_api_key_secrets_key_id ON api_key_secrets (key_id);

CREATE TABLE cuts (
    job_id VARCHAR(64) NOT NULL,
    step INTEGER NOT NULL,
    grain DOUBLE PRECISION NOT NULL,
    facts TEXT NOT NULL,
    earlier TEXT NOT NULL,
    waiting INTEGER NOT NULL,
    whole BOOLEAN NOT NULL,
    outcome TEXT,
    base DOUBLE PRECISION NOT NULL,
    span DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (job_id, step),
    FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);

CREATE TABLE deliveries (
    id VARCHAR(64) NOT NULL,
    job_id VARCHAR(64) NOT NULL,
    key_id VARCHAR(64) NOT NULL,
    event VARCHAR(32) NOT NULL,
    url TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    state VARCHAR(16) NOT NULL,
    attempts INTEGER NOT NULL,
    next_at DOUBLE PRECISION,
    PRIMARY KEY (id),
    FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX ix_deliveries_job_id ON deliveries (job_id);

CREATE TABLE parts (
    job_id VARCHAR(64) NOT NULL,
    step INTEGER NOT NULL,
    number INTEGER NOT NULL,
    weight DOUBLE PRECISION NOT NULL,
    attempt VARCHAR(64),
    attempts INTEGER NOT NULL,
    fraction DOUBLE PRECISION NOT NULL,
    blob TEXT,
    facts TEXT,
    PRIMARY KEY (job_id, step, number),
    FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);

CREATE TABLE delivery_attempts (
    delivery_id VARCHAR(64) NOT NULL,
    number INTEGER NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    status INTEGER,
    error TEXT,
    PRIMARY KEY (delivery_id, number),
    FOREIGN KEY(delivery_id) REFERENCES deliveries (id) ON DELETE CASCADE
);

INSERT INTO schema_version (version) VALUES (1);
