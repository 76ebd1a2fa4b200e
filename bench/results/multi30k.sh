#!/bin/bash
# Multi30k, English to German (SOURCE=de TARGET=en: the other way): 45 minutes on 2 cores with recurrent layers, 60 with CELL=transformer. Lower case, Moses' words
# (normalised), as the published rows are; the German test reference then has 12,103 tokens. val chooses the checkpoint, test_2016_flickr
# is scored once, with beam 5.
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/multi30k-en-de
cell=${CELL:-lstm} source=${SOURCE:-en} target=${TARGET:-de}
case $cell in
transformer) options="--layers 4 --hidden 128 --embedding 128 --heads 4 --ffn 256 --lr 0.004 --schedule inverse-sqrt --warmup 2000 --dropout 0.3" time=60m ;;
*) options="" time=45m ;;
esac
# shellcheck disable=SC2086
show "$RECUR" train translate "$data/train.$source.gz" "$data/train.$target.gz" --valid "$data/val.$source.gz" \
    --valid-target "$data/val.$target.gz" \
    --moses --source-lang "$source" --target-lang "$target" --lowercase --cell "$cell" $options ${MORE:-} --time "${TIME:-$time}" --epochs 0 \
    --threads "$THREADS" --seed "$SEED" --run "$WORK/run" -o "$WORK/model.safetensors" --json > "$WORK/train.json"
score() { # NAME BEAM
    show "$RECUR" eval "$WORK/model.safetensors" "$data/$1.$source.gz" --reference "$data/$1.$target.gz" --tokenized --beam "$2" \
        --threads "$THREADS" --json
}
score val 5 > "$WORK/valid.json"
score test_2016_flickr 1 > "$WORK/greedy.json"
score test_2016_flickr 5 > "$WORK/test.json"
result "multi30k-$source-$target-$cell" bleu="$(field bleu "$WORK/test.json")" bleu_greedy="$(field bleu "$WORK/greedy.json")" \
    bleu_valid="$(field bleu "$WORK/valid.json")" chrf="$(field chrf "$WORK/test.json")" \
    reference_tokens="$(field reference_len "$WORK/test.json")" perplexity="$(field perplexity "$WORK/test.json")" \
    parameters="$(field parameters "$WORK/train.json")" epochs="$(field epochs "$WORK/train.json")" \
    tokens_per_second="$(field tokens_per_second "$WORK/train.json")" seconds="$(field seconds "$WORK/train.json")"
