#!/bin/sh
# Makes one environment hold exactly what its hashed locks say: requirements/install.sh ENV LOCK [DATA_LOCK [PROJECT]]
#
# LOCK is installed with its dependencies, DATA_LOCK without (packages that only carry something).  PROJECT is a folder with
# a pyproject.toml, installed editable with the setuptools of LOCK.  Nothing is done where the environment was made from
# these very files.  Run it from the repository's root.
set -eu

environment=$1
lock=$2
data_lock=${3:-}
project=${4:-}
here=requirements
uv=build/uv/bin/uv
is_fitting='import sys, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))'

say() { printf '%s\n' "$*" >&2; }

check_platform() {
    if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
        say "This runs on Linux x86-64 only (TensorFlow's and Envoy's wheels); this is $(uname -s) $(uname -m)."
        say "Use a Linux machine or virtual machine, or WSL 2 on Windows."
        exit 1
    fi
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || true)
    minor=${libc#glibc 2.}
    case $libc in
        'glibc 2.'*) [ "${minor%%.*}" -ge 31 ] && return ;;
    esac
    say "glibc 2.31 or newer is needed; this system has ${libc:-no glibc}. Use Debian 11, Ubuntu 20.04, RHEL 9 or newer."
    exit 1
}

bootstrap_uv() {
    [ -x "$uv" ] && return
    for python in python3.11 python3; do
        if command -v "$python" >/dev/null && "$python" -c "$is_fitting" 2>/dev/null; then
            "$python" -m venv --clear build/uv
            build/uv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$here/uv.txt"
            return
        fi
    done
    if command -v uv >/dev/null && uv venv -q --clear --python 3.11 build/uv; then
        uv pip install -q --python build/uv/bin/python --require-hashes -r "$here/uv.txt"
        return
    fi
    say "Python 3.11 with venv was not found. Install it, then run make again:"
    say "  Debian 12:      sudo apt-get install python3.11 python3.11-venv"
    say "  Ubuntu:         sudo add-apt-repository ppa:deadsnakes/ppa && sudo apt-get install python3.11 python3.11-venv"
    say "  Fedora, RHEL:   sudo dnf install python3.11"
    say "  anywhere:       install uv (pip install uv), which fetches a Python of its own"
    exit 1
}

fingerprint() {
    {
        printf '%s\n' "$location"
        cat "$here/$lock" ${data_lock:+"$here/$data_lock"} ${project:+"$project/pyproject.toml"}
    } | sha256sum | cut -d' ' -f1
}

mkdir -p build "$environment"
exec 9>build/install.lock
if command -v flock >/dev/null; then flock 9; fi

# A moved environment is a broken one: its scripts name their interpreter by its full path.
location=$(cd -P "$environment" && pwd)
wanted=$(fingerprint)
checkout=$(pwd -P)
owner=$(cat "$environment/.checkout" 2>/dev/null || true)
# What was installed editable is gone with the checkout that it was installed from.
if [ "$(cat "$environment/.fingerprint" 2>/dev/null || true)" = "$wanted" ]; then
    if [ -z "$project" ] || [ -d "$owner" ]; then exit 0; fi
fi
before=$(cat "$environment/.location" 2>/dev/null || true)
# A linked environment may be another checkout's: its pipelines would become those of this one.
if [ "$before" = "$location" ] && [ "$owner" != "$checkout" ] && [ -d "$owner" ]; then
    say "environment $environment is that of $owner, which has other locks: run make there, or remove the link"
    exit 1
fi
check_platform
started=$(date +%s)
say "environment $environment: installing from $here/$lock ..."
# uv does not read pip's settings: hand the index and the certificates on.
if [ -n "${PIP_INDEX_URL:-}" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"; fi
if [ -n "${PIP_CERT:-}" ]; then export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"; fi
export UV_LINK_MODE="${UV_LINK_MODE:-copy}"
rm -f "$environment/.fingerprint"  # Interrupted from here on, it is neither what it was nor what it shall be.
bootstrap_uv
if [ "$before" != "$location" ]; then
    "$uv" venv -q --clear --python build/uv/bin/python "$environment"
    printf '%s\n' "$location" >"$environment/.location"
fi
"$uv" pip sync -q --python "$environment/bin/python" --require-hashes "$here/$lock"
if [ -n "$data_lock" ]; then
    "$uv" pip install -q --python "$environment/bin/python" --require-hashes --no-deps -r "$here/$data_lock"
fi
if [ -n "$project" ]; then
    "$uv" pip install -q --python "$environment/bin/python" --offline --no-deps --no-build-isolation --editable "$project"
fi
printf '%s\n' "$checkout" >"$environment/.checkout"
printf '%s\n' "$wanted" >"$environment/.fingerprint"
say "environment $environment: ready after $(($(date +%s) - started)) s"
