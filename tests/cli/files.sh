# Files of every format version that was ever released are read, with the results they had; files that are wrong, or newer
# than this program, are refused with these messages. tests/golden/format1/ was made by recur 0.1.0 (make_files.sh).
. "$(dirname "$0")/lib.sh"
cp -r "$here/../golden/format1/." .
mask 's/this one \([0-9.]+\)/this one (VERSION)/'
mask 's/in a file of 2[0-9]{3} \(not/in a file of N (not/; s/limit of [0-9]+ bytes \(64/limit of N bytes (64/' # sizes by gzip
mask 's/[0-9.]+[kM]? tokens\/s/N tokens\/s/'

for model in char word bpe byte; do
    t "recur eval $model.safetensors text.txt --json | jq -c '[.unit, .count, (.nats * 1000 | round)]'"
    t "recur predict $model.safetensors --prompt 'the cat ' --temperature 0 --length 12 --no-echo"
done
t 'recur export char.safetensors t.json; jq -c "[.version, .model.type, (.model.vocab | length)]" t.json'
t 'recur explain experiment.safetensors'
loss() { t "recur eval $1.safetensors $2 --json | jq -c '[$3]'"; }
loss classifier classes.tsv '.examples, (.log_loss * 1000 | round)'
loss tagger tags.txt '.words, (.loss * 1000 | round)'
loss forecaster series.csv '.windows, (.rmse * 1000 | round)'
loss translator pairs.tsv '.target_tokens, (.loss * 1000 | round)'
loss attender pairs.tsv '.target_tokens, (.loss * 1000 | round)'
loss answerer stories.txt '.questions, (.loss * 1000 | round)'
loss blocks classes.tsv '.count, (.nats * 1000 | round)'
t "recur predict detector.safetensors sensor.csv --json | tail -n 1 | jq -c '[.row, (.channels.v.expected * 1000 | round)]'"

# A run that 0.1.0 stopped goes on, and a model of it is a start for another.
t "recur runs list --dir . --json | jq -c '.runs[] | [.name, .cell, .state, .steps, .parameters, (.best_valid_loss * 1000 | round)]'"
t "recur train lm --resume run --steps 45 -o more.safetensors --quiet --json | jq -c '[.steps, (.valid_loss * 1000 | round)]'"
check 'the log goes on' test "$(tail -n 1 run/metrics.jsonl | jq .step)" = 45
t "recur train lm text.txt --from char.safetensors --steps 2 --batch 4 --seq-len 12 --run from -o from.safetensors --quiet --json | jq .steps"

