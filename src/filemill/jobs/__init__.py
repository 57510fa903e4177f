"""What is kept in the database: jobs, keys, secrets. SQLite and PostgreSQL, by URL."""
