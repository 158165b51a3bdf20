#!/bin/sh
# For development, as the first process of a container: runs outcry with the words that it is given, and ends as outcry ends.
# SIGUSR1 says that files were copied in: outcry starts again in the same container, where they are, and whenever it ends from then on.
ended='' changed=''
trap 'ended=1; kill "$role" 2>/dev/null' TERM INT
trap 'changed=1; kill "$role" 2>/dev/null' USR1
while [ -z "$ended" ]; do
    outcry "$@" &
    role=$!
    wait "$role"
    status=$?
    while kill -0 "$role" 2>/dev/null; do # a signal ended the wait, not outcry
        wait "$role"
        status=$?
    done
    [ -n "$changed" ] || exit "$status"
    [ -n "$ended" ] || sleep 0.5
done
exit "$status"
