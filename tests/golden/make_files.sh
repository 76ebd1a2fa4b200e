#!/bin/bash
# make_files.sh RECUR FOLDER: files of each kind, small, as the program RECUR writes them: models of each vocabulary, a run
# folder that was stopped, and what the program says of them (recorded.txt). format1/ was made by recur 0.1.0: its language models
# before there were other tasks. A state file has no command; make_state.c makes one with the library.
set -euo pipefail
recur=$(realpath "$1")
mkdir -p "$2"
cd "$2"
export OMP_NUM_THREADS=1
awk 'BEGIN {
    split("cat dog bird fish", animal); split("mat log wire stone", place); split("sat ran sang slept", verb)
    for (i = 0; i < 120; i++) printf "the %s %s on the %s\n", animal[i % 4 + 1], verb[i % 3 + 1], place[i * 7 % 4 + 1]
}' > text.txt
small="--hidden 6 --layers 1 --batch 4 --seq-len 12 --threads 1 --seed 5 --sample-length 0 --quiet"
for vocab in char word bpe:262 byte; do
    name=${vocab%%:*}
    "$recur" train lm text.txt --vocab $vocab --cell gru --embedding 4 -o $name.safetensors --steps 60 --run run $small
    rm -r run
done
"$recur" train lm text.txt --tied --skip none --average ema -o run.safetensors --steps 30 --run run $small --keep 1
rm -f run.safetensors run/lock run/events.out.tfevents.*
"$recur" train lm copy:T=5,n=2,k=3 -o experiment.safetensors --steps 2 --run other $small
rm -r other

# One of each task beside the language model, from a few lines of made-up data.
awk 'BEGIN { split("fine good bad poor", w); for (i = 0; i < 60; i++) { k = i % 4 + 1
    printf "%s\tthe %s film number %d\n", k < 3 ? "yes" : "no", w[k], i % 7 } }' > classes.tsv
awk 'BEGIN { for (i = 0; i < 40; i++)
    printf "the DET\n%s NOUN\n%s VERB\n\n", i % 2 ? "cat" : "dog", i % 3 ? "ran" : "sat" }' > tags.txt
awk 'BEGIN { print "date,y"; for (i = 0; i < 60; i++)
    printf "2020-%02d-%02d,%.3f\n", i / 28 + 1, i % 28 + 1, 10 + sin(i * 6.283185 / 7) + i / 50 }' > series.csv
awk 'BEGIN { print "v"; for (i = 0; i < 300; i++) printf "%.3f\n", sin(i / 5) + (i == 250 ? 3 : 0) }' > sensor.csv
awk 'BEGIN { split("a b c d", w); for (i = 0; i < 40; i++)
    printf "%s %s\t%s %s\n", w[i % 4 + 1], w[i * 3 % 4 + 1], w[i * 3 % 4 + 1], w[i % 4 + 1] }' > pairs.tsv
awk 'BEGIN { split("kitchen garden", p); for (i = 0; i < 30; i++)
    printf "1 Mary went to the %s.\n2 Where is Mary?\t%s\t1\n", p[i % 2 + 1], p[i % 2 + 1] }' > stories.txt
make() { # make NAME OPTIONS...: NAME.safetensors
    "$recur" train "${@:2}" -o "$1.safetensors" --steps 20 --batch 4 --threads 1 --seed 5 --quiet --run other
    rm -r other
}
make classifier classify classes.tsv --label 1 --text 2 --hidden 4 --embedding 4
make tagger tag tags.txt --hidden 4 --embedding 4 --char-hidden 4 --char-embedding 4 --affixes 0
make forecaster forecast series.csv --time-column date --target y --horizon 3 --lookback 14 --hidden 4
make detector detect sensor.csv --hidden 4 --history 100
make translator translate pairs.tsv --hidden 4 --embedding 4 --vocab word
make attender translate pairs.tsv --cell transformer --hidden 4 --heads 2 --embedding 4 --vocab word
make answerer answer stories.txt --embedding 4 --restarts 1
make blocks lm classes.tsv --cell transformer --hidden 8 --heads 2 --vocab char --layers 1 --seq-len 12 --sample-length 0
