#!/bin/bash
# Characters per second of whole training programs, recur and PyTorch by turns in the same run: LSTM 2 x 256 (batch 64,
# 64 steps) and GRU 1 x 128 (batch 64, 70 steps); embedding, softmax, AdamW and clipping included. PYTHON names a Python
# that has torch; without one PyTorch is left out.
. "$(dirname "$0")/lib.sh"
text=$RECUR_DATA/tinyshakespeare/input.txt
PYTHON=${PYTHON:-python3}
"$PYTHON" -c 'import torch' 2> /dev/null || PYTHON=

ours() { # STEPS OPTIONS...
    local steps=$1
    shift
    show "$RECUR" train lm "$text" --vocab char --dropout 0 --optimizer adamw --clip 1 --valid-fraction 0.01 --valid-every 100000 \
        --sample-length 0 --steps "$steps" --threads "$THREADS" --run "$WORK/run" -o "$WORK/model.safetensors" --quiet --json \
        "$@" > "$WORK/ours.json"
    rm -rf "$WORK/run"
    field tokens_per_second "$WORK/ours.json"
}
theirs() { # STEPS OPTIONS...
    [ -n "$PYTHON" ] || { echo null; return; }
    local steps=$1
    shift
    show "$PYTHON" bench/peers/torch_lm.py "$text" --steps "$steps" --threads "$THREADS" "$@" > "$WORK/theirs.json"
    field tokens_per_second "$WORK/theirs.json"
}
median() { sort -n | sed -n 2p; }
lstm=(--cell lstm --layers 2 --hidden 256 --batch 64 --seq-len 64)
gru=(--cell gru --layers 1 --hidden 128 --batch 64 --seq-len 70)
start=$(date +%s)
for i in 1 2 3; do
    ours 200 "${lstm[@]}" >> "$WORK/a"
    theirs 100 "${lstm[@]}" >> "$WORK/b"
    ours 800 "${gru[@]}" >> "$WORK/c"
    theirs 300 "${gru[@]}" >> "$WORK/d"
done
result train-speed lstm_2x256="$(median < "$WORK/a")" lstm_2x256_torch="$(median < "$WORK/b")" gru_128="$(median < "$WORK/c")" \
    gru_128_torch="$(median < "$WORK/d")" seconds=$(($(date +%s) - start))
