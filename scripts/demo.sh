#!/bin/bash
# demo.sh: from a bare Debian to a trained character model in under five minutes.
#
# The text is TEXT when that is set. Otherwise it is the King James Bible of the Debian package bible-kjv: 4.3 MB of plain
# English without mark-up, in ASCII, out of copyright, in one style, so that a small model writes recognisable verses after a
# minute; it has long been a standard text for compressors and language models. (Of the other texts in Debian, fortunes mixes
# too many styles, the Jargon File is indented and half as large, and the RFCs are mostly tables.)
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
jobs=${JOBS:-$(nproc)}
text=${TEXT:-}
limit=285 # seconds for everything; training gets what is left, at most 200

say() { printf '\n== %s\n' "$*"; }
if [ -n "$text" ]; then
    [ -r "$text" ] && [ ! -d "$text" ] || { echo "TEXT: $text: cannot be read" >&2; exit 4; }
    scripts/deps.sh build
else
    scripts/deps.sh build demo
fi

say "Building"
launcher=()
command -v ccache > /dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
mkdir -p demo
if ! cmake -G Ninja -S . -B "$build" -DRECUR_TESTS=OFF "${launcher[@]}" > demo/build.log 2>&1 ||
    ! cmake --build "$build" -j "$jobs" --target recur >> demo/build.log 2>&1; then
    tail -n 30 demo/build.log >&2
    echo "The build failed; all of it is in demo/build.log" >&2
    exit 1
fi
"$build/recur" --version

if [ -z "$text" ]; then
    text=demo/text.txt
    # One verse a line, without its number.
    bible -f gen1:1-rev22:21 < /dev/null | sed 's/^[^ ]* //' > "$text.part"
    mv "$text.part" "$text"
fi
seconds=$((limit - SECONDS - 15))
[ $seconds -lt 200 ] || seconds=200
[ $seconds -gt 60 ] || seconds=60 # a slow machine or line: late, but with a model worth looking at
seconds=${SECONDS_TO_TRAIN:-$seconds}

say "Training on $text ($(wc -c < "$text") bytes) for $seconds seconds"
rm -rf demo/run # of an earlier demo
"$build/recur" train lm "$text" --preset quick --valid-fraction 0.03 --time "${seconds}s" --run demo/run -o demo/model.safetensors

say "Done after $SECONDS seconds: demo/model.safetensors (the model), demo/run (the log, checkpoints, TensorBoard events)"
echo "Go on:  $build/recur predict demo/model.safetensors --prompt \"And \" --length 500 --temperature 0.7"
