# Searching for good options, and comparing encoders: small data made here.
. "$(dirname "$0")/lib.sh"
mask 's/[0-9.]+[kM]? (tokens|steps)\/s/N \1\/s/; s/search  .*, in/search  TIME, in/; s/[0-9.]+s left/TIME left/; s/  [0-9.]+s  /  TIME  /'
mask 's/ {2,}/  /g; s/cells: rnn .* sru/cells: rnn ... sru/'

# Which word decides; the rest is filler.
awk 'BEGIN {
    split("great fine good", up); split("awful dull poor", down); split("the film a plot its scene", filler)
    print "text,label"
    for (i = 0; i < 120; i++) {
        y = i * 7 % 2
        printf "%s %s %s %s,%s\n", filler[i % 6 + 1], y ? up[i % 3 + 1] : down[i % 3 + 1], filler[i * 5 % 6 + 1],
            filler[i * 11 % 6 + 1], y ? "good" : "bad"
    }
}' >reviews.csv
awk 'BEGIN {
    print "id,t,x,y"
    for (i = 0; i < 40; i++) for (t = 0; t < 6; t++) printf "%d,%d,%.3f,%.3f\n", i, t, (i * 13 % 40) / 40 + t / 60, (i * 13 % 40) / 40
}' >series.csv
small="--embedding 4 --layers 1 --threads 1"
space='lr=0.001..0.03 hidden=4,6,8 dropout=0..0.5'

recur tune classify reviews.csv --trials 9 --epochs 4 --search "$space" $small --run search -o best.safetensors >out 2>err
check 'the space is told' grep -qx "space: $space" err
check 'the rungs are told' grep -qx '9 trials: 9 for 1/9 of a run, 3 for 1/3 of a run, 1 to the end' err
check 'the data are told once' test "$(grep -c '^data: ' err)" = 1
check 'each rung of each trial is told' test "$(grep -cE '^rung [1-3]/3  [0-9]/[0-9]  trial [0-9]  (score|accuracy) .* left$' err)" = 13
check 'all are in the table' test "$(grep -cE '(stopped|best)$' out)" = 9
check 'one is the best' test "$(grep -cE '^ *[0-9]+ .* best$' out)" = 1
check 'a line for each rung of each trial' test "$(wc -l <search/trials.jsonl)" = 13
check 'lines say what was tried' jq -se 'all(.[]; (.settings | keys_unsorted) == ["lr", "hidden", "dropout"] and .score != null and .loss > 0 and .seconds > 0)' search/trials.jsonl
check 'the first has the defaults' jq -se '.[0].settings | .lr == 0.002 and .dropout == 0.5' search/trials.jsonl
check 'values lie in the space' jq -se 'all(.[].settings; .lr >= 0.001 and .lr <= 0.03 and (.hidden | IN(4, 6, 8)) and .dropout >= 0 and .dropout <= 0.5)' search/trials.jsonl
check 'the status is there' test "$(jq -r .state search/status.json)" = done
check 'the folder of a trial is that of a run' test "$(recur runs --dir search --json | jq '.runs | length')" = 9
check 'the model works' recur eval best.safetensors reviews.csv
again=$(sed -n 's/^again with  //p' out)
check 'the command names what was chosen alone' test -z "$(grep -E -- '--(run|threads|keep|preset|search|trials)' <<<"$again")"
cp best.safetensors kept.safetensors
$again --threads 1 --run again --quiet >again.out 2>&1
check 'it trains the same model' cmp best.safetensors kept.safetensors

# stopped, killed, gone on with: the same trials
sed 's/"seconds":[^,]*,//' search/trials.jsonl >want
start="recur tune classify reviews.csv --trials 9 --epochs 4 $small --run killed -o killed.safetensors --quiet"
$start --search "$space" &
wait_for() { # as many lines, or the end of the process
    while [ "$(cat killed/trials.jsonl 2>/dev/null | wc -l)" -lt "$1" ] && kill -0 "$2" 2>/dev/null; do sleep 0.02; done
}
wait_for 2 $!
{ kill -9 $! && wait $!; } 2>/dev/null
check 'it was killed' test "$(wc -l <killed/trials.jsonl)" -lt 13
recur tune classify --resume killed --quiet 2>err &
wait_for $(($(wc -l <killed/trials.jsonl) + 1)) $!
kill -INT $! 2>/dev/null
wait $!
code=$?
check 'Ctrl-C is exit code 5, or all was done' test $code = 5 -o "$(wc -l <killed/trials.jsonl)" = 13
recur tune classify --resume killed --quiet
check 'a killed search ends as one that was not' cmp -s want <(sed 's/"seconds":[^,]*,//' killed/trials.jsonl)
check 'with the same model' cmp -s kept.safetensors killed.safetensors
t "recur tune classify --resume search --quiet --json | jq -c '[keys_unsorted, (.trials | length), .trials[0].measure, .out_of_time, .interrupted, .run, .model, .best == \"search/trial-00\" + (.trials[0].trial | tostring)]'"
t "recur tune classify --resume search --quiet --json | jq -c '.trials[0] | keys_unsorted'"

