"""`python -m filemill`, and the `filemill` command."""

from __future__ import annotations

from filemill.cli import app


def main() -> None:
    app(prog_name="filemill")


if __name__ == "__main__":
    main()
