"""What the repository promises about itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from filemill.engines import ENGINES

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-setup.lock")
HOSTS = re.compile(
    rb"(?i)\b(pypi|files\.pythonhosted|pythonhosted|registry\.npmjs|index\.crates|static\.crates"
    rb"|repo1?\.maven|proxy\.golang|(?:deb|security|snapshot)\.debian|archive\.ubuntu)\.[a-z]{2,}"
)
MACHINE = re.compile(rb"(?<![\w.~-])/(?:work|root/\.pyenv|home/[a-z]+|Users/\w+)/[\w.-]+")


def tracked() -> list[Path]:
    if not shutil.which("git"):
        return []
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False
    ).stdout.split(b"\0")
    paths = [ROOT / name.decode() for name in listed if name]
    return [path for path in paths if path.is_file() and path != Path(__file__)]


def names(requirements: list[str]) -> list[str]:
    return [re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in requirements]


@pytest.mark.parametrize("pattern", [HOSTS, MACHINE], ids=["registry hosts", "machine paths"])
def test_no_file_names(pattern: re.Pattern[bytes]) -> None:
    files = tracked()
    if not files:
        pytest.skip("needs git and a clone")
    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode()}"
        for path in files
        if (match := pattern.search(path.read_bytes()))
    ]
    assert not found


def test_the_patterns_find_what_they_look_for() -> None:
    for host in (b"https://pypi.org/simple", b"http://deb.debian.org/debian"):
        assert HOSTS.search(host)
    for path in (b"'/work/x'", b" /root/.pyenv/versions", b"cd /home/joe/filemill"):
        assert MACHINE.search(path)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) > 3
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==\S+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]
    assert "://" not in text


@pytest.mark.parametrize(
    ("lock", "declared"),
    [
        ("requirements.lock", PROJECT["project"]["dependencies"]),
        ("requirements-dev.lock", PROJECT["dependency-groups"]["dev"]),
        ("requirements-setup.lock", PROJECT["dependency-groups"]["setup"]),
    ],
)
def test_locks_are_in_step_with_the_project(lock: str, declared: list[str]) -> None:
    locked = dict(re.findall(r"(?m)^([a-z0-9-]+)==([^ \\;]+)", (ROOT / lock).read_text()))
    for requirement in map(Requirement, declared):
        version = locked.get(requirement.name.lower().replace("_", "-"))
        assert version, f"{requirement} is not in {lock}: run tools/lock"
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_the_locks_agree() -> None:
    seen: dict[str, str] = {}
    for lock in LOCKS:
        text = (ROOT / lock).read_text()
        for name, version in re.findall(r"(?m)^([a-z0-9-]+)==([^ \\;]+)", text):
            assert seen.setdefault(name, version) == version, f"{name} in {lock}: run tools/lock"


def test_every_dependency_is_explained() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    explained = set(re.findall(r"`([A-Za-z0-9._-]+)`", page))
    groups = PROJECT["dependency-groups"]
    declared = names(PROJECT["project"]["dependencies"] + groups["dev"] + groups["setup"])
    assert set(declared) <= explained, "docs/dependencies.md lacks a line"


def test_what_engines_import_is_locked() -> None:
    """A module that is there by chance here would be missing elsewhere, and its engine off."""
    distributions = packages_distributions()
    locked = set(re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text()))
    for engine in ENGINES:
        for module in engine.modules:
            owners = {
                name.lower().replace("_", "-")
                for name in distributions.get(module.partition(".")[0], ())
            }
            assert owners & locked, f"{engine.name} imports {module}: add it to pyproject.toml"


def test_every_module_stands_on_a_documented_floor() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text().partition("## The floors")[2]
    named = re.findall(r"`(\w+)/?`", table.partition("\n## ")[0])
    modules = {path.stem for path in (ROOT / "src/filemill").glob("*") if path.suffix != ".typed"}
    assert sorted(modules - {"__init__", "__pycache__"}) == sorted(set(named))


def test_scripts_are_posix_shell() -> None:
    for script in ("run", "test", "tools/setup.sh", "tools/lock", ".ci/run"):
        done = subprocess.run(["/bin/sh", "-n", script], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    for script in ("run", "test", "tools/lock", ".ci/run"):
        assert (ROOT / script).stat().st_mode & 0o111, f"{script} is not executable"


def test_the_module_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "filemill", "--version"], capture_output=True, text=True, check=True
    )
    source = (ROOT / "src/filemill/__init__.py").read_text()
    assert f'"{done.stdout.strip()}"' in source