# spaces of their own
t "recur tune classify reviews.csv --trials 1 --epochs 0.5 --hidden 4 $small --run own 2>&1 | grep -E '^(space|[0-9]+ trials)'"
t "recur tune classify reviews.csv --trials 1 --epochs 0.5 --encoder cnn --filters 4 --embedding 4 --run own-cnn 2>&1 | grep ^space"
t "recur tune regress series.csv --id id --target y --trials 1 --epochs 1 --hidden 4 --run own-r 2>&1 | grep ^space"
make_text 200 >text.txt
t "recur tune lm text.txt --trials 2 --steps 4 --seq-len 8 --batch 2 --hidden 4 --layers 1 --threads 1 --run own-lm --search 'lr=0.001,0.01' 2>&1 | grep -E '^(space|[0-9]+ trials)'"
t "recur tune classify reviews.csv --trials 30 --steps 1 --search 'hidden=2,3' $small --run few 2>&1 | grep ' trials'"
check 'time alone is shared out' test "$(recur tune classify reviews.csv --trials 3 --time 2 --hidden 4 $small --run shared --quiet >out 2>err; jq .time shared/config.json)" = 1.08

# what is refused
t 'recur tune'
t 'recur tune classify'
t 'recur tune classify reviews.csv --trials 0'
t 'recur tune classify reviews.csv --search lr'
t 'recur tune classify reviews.csv --search "lr=1e-2..1e-4"'
t 'recur tune classify reviews.csv --search "lr=1e-4..x"'
t 'recur tune classify reviews.csv --search "hiddn=4"'
t 'recur tune classify reviews.csv --search "tied=true,false"'
t 'recur tune classify reviews.csv --search "epochs=1,2"'
t 'recur tune classify reviews.csv --search "hidden=4,8" --hidden 4'
t 'recur tune classify reviews.csv --search "pool=last,none" --epochs 1 --run pool --quiet'
t 'recur tune classify reviews.csv --rungs 3 --trials 8'
t 'recur tune classify - --trials 3 <reviews.csv'
t 'recur tune classify reviews.csv --valid-fraction 0'
t 'recur tune classify reviews.csv --run search'
t 'recur tune classify --resume search --hidden 8'
t 'recur tune classify --resume again'
t 'recur tune lm --resume search'
check 'and leaves no folder' test ! -e runs

# encoders side by side
recur compare classify reviews.csv --cells rnn,lstm,cnn,bow --epochs 2 --hidden 4 --filters 4 --embedding 2 --threads 1 --quiet >out
check 'the measure and a row for each' test "$(grep -cE '^(encoder  *accuracy|rnn|lstm|cnn|bow) ' out)" = 5
check 'one is the best' test "$(grep -c ' best$' out)" = 1
t "recur compare classify reviews.csv --cells gru,cnn --epochs 1 --hidden 4 --filters 4 $small --quiet --json | jq -c '[.results[] | [.cell, .measure, .accuracy >= 0, .parameters > 10, has(\"perplexity\")]]'"
t "recur compare regress series.csv --id id --target y --cells gru,bow --epochs 1 --hidden 4 --threads 1 --quiet --json | jq -c '[.results[] | [.cell, .measure, .score >= 0]]'"
t 'recur compare classify reviews.csv --cells lstm,cnnx'
t 'recur compare classify reviews.csv --cells lstm,none-such'
t 'recur compare lm text.txt --cells lstm,bow'
t 'recur compare classify reviews.csv --cells lstm,cnn --tied'

# plans
mask 's/[0-9.]+ [MK]iB/N MiB/g; s/, [0-9.]+s$/, TIME/; s/: [0-9.]+s$/: TIME/; s/precision  .*/precision  .../'
t "recur plan classify reviews.csv --probe 0.1 --hidden 4 $small"
t "recur plan classify reviews.csv --encoder cnn --filters 4 --probe 0.1 --embedding 4 --threads 1 | grep ^model"
t "recur plan regress series.csv --id id --target y --encoder gru --no-bidirectional --hidden 4 --threads 1 --probe 0.1"
finish
