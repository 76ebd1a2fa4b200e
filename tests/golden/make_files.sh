#!/bin/bash
# make_files.sh RECUR FOLDER: files of each kind, small, as the program RECUR writes them: models of each vocabulary, a run
# folder that was stopped, and what the program says of them (recorded.txt). format1/ was made by recur 0.1.0. A state file
# has no command; make_state.c makes one with the library.
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
