#!/bin/bash
# Intents and slots of snips together: 3 minutes on 2 cores. The published 13,084/700/700: the test set is the 700 sentences of
# validate_*.json; 700 of the 13,784 of train_*_full.json (in the order of their names) are for development. Which ones the
# papers took is not known; here it is sentence i, from 1, when floor(i 700 / 13784) > floor((i - 1) 700 / 13784), which is what
# `recur train` does with a fraction of 700 / 13784. Words are cut at white space.
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/snips
{ # seven files of one intent each as one
    echo '{'
    comma=
    for f in "$data"/validate_*.json; do
        [ -z "$comma" ] || echo ,
        comma=1
        sed -e '1d' -e '$d' "$f"
    done
    echo '}'
} > "$WORK/test.json"
show "$RECUR" train tag --joint-intent "$data"/train_*_full.json --valid-fraction 0.05078352 --time "${TIME:-3m}" --epochs 0 \
    --threads "$THREADS" --seed "$SEED" --run "$WORK/run" -o "$WORK/model.safetensors" --json ${MORE:-} > "$WORK/train.json"
show "$RECUR" eval "$WORK/model.safetensors" "$WORK/test.json" --format snips --threads "$THREADS" --json > "$WORK/eval.json"
result snips intent_accuracy="$(field intent_accuracy "$WORK/eval.json")" span_f1="$(field span_f1 "$WORK/eval.json")" \
    span_f1_strict="$(field span_f1_strict "$WORK/eval.json")" accuracy="$(field accuracy "$WORK/eval.json")" \
    sentence_accuracy="$(field sentence_accuracy "$WORK/eval.json")" sentences="$(field sentences "$WORK/eval.json")" \
    parameters="$(field parameters "$WORK/train.json")" epochs="$(field epochs "$WORK/train.json")" \
    tokens_per_second="$(field tokens_per_second "$WORK/train.json")" seconds="$(field seconds "$WORK/train.json")"
