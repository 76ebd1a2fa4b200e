#!/bin/bash
# ctest.sh BUILD_DIR [ARGUMENT...]: runs the tests there; when some fail, says how to run just those again.
set -uo pipefail
build=$1
shift
if ctest --test-dir "$build" --output-on-failure -j "$(nproc)" "$@"; then exit 0; fi
log=$build/Testing/Temporary/LastTestsFailed.log
if [ -s "$log" ]; then
    echo
    echo "To run one again:"
    sed 's/^[0-9]*://' "$log" | while read -r name; do
        echo "    ctest --test-dir $build --output-on-failure -R '^${name//./\\.}\$'"
    done
fi
exit 1
