# --cell transformer wherever a cell is taken: train, eval, predict, explain, plan, compare, resume; other tasks; what is refused.
. "$(dirname "$0")/lib.sh"
make_text 400 >text.txt
make_text 40 >valid.txt
small="--cell transformer --hidden 16 --layers 2 --batch 4 --seq-len 16 --context 24 --threads 1"
mask 's/[0-9.]+[kM]? tokens\/s/N tokens\/s/; s/ in [0-9.]+s/ in TIME/; s/kernels [a-z0-9+-]+/kernels ISA/'
mask 's/-?[0-9]+\.[0-9]+(e-?[0-9]+)?/X/g'

recur train lm text.txt -o m.safetensors --steps 200 --lr 0.01 --run run1 $small >out 2>err
check 'the model is said' grep -q '^model: transformer, 2 x 16' err
t 'recur eval m.safetensors valid.txt --json | jq -c "[keys_unsorted, .unit, .count, .nats < 1]"'
check 'windows see as much as one pass, but at their beginnings' jq -e '.nats < 2' <(recur eval m.safetensors valid.txt --window 30 --json)
check 'the same text for the same seed' cmp -s <(recur predict m.safetensors --seed 3 --length 50) <(recur predict m.safetensors --seed 3 --length 50)
t 'recur explain m.safetensors --batch 2 --seq-len 8 | grep -E "cell|block"'
t 'recur explain m.safetensors --json | jq -c "[.cell, .tensors[1:5][].name]"'
check 'a plan' grep -q '^model  *transformer, 2 x 16' <(recur plan lm text.txt --probe 0.1 $small)
t "recur compare lm text.txt --cells lstm,transformer --steps 5 --hidden 16 --layers 1 --threads 1 --json --run cmp 2>/dev/null | jq -c '[.results[]? | .cell]'"

# every option of its own
t "recur train lm text.txt --steps 3 --run all $small --heads 4 --kv-heads 2 --ffn 20 --positions alibi --norm rms --post-norm --activation swiglu --attention-dropout 0.2 --no-bias --quiet --json | jq -c '.steps'"
t 'recur explain all/model.safetensors --batch 2 --seq-len 8 | grep "block 0"'
t "recur train lm text.txt --steps 3 --run pos $small --positions learned --precision bf16 --quiet --json | jq -c '.steps'"
check 'the run knows its options' test "$(jq -c '[.heads, ."kv-heads", .positions, .activation, .norm, ."post-norm"]' all/config.json)" = '[4,2,"alibi","swiglu","rms",true]'

# stopped and gone on with is never stopped
recur train lm text.txt -o a.safetensors --steps 20 --run r20 $small --schedule constant --warmup 0 --quiet
recur train lm text.txt -o b.safetensors --steps 10 --run r10 $small --schedule constant --warmup 0 --quiet
recur train lm --resume r10 --steps 20 -o c.safetensors --quiet
check 'the same bits' cmp -s <(recur predict a.safetensors --seed 1) <(recur predict c.safetensors --seed 1)

# other tasks
printf '%s\n' 'good,fine film' 'bad,dull film' 'good,a fine day' 'bad,a dull day' 'good,fine' 'bad,dull' >few.csv
for i in 1 2 3 4 5 6; do cat few.csv; done >texts.csv
t "recur train classify texts.csv --encoder transformer --hidden 16 --embedding 8 --epochs 12 --lr 0.01 --threads 1 -o k.safetensors --run k --quiet --json | jq -c '[.accuracy > 0.9]'"
t "recur train classify texts.csv --encoder transformer --no-bidirectional --pool last --hidden 16 --embedding 8 --epochs 2 --threads 1 -o k2.safetensors --run k2 --quiet; recur eval k2.safetensors texts.csv --json | jq -c .examples"
printf 'Anna B-PER\nsees O\nBert B-PER\n\nin O\nRome B-LOC\n\n' >one.conll
for i in 1 2 3 4 5 6 7 8; do cat one.conll; done >tags.conll
t "recur train tag tags.conll --encoder transformer --hidden 12 --epochs 3 --threads 1 -o g.safetensors --run g --quiet; recur predict g.safetensors --prompt 'Anna sees Rome' | wc -l"
awk 'BEGIN { print "day,sold"; for (t = 0; t < 90; t++) printf "2021-%02d-%02d,%d\n", t / 28 + 1, t % 28 + 1, 10 + t % 7 }' >sales.csv
for model in direct deepar es-rnn; do
    t "recur train forecast sales.csv --target sold --encoder transformer --model $model --horizon 3 --hidden 8 --steps 5 --epochs 0 --threads 1 -o f.safetensors --run f-$model --quiet && recur predict f.safetensors sales.csv | wc -l"
done
t "recur train forecast sales.csv --target sold --encoder transformer --model segment --horizon 3 --steps 5 --run fs --quiet"
awk 'BEGIN { print "a,b"; for (t = 0; t < 400; t++) printf "%d,%d\n", t % 24, t % 12 }' >rows.csv
t "recur train detect rows.csv --cell transformer --steps 5 --hidden 8 --threads 1 -o d.safetensors --run d --quiet && head -n 40 rows.csv | recur watch d.safetensors - | wc -l"
t "recur train lm adding:T=10 --cell transformer --hidden 16 --steps 3 --run src --threads 1 --quiet --json | jq -c .steps"

# what does not belong
for option in '--zoneout 0.1' '--skip residual' '--recurrent-dropout 0.1' '--weight-drop 0.1' '--learn-initial-state' '--proj 4' \
    '--heads 3' '--kv-heads 3' '--context 70000' '--positions none --heads 32' '--dropout-sequence' '--init he'; do
    t "recur train lm text.txt $small $option --steps 1 --run bad"
done
t "recur compare lm adding:T=10 --cells lstm,transformer --steps 2 --gradient initial"
t 'recur train lm --help | grep -A 3 -E "^ +--(heads|context|positions|activation)"'
finish
