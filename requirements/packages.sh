#!/bin/sh
# Installs programs from the distribution's packages: requirements/packages.sh PROGRAM[=PACKAGE]...
#
# Does nothing where all are there.  Where it may not install, or there is no apt-get, it says what is missing.
set -eu

missing=''
for each in "$@"; do
    if ! command -v "${each%%=*}" >/dev/null; then missing="$missing ${each#*=}"; fi
done
if [ -z "$missing" ]; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    printf 'Not installed:%s.  Debian, Ubuntu: sudo apt-get install%s\n' "$missing" "$missing" >&2
    exit 1
fi
printf 'installing%s ...\n' "$missing" >&2
# shellcheck disable=SC2086
if ! apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
