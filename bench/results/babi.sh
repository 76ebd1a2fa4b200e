#!/bin/bash
# bAbI, 1,000 questions a task, the 20 tasks each for itself: mean error in per cent, and on how many it is above 5. Two kinds of
# network are trained for each task, memory (10 members) and query (5 members), on 90 % of the training stories; the other 10 %
# choose the members that answer together and the kind. The test file is scored once, by the kind chosen; the error of each
# kind alone is printed beside. About 7 minutes on 2 cores. JOBS=2 tasks at a time on one thread each; TASKS="1 2 3" some of them.
. "$(dirname "$0")/lib.sh"
data=$RECUR_DATA/babi-en-1k
TASKS=${TASKS:-$(seq 20)}
one() { # one TASK: trains and scores both kinds
    local q=$1 kind train test
    train=$(echo "$data"/qa"$q"_*_train.txt) test=$(echo "$data"/qa"$q"_*_test.txt)
    for kind in memory query; do
        "$RECUR" train answer "$train" --model $kind --threads 1 --seed "$SEED" --run "$WORK/run-$q-$kind" --quiet \
            -o "$WORK/$q-$kind.safetensors" --json ${MORE:-} > "$WORK/$q-$kind.train.json"
        "$RECUR" eval "$WORK/$q-$kind.safetensors" "$test" --threads 1 --json > "$WORK/$q-$kind.eval.json"
        rm -rf "$WORK/run-$q-$kind"
    done
}
for q in $TASKS; do
    while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-2}" ]; do wait -n; done
    one "$q" &
done
wait
for q in $TASKS; do
    for kind in memory query; do
        echo "$q $kind $(field accuracy "$WORK/$q-$kind.train.json") $(field valid_loss "$WORK/$q-$kind.train.json")" \
            "$(field mean_error "$WORK/$q-$kind.eval.json") $(field seconds "$WORK/$q-$kind.train.json")"
    done
done > "$WORK/all"
# the kind of higher validation accuracy, of lower loss when they are equal
awk '{ key = $3 - 1e-3 * $4; if (!($1 in best) || key > best[$1]) { best[$1] = key; kind[$1] = $2; error[$1] = $5 }
       of[$1, $2] = $5; sum[$2] += $5; time += $6; if (!seen[$1]++) order[++n] = $1 }
     END { for (i = 1; i <= n; i++) { q = order[i]; mean += error[q]; failed += error[q] > 5
               printf "qa%-2s  memory %5.1f  query %5.1f  chosen %s\n", q, of[q, "memory"], of[q, "query"], kind[q] > "/dev/stderr" }
           printf "%.2f %d %.2f %.2f %.0f %d\n", mean / n, failed, sum["memory"] / n, sum["query"] / n, time, n }' "$WORK/all" > "$WORK/sum"
read -r mean failed memory query seconds n < "$WORK/sum"
THREADS=1 result babi mean_error="$mean" failed_tasks="$failed" memory_alone="$memory" query_alone="$query" tasks="$n" seconds="$seconds"
