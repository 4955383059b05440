#!/bin/sh
# Makes build/gitlab-ci-local hold what package-lock.json says, and finds what it needs on the machine: Node, rsync.
# Nothing is done where it was made from this very lock.  Run it from the repository's root.
set -eu

here=requirements/gitlab-ci-local
target=build/gitlab-ci-local
say() { printf '%s\n' "$*" >&2; }

if ! node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null || ! command -v npm >/dev/null; then
    say "make ci needs Node 20 or newer with npm. Install it, then run make ci again:"
    say "  Debian 13, Ubuntu 26.04:  sudo apt-get install nodejs npm"
    say "  elsewhere:                nodejs.org, or a version manager (nvm, fnm, mise)"
    exit 1
fi
requirements/packages.sh rsync
mkdir -p build
exec 9>build/install.lock
if command -v flock >/dev/null; then flock 9; fi
wanted=$(sha256sum <"$here/package-lock.json")
if [ "$(cat "$target/.fingerprint" 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi
rm -rf "$target"
mkdir -p "$target"
cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$target"
npm ci --prefix "$target" --silent --omit=dev --ignore-scripts --no-audit --no-fund
printf '%s\n' "$wanted" >"$target/.fingerprint"
