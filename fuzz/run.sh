#!/bin/bash
# run.sh BUILD SECONDS [NAME...]: each libFuzzer target for so long, one after the other; all of them by default. What was
# found is kept in fuzz/crashers/NAME/ and run by every `make test` from then on; new inputs stay in BUILD/corpus/.
set -uo pipefail
build=$1 seconds=$2
shift 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -gt 0 ] || set -- $(cd "$here/corpus" && ls)
# A block that may not be had is NULL, as in production; leaks and undefined behaviour count.
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
status=0
for name in "$@"; do
    mkdir -p "$build/corpus/$name" "$here/crashers/$name"
    log=$build/fuzz-$name.log
    if nice -n 10 "$build/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
        -print_final_stats=1 -artifact_prefix="$here/crashers/$name/" "$build/corpus/$name" "$here/corpus/$name" \
        > "$log" 2>&1; then
        sed -n 's/^#\([0-9]*\)\tDONE *cov: \([0-9]*\).*/\1 runs, \2 edges/p' "$log" | sed "s/^/$(printf '%-12s' "$name") /"
    else
        echo "$name: FAILED; the input is kept in $here/crashers/$name/, the report in $log"
        status=1
    fi
    rmdir "$here/crashers/$name" 2> /dev/null || true
done
exit $status
