#!/bin/bash
# valgrind.sh [BUILD_DIR]: memcheck over a short training, evaluation and prediction and over some unit tests. Any error or
# definite leak fails; nothing is suppressed. Valgrind's CPU has no AVX-512: the kernels are those of x86-64-v3, picked at start like anywhere.
set -uo pipefail
build=${1:-build-valgrind}
if ! command -v valgrind > /dev/null; then
    echo "valgrind is not installed: skipped (scripts/deps.sh check)"
    exit 0
fi
if [ $# = 0 ]; then
    cmake --preset valgrind > /dev/null && cmake --build "$build" -j "$(nproc)" || exit 1
fi
build=$(realpath "$build")
export RECUR_TEST_DIR=$PWD/tests
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OMP_NUM_THREADS=2
status=0
check() {
    local code=0
    valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
        "$@" > out 2> err < /dev/null || code=$?
    if [ $code != 0 ]; then
        echo "valgrind $*: exit code $code"
        tail -n 60 out err
        status=1
    else
        echo "clean: $(basename "$1") ${*:2}"
    fi
}
for i in $(seq 200); do echo "the cat $((i % 7)) sat on the mat"; done > text.txt
for cell in lstm gru-v1 lstm-projection sru; do
    check "$build/recur" train lm text.txt -o "$cell" --run "run-$cell" --cell "$cell" --hidden 24 --layers 2 --batch 4 --seq-len 8 \
        --steps 6 --valid-every 3 --sample-length 5 --average ema --tied --quiet
done
check "$build/recur" train lm --resume run-lstm --steps 9 --quiet
check "$build/recur" train lm text.txt -o bf16 --run run-bf16 --hidden 24 --batch 4 --steps 3 --precision bf16 --vocab bpe:280 --quiet
check "$build/recur" train lm adding:T=6 --run run-adding --hidden 8 --steps 3 --quiet
check "$build/recur" eval lstm text.txt --window 16 --dynamic
check "$build/recur" eval gru-v1 text.txt --precision int8
check "$build/recur" predict lstm --prompt "the " --length 20 --samples 3 --json
check "$build/recur" explain sru --tensors
check "$build/recur" export bf16 tokenizer.json
for name in test_json test_vocab test_tape test_params test_optim test_average test_schedule test_sample test_state_file \
    test_lm_file test_rnn_golden test_runs; do
    check "$build/tests/$name"
done
exit $status
