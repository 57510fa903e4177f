# shellcheck shell=sh disable=SC2154
# Sourced by ./run and ./test, with $root set: makes .venv, installs what the lock files say and,
# where it may, the system's own converters. Speaks on standard error only. When all is done
# already (the stamps in .venv say so) it costs a few milliseconds.

venv=$root/.venv
tools="libreoffice-writer-nogui libreoffice-calc-nogui libreoffice-impress-nogui
    fonts-liberation fonts-dejavu-core fonts-crosextra-carlito fonts-crosextra-caladea"

say() { printf 'filemill: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Whether packages may be installed here: Debian or its kin, as root or with sudo that asks nothing.
may_install() { command -v apt-get >/dev/null && as_root true 2>/dev/null; }

apt_install() {
    say "installing with apt-get: $*"
    {
        as_root apt-get update -qq &&
            as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -qq --no-install-recommends "$@"
    } </dev/null >&2
}

# Prints the first Python that is new enough and that the locked wheels exist for.
find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
            2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    python=$(find_python) || {
        if may_install; then apt_install python3 python3-venv || true; fi
        python=$(find_python) || die "needs Python 3.11, 3.12, 3.13 or 3.14; install one of them."
    }
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        if may_install; then apt_install "$package" || true; fi
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            die "this Python cannot make virtual environments: apt-get install $package"
    fi
    say "making $venv with $("$python" -V)"
    "$python" -m venv --clear "$venv"
}

# What an installed lock file depends on: its text, the Python it is installed for, the folder.
key() { { "$venv/bin/python" -V && pwd -P && cat requirements-setup.lock "$1"; } 2>&1 | sha256sum; }

# install LOCK: every package by hash. PKG_CONFIG: pyvips (pure Python) must not find a libvips of
# the system to compile against, it shall use the one of its wheel. Byte code is compiled now:
# sandboxed workers cannot write it.
install() {
    stamp=$venv/.stamp-$1
    [ "$(key "$1")" = "$(cat "$stamp" 2>/dev/null)" ] && return
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || make_venv
    say "installing the Python packages of $1 (once)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        -r requirements-setup.lock >&2
    PKG_CONFIG=false "$venv/bin/python" -m uv --no-config pip install --quiet --python "$venv/bin/python" \
        --require-hashes --build-constraints requirements-setup.lock --compile-bytecode \
        -r "$1" >&2
    "$venv/bin/python" -c 'import sys, sysconfig
with open(sysconfig.get_path("purelib") + "/filemill.pth", "w") as file:
    file.write(sys.argv[1] + "\n")' "$root/src"
    key "$1" >"$stamp"
}

system_tools() {
    [ "${FILEMILL_SYSTEM_TOOLS:-on}" = off ] && return
    # Told or done once for this list and this user.
    stamp=$venv/.stamp-system-tools
    [ "$tools $(id -u)" = "$(cat "$stamp" 2>/dev/null)" ] && return
    missing=
    for tool in $tools; do
        dpkg-query -W -f '${db:Status-Status}' "$tool" 2>/dev/null | grep -qx installed ||
            missing="$missing $tool"
    done
    if [ -n "$missing" ] && may_install; then
        say "for Word, Excel, PowerPoint and OpenDocument files (FILEMILL_SYSTEM_TOOLS=off: without):"
        # shellcheck disable=SC2086
        apt_install $missing || {
            say "that failed; going on without. './run doctor' says which formats that costs."
            return
        }
    elif [ -n "$missing" ]; then
        say "missing, and not allowed to install here:$missing"
        say "without LibreOffice there is no doc, xls, ppt, odp, and no office file becomes a pdf;" \
            "'./run doctor' lists all. To get it: sudo apt-get install$missing"
    fi
    printf '%s' "$tools $(id -u)" >"$stamp" || true
}

# For the tests only: PostgreSQL, of which they start a private server. Told or done once.
test_tools() {
    [ "${FILEMILL_SYSTEM_TOOLS:-on}" = off ] && return
    stamp=$venv/.stamp-test-tools
    [ -e "$stamp" ] && return
    set -- /usr/lib/postgresql/*/bin/initdb
    if ! [ -x "$1" ] && ! command -v initdb >/dev/null; then
        if may_install; then
            say "for the tests on PostgreSQL (FILEMILL_SYSTEM_TOOLS=off: without):"
            apt_install postgresql || say "that failed; those tests are skipped."
        else
            say "the tests on PostgreSQL are skipped; to run them: sudo apt-get install postgresql"
        fi
    fi
    : >"$stamp" || true
}

setup() {
    here=$PWD
    cd "$root" || exit
    for lock in "$@"; do install "$lock"; done
    system_tools
    cd "$here" || exit
}
