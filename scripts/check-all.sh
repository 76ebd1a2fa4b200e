#!/bin/bash
# check-all.sh [PRESET...]: builds and tests each preset of CMakePresets.json in its own folder; all of them by default.
set -uo pipefail
export RECUR_TEST_EFFORT=${RECUR_TEST_EFFORT:-5} # so many times the random cases of `make test`
all=$#
[ $# -gt 0 ] || set -- gcc clang cblas reference asan tsan
effort=${RECUR_TEST_EFFORT:-}
launcher=()
command -v ccache > /dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
summary=()
status=0
for preset in "$@"; do
    echo "==== $preset"
    start=$SECONDS
    case $preset in # tests that can look longer do so once (tests/test_effort.h)
    gcc) export RECUR_TEST_EFFORT=${effort:-20} ;;
    *) export RECUR_TEST_EFFORT=${effort:-1} ;;
    esac
    if ! cmake --preset "$preset" "${launcher[@]}" > "build-$preset.log" 2>&1; then
        cat "build-$preset.log"
        result="cannot be configured"
    elif ! cmake --build "build-$preset" -j "$(nproc)"; then
        result="does not build"
    elif ! scripts/ctest.sh "build-$preset"; then
        result="tests FAIL"
    else
        result="passes"
    fi
    rm -f "build-$preset.log"
    [ "$result" = passes ] || status=1
    summary+=("$(printf '%-12s %-24s %5d s' "$preset" "$result" $((SECONDS - start)))")
done
for script in static valgrind; do # not when presets were named
    [ "$all" = 0 ] || break
    echo "==== $script"
    start=$SECONDS
    result=passes
    "scripts/$script.sh" || { result=FAILS; status=1; }
    summary+=("$(printf '%-12s %-24s %5d s' "$script" "$result" $((SECONDS - start)))")
done
echo
printf '%s\n' "${summary[@]}"
exit $status