# ---- what is wrong -----------------------------------------------------------------------------------------------------
of=char.safetensors
# swap FROM TO FILE: $of with a text replaced by one of the same length, once
swap() {
    local from to
    [ ${#1} = ${#2} ] || echo "swap $1 $2: lengths differ" >>"$work/transcript"
    from=$(printf '%s' "$1" | sed 's/[][\\.*^$/]/\\&/g') to=$(printf '%s' "$2" | sed 's/[\\&/]/\\&/g')
    LC_ALL=C sed "0,/$from/s//$to/" "$of" >"$3"
    ! cmp -s "$of" "$3" || echo "swap $1: nothing was changed" >>"$work/transcript"
}
# poke OFFSET BYTES FILE: $of with bytes overwritten; a negative offset counts from the end
poke() {
    cp "$of" "$3"
    local at=$1
    [ "$at" -ge 0 ] || at=$(($(stat -c %s "$of") + at))
    printf "$2" | dd of="$3" bs=1 seek="$at" conv=notrunc status=none
}
bad() { t "recur eval $1 text.txt"; }

: >empty.safetensors; bad empty.safetensors
head -c 7 $of >seven.safetensors; bad seven.safetensors
head -c 500 $of >header.safetensors; bad header.safetensors
head -c 4370 $of >data.safetensors; bad data.safetensors
(cat $of; printf x) >tail.safetensors; bad tail.safetensors
bad text.txt
gzip -nc $of >packed.safetensors; bad packed.safetensors
mkdir folder.safetensors; bad folder.safetensors
bad missing.safetensors
bad /dev/null
bad /dev/zero
poke 0 '\0\0\0\0\0\1\0\0' long.safetensors; bad long.safetensors
poke 0 '\377\377\377\377\377\377\377\377' longest.safetensors; bad longest.safetensors
poke -4 '\0\0\300\177' nan.safetensors; bad nan.safetensors
poke -4 '\0\0\200\377' infinite.safetensors; bad infinite.safetensors
poke 8 '[' array.safetensors; bad array.safetensors
poke 400 '\377' encoding.safetensors; bad encoding.safetensors
swap '"format\":1' '"format\":2' newer.safetensors; bad newer.safetensors
swap '"format\":1' '"format\":0' older.safetensors; bad older.safetensors
swap '"task\":\"lm' '"task\":\"xy' task.safetensors; bad task.safetensors
swap 'num_layers\":1' 'num_layers\":9' layers.safetensors; bad layers.safetensors
swap 'num_layers\":1' 'num_layers\":0' none.safetensors; bad none.safetensors
swap 'hidden_size\":6' 'hidden_size\":7' hidden.safetensors; bad hidden.safetensors
swap 'hidden_size' 'hiden__size' option.safetensors; bad option.safetensors
swap '"gru' '"grx' cell.safetensors; bad cell.safetensors
swap '"gru' '"mgu' other.safetensors; bad other.safetensors
swap '[-1,10,32' '[-1,10,10' twice.safetensors; bad twice.safetensors
swap '[-1,10,32' '[-1,10,+2' number.safetensors; bad number.safetensors
swap '[-1,10,32' '[10,10,-1' unknown.safetensors; bad unknown.safetensors
swap '"head.bias"' '"head.bier"' name.safetensors; bad name.safetensors
swap '"head.weight"' '"rnn.more_l0"' extra.safetensors; bad extra.safetensors
swap '"rnn.bias_hh_l0"' '"rnn.bias_ih_l0"' same.safetensors; bad same.safetensors
swap '"F32"' '"I32"' type.safetensors; bad type.safetensors
swap '"F32"' '"F99"' dtype.safetensors; bad dtype.safetensors
swap '"shape":[20,' '"shape":[21,' shape.safetensors; bad shape.safetensors
swap '"shape":[20,' '"shape":[-2,' negative.safetensors; bad negative.safetensors
swap 'data_offsets":[0,' 'data_offsets":[4,' offset.safetensors; bad offset.safetensors
bad state.safetensors
bad experiment.safetensors
cp "$here/../golden/format1/run/checkpoints/step-00000030.safetensors" checkpoint.safetensors; bad checkpoint.safetensors

# checkpoints of a run
of=$here/../golden/format1/run/checkpoints/step-00000030.safetensors
resume() {
    rm -rf damaged
    cp -r "$here/../golden/format1/run" damaged
    mv checkpoint damaged/checkpoints/step-000000"${1:-30}".safetensors
    t "recur train lm --resume damaged --steps 45 --quiet"
}
swap '"version\":1' '"version\":2' checkpoint; resume
swap '"step\":30' '"step\":29' checkpoint; resume
swap '"best_step\":30' '"best_step\":31' checkpoint; resume
swap '"optimizer_steps' '"optimiser_steps' checkpoint; resume
swap '"data\":\"a' '"data\":\"b' checkpoint; resume
swap '"average.head.bias"' '"overage.head.bias"' checkpoint; resume
cp $of checkpoint; resume 31
poke -4 '\0\0\300\177' checkpoint; resume
head -c 5000 $of >checkpoint; resume
cp char.safetensors checkpoint; resume

# the other files of a run
cp $of checkpoint; rm -rf damaged; cp -r "$here/../golden/format1/run" damaged; rm -r from run
for text in '' '{' '[]' '{"state":"gone"}' '{"state":"done","seconds":1e300}' '{"state":"\u001b[2J"}'; do
    printf '%s' "$text" >damaged/status.json
    t "recur runs compare damaged damaged"
done
t "recur runs list --dir . --json | jq -c '.runs[] | [.name, .state]'"
for text in '' '{' '[]' '{"hiden": 3}' '{"hidden": 0}' '{"hidden": 1e9}' '{"hidden": "x"}' '{"cell": "lstn"}' '{"files": [3]}' '{"lr": 1e400}'; do
    printf '%s' "$text" >damaged/config.json
    t "recur train lm text.txt --config damaged/config.json"
done

cp -r "$here/../golden/format1/run" other
cp other/status.json damaged/status.json
echo '{"vocab": "\u001b[2Jword"}' >damaged/config.json
echo '{"vocab": "\u001b[2Jchar"}' >other/config.json
t "recur runs compare damaged other | grep vocab"
rm -r other

# vocabularies
for text in '' '{}' '{"kind": "chars"}' '{"kind": "char", "codepoints": [97]}' '{"kind": "word", "unk": 0, "words": ["a", "a"]}' \
    '{"model": {}}' '{"model": {"type": "Unigram"}}'; do
    printf '%s' "$text" >vocab.json
    t "recur train lm text.txt --vocab vocab.json --steps 1"
done

# texts
: >empty.txt; t 'recur eval char.safetensors empty.txt'
printf 'x' >one.txt; t 'recur train lm one.txt --quiet --steps 1 --run one'
printf 'fine\nnot \344 fine\n' >latin.txt; t 'recur train lm latin.txt --steps 1'
gzip -c text.txt | head -c 100 >cut.txt.gz; t 'recur eval char.safetensors cut.txt.gz'
(gzip -c text.txt; echo more) >more.txt.gz; t 'recur eval char.safetensors more.txt.gz'
(gzip -c text.txt; gzip -c text.txt) >two.txt.gz
check 'two members are one text' test "$(recur eval char.safetensors two.txt.gz --json | jq .count)" = "$(cat text.txt text.txt >both.txt; recur eval char.safetensors both.txt --json | jq .count)"
check 'padding is no text' test "$( (cat two.txt.gz; head -c 512 /dev/zero) >padded.txt.gz; recur eval char.safetensors padded.txt.gz --json | jq .count)" = "$(recur eval char.safetensors both.txt --json | jq .count)"
head -c 134217728 /dev/zero | gzip -9 >bomb.txt.gz; t 'recur eval char.safetensors bomb.txt.gz'
t 'recur eval char.safetensors /dev/zero'
t 'recur eval char.safetensors folder.safetensors'
finish
