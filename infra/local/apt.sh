#!/bin/sh
# Installs Debian packages where this user may, else says what to run: apt.sh REASON PACKAGE...
# REASON is a sentence that says what is missing. Ends with status 1 when the packages did not come.
set -eu
reason=$1
shift
if ! command -v apt-get >/dev/null 2>&1; then
    echo "$reason Install what Debian calls $*, then run the same command again." >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "$reason Run as root or with sudo:  apt-get install $*   and then the same command again." >&2
    exit 1
fi
echo "$reason Installing $* with apt-get ..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# A source that cannot be refreshed does not matter while the packages come.
if ! { apt-get update -qq || true; apt-get install -y -qq --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
    tail -20 "$log" >&2
    echo "apt-get could not install $*: see above. Mend it, then run the same command again." >&2
    exit 1
fi
