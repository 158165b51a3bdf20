#!/bin/sh
# For development: starts the role again whenever it ends, until this script is told to end.
# `kill $(cat /tmp/role.pid)` makes it run what was changed.
trap 'ended=1; kill "$role"' TERM INT
ended=
while [ -z "$ended" ]; do
    outcry "$@" &
    role=$!
    echo "$role" > /tmp/role.pid
    wait "$role"
    [ -z "$ended" ] || wait "$role"
done
