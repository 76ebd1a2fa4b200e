#!/bin/bash
# Word model of wikitext2 (33,278 types, <eos> for newlines, <unk> a type): 40 minutes on 2 cores; perplexity over all
# tokens of the test file, one stateful pass with the whole softmax.
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/wikitext2
show "$RECUR" train lm "$data/train.txt.gz" --valid "$data/valid.txt.gz" --vocab word --time "${TIME:-40m}" --threads "$THREADS" \
    --seed "$SEED" --tied --layers 2 --hidden 400 --embedding 400 --softmax-samples 4096 --batch 32 --seq-len 35 \
    --dropout 0.4 --dropout-input 0.3 --lr 0.003 --schedule cosine --average ema --average-decay 0.999 --valid-every 4000 \
    --sample-length 0 --run "$WORK/run" -o "$WORK/model.safetensors" --json > "$WORK/train.json"
for part in valid test; do
    show "$RECUR" eval "$WORK/model.safetensors" "$data/$part.txt.gz" --threads "$THREADS" --json > "$WORK/$part.json"
done
result wikitext2 test_perplexity="$(field perplexity "$WORK/test.json")" valid_perplexity="$(field perplexity "$WORK/valid.json")" \
    nats="$(field nats "$WORK/test.json")" count="$(field count "$WORK/test.json")" \
    parameters="$(field parameters "$WORK/train.json")" epochs="$(field epochs "$WORK/train.json")" \
    tokens_per_second="$(field tokens_per_second "$WORK/train.json")" seconds="$(field seconds "$WORK/train.json")"
