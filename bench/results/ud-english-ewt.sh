#!/bin/bash
# Parts of speech (UPOS) of UD English-EWT, release 2.16, gold tokens: 15 minutes on 2 cores; multiword and empty lines are left
# out. The dev file chooses the checkpoint, the test file is scored once.
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/ud-english-ewt
show "$RECUR" train tag "$data/en_ewt-ud-train.conllu.gz" --column upos --valid "$data/en_ewt-ud-dev.conllu.gz" \
    --layers 2 --hidden 256 --time "${TIME:-15m}" --epochs 0 --threads "$THREADS" --seed "$SEED" --run "$WORK/run" -o "$WORK/model.safetensors" \
    --json ${MORE:-} > "$WORK/train.json"
for part in dev test; do
    show "$RECUR" eval "$WORK/model.safetensors" "$data/en_ewt-ud-$part.conllu.gz" --threads "$THREADS" --json > "$WORK/$part.json"
done
result ud-english-ewt accuracy="$(field accuracy "$WORK/test.json")" dev_accuracy="$(field accuracy "$WORK/dev.json")" \
    accuracy_unknown="$(field accuracy_unknown "$WORK/test.json")" words="$(field words "$WORK/test.json")" \
    parameters="$(field parameters "$WORK/train.json")" epochs="$(field epochs "$WORK/train.json")" \
    tokens_per_second="$(field tokens_per_second "$WORK/train.json")" seconds="$(field seconds "$WORK/train.json")"
