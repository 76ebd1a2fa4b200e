#!/bin/bash
# Emerging entities of WNUT17, from scratch: no word vectors, no lists of names, nothing but its training file. The dev file
# chooses the checkpoint and how low O is scored; the test file is scored once. span_f1 as conlleval, span_f1_strict as seqeval
# in strict mode, IOB2.
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/wnut17
show "$RECUR" train tag "$data/wnut17train.conll" --valid "$data/emerging.dev.conll" --batch 16 --lr 0.003 --hidden 128 \
    --chars cnn --char-hidden 60 --exchange 4 --epochs "${EPOCHS:-2}" --threads "$THREADS" --seed "$SEED" --run "$WORK/run" \
    -o "$WORK/model.safetensors" --json ${MORE:-} > "$WORK/train.json"
show "$RECUR" eval "$WORK/model.safetensors" "$data/emerging.dev.conll" --threads "$THREADS" --json > "$WORK/dev.json"
show "$RECUR" eval "$WORK/model.safetensors" "$data/emerging.test.annotated" --threads "$THREADS" --json > "$WORK/test.json"
result wnut17 span_f1="$(field span_f1 "$WORK/test.json")" span_f1_strict="$(field span_f1_strict "$WORK/test.json")" \
    precision="$(field precision "$WORK/test.json")" recall="$(field recall "$WORK/test.json")" \
    dev_span_f1="$(field span_f1 "$WORK/dev.json")" spans="$(field spans "$WORK/test.json")" \
    parameters="$(field parameters "$WORK/train.json")" epochs="$(field epochs "$WORK/train.json")" \
    tokens_per_second="$(field tokens_per_second "$WORK/train.json")" seconds="$(field seconds "$WORK/train.json")"
