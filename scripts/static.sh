#!/bin/bash
# static.sh [BUILD_DIR]: clang-tidy (.clang-tidy says what) and cppcheck over src/, cli/, examples/ and the headers they use.
# Any finding fails. A tool that is missing is said and skipped. BUILD_DIR: where compile_commands.json is made.
set -uo pipefail
build=${1:-build-static}
status=0
jobs=$(nproc)
cmake -G Ninja -S . -B "$build" -DRECUR_TESTS=ON -DCMAKE_C_COMPILER="$(command -v clang || command -v cc)" > /dev/null || exit 1

if command -v clang-tidy > /dev/null; then
    mapfile -t files < <(git ls-files 'src/*.c' 'cli/*.c' 'examples/*.c' | grep -v kernels/isa.c)
    printf '%s\n' "${files[@]}" | xargs -P "$jobs" -n 4 clang-tidy -p "$build" --quiet 2> /dev/null > "$build/tidy.txt"
    # One source, once per instruction set: that of the widest registers holds nearly all of it.
    clang-tidy -p "$build" --quiet src/kernels/isa.c 2> /dev/null >> "$build/tidy.txt"
    if grep -qE '(warning|error):' "$build/tidy.txt"; then
        cat "$build/tidy.txt"
        status=1
    fi
    echo "clang-tidy: ${#files[@]} files, $(grep -cE '(warning|error):' "$build/tidy.txt") findings"
else
    echo "clang-tidy is not installed: skipped (scripts/deps.sh check)"
fi

if command -v cppcheck > /dev/null; then
    # invalidPointerCast: option tables hold offsets into structs, and char * is how C walks them.
    # missingIncludeSystem: it has no need of the system's headers.
    cppcheck --enable=warning,performance,portability --inline-suppr --std=c11 --library=posix -j "$jobs" --quiet \
        --error-exitcode=1 --suppress=missingIncludeSystem --suppress=invalidPointerCast \
        -I include -I src -D_GNU_SOURCE -DRC_LIBRARY -DRC_GEMM_ONEDNN '-DRC_ISA_BUILT="ref"' -DRC_ISA=v4 -DRC_ISA_v4 \
        -D__AVX512F__ -D__AVX512BW__ -D__AVX512DQ__ -D__AVX512VL__ '-Djson_object_foreach(o,k,v)=for(;(k)&&(v);)' \
        -U__clang_analyzer__ -URC_DOUBLE -URC_DEBUG src cli examples || { status=1; echo "cppcheck: findings above"; }
else
    echo "cppcheck is not installed: skipped (scripts/deps.sh check)"
fi
exit $status
