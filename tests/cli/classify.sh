# Texts and series with answers: train, eval, predict, what mattered, several labels, vectors, transfer, wrong inputs.
. "$(dirname "$0")/lib.sh"
mask 's/[0-9.]+[kM]? tokens\/s/N tokens\/s/; s/ in [0-9.]+s/ in TIME/; s/  [0-9.]+s$/  TIME/'
mask 's/-?[0-9]+\.[0-9]+(e-?[0-9]+)?/X/g; s/[+]X/X/g; s/ +X/ X/g'

# label<TAB>text; good texts have a good word
make_texts() {
    awk -v n="$1" -v from="$2" 'BEGIN {
        split("great lovely fine", good); split("awful dull poor", bad); split("the film was a bit there and, so on", word)
        for (i = from; i < from + n; i++)
            printf "%s\t%s %s %s %s\n", i % 2 ? "good" : "bad", word[i % 7 + 1], i % 2 ? good[i % 3 + 1] : bad[i % 3 + 1],
                word[i * 3 % 8 + 1], word[i * 5 % 7 + 1] }'
}
make_texts 120 0 >train.tsv
make_texts 40 500 >test.tsv
cut -f 2 test.tsv >lines.txt
printf 'One text.\nAnother one\nmore\n' >plain.txt
small="--hidden 8 --embedding 8 --batch 8 --epochs 8 --lr 0.02 --threads 1"

recur train classify train.tsv -o m.safetensors --run run $small >out 2>err
check 'what was read is said' grep -q '^train.tsv: tab separated, no header, 2 columns; label in column 1, text in column 2$' err
check 'the sizes' grep -q '^data: 108 to train on, 12 to validate, drawn from the same file$' err
check 'the classes' grep -q '^classes: 2: bad 54, good 54$' err
check 'the model' grep -qE '^model: lstm, both directions, [0-9]+ parameters$' err
check 'the baseline' grep -qE '^baseline: bag of words and pairs, accuracy 1\.0000$' err
t 'cat out'
t 'recur eval m.safetensors test.tsv'
t "recur eval m.safetensors test.tsv --json | jq -c '[keys_unsorted, .examples, .accuracy > 0.9]'"
t "recur eval m.safetensors test.tsv --no-details --json | jq -c 'has(\"classes\")'"
check 'batches do not matter' cmp <(recur predict m.safetensors lines.txt --json) <(recur predict m.safetensors lines.txt --json --batch 3)
check 'a file as in training' cmp <(recur predict m.safetensors test.tsv) <(recur predict m.safetensors lines.txt)
cp lines.txt lines.tsv
check 'a file of one column' cmp <(recur predict m.safetensors lines.tsv) <(recur predict m.safetensors lines.txt)
check 'a line each' test "$(recur predict m.safetensors lines.txt | wc -l)" = 40
t 'recur predict m.safetensors --prompt "a great film"'
t 'recur predict m.safetensors --prompt "a great, film" --top-k 2'
t 'recur predict m.safetensors --prompt "{a} great	film" --json | sed "s/0\.[0-9]*/P/"'
t 'recur predict m.safetensors --prompt "a great film" --csv --top-k 5'
t 'recur predict m.safetensors --prompt "a great film" --why'
t 'recur predict m.safetensors --prompt "a great film" --why --json | jq -c "[.label, [.words[] | .word], (.words | max_by(.weight).word)]"'
t 'recur predict m.safetensors --prompt ""'
t 'printf "a great film\n\nthe dull was there" | recur predict m.safetensors -'
t 'printf "a great film\nthe dull was there\n" | recur predict m.safetensors | cut -f 1'
# an answer comes before the next line does
mkfifo pipe
(recur predict m.safetensors - <pipe >answers) &
exec 3>pipe
echo 'a great film' >&3
for i in $(seq 100); do [ -s answers ] && break; sleep 0.1; done
check 'line by line' test "$(cut -f 1 answers)" = good
exec 3>&-
wait

# columns by name: in training, scoring and answers; typed lines are texts all the same
{ echo 'when,review,verdict'; awk -F'\t' '{printf "%d,\"%s\",%s\n", NR, $2, $1}' train.tsv; } >train.csv
{ echo 'when,review,verdict'; awk -F'\t' '{printf "%d,\"%s\",%s\n", NR, $2, $1}' test.tsv; } >test.csv
t "recur train classify train.csv --text review --label verdict -o c.safetensors --run csv $small --quiet"
check 'the same model from a table' test "$(recur eval c.safetensors test.csv --json | jq .accuracy)" = "$(recur eval m.safetensors test.tsv --json | jq .accuracy)"
check 'its column in a table' cmp <(recur predict c.safetensors test.csv) <(recur predict c.safetensors lines.txt)
check 'and through a pipe' cmp <(recur predict c.safetensors - <test.csv) <(recur predict c.safetensors lines.txt)

# several labels
awk 'BEGIN {for (i = 0; i < 60; i++) printf "{\"text\": \"a%s%s thing\", \"labels\": [%s%s%s]}\n", i % 2 ? " red" : "", i % 3 ? " big" : "",
    i % 2 ? "\"red\"" : "", i % 2 && i % 3 ? "," : "", i % 3 ? "\"big\"" : ""}' >several.jsonl
t "recur train classify several.jsonl --label-separator '|' -o s.safetensors --run several $small --epochs 20 --quiet --json | jq -c '[.measure, .score > 0.9, .accuracy]'"
t 'recur predict s.safetensors --prompt "a red big thing" | tr "\t" "\n" | grep -v "^[0-9]" | sort'
t 'recur predict s.safetensors --prompt "a red thing" --csv'
t 'recur predict s.safetensors --prompt "a thing" --json'
t 'recur eval s.safetensors several.jsonl --no-details'

# series
awk 'BEGIN {print "id,t,heat,still,state,left"; for (m = 0; m < 20; m++) for (t = 0; t < 6; t++)
    printf "m%d,%d,%s,7,%s,%d\n", m, t, m == 3 && t == 2 ? "" : (m % 2 ? t : -t) + m % 5, m % 2 ? "up" : "down", 5 - t}' >machines.csv
recur train classify machines.csv --numeric --id id --time-column t --label state --inputs heat,still -o n.safetensors --run n $small --epochs 15 >out 2>err
check 'missing values are told' grep -q '^missing: 1 of 240 values (0.4 %): heat 0.8 %; --mask tells the model which$' err
check 'channels without variation too' grep -q '^channels: 2; these never vary, and say nothing: still$' err
check 'the nearest neighbour' grep -q '^baseline: nearest neighbour (DTW), accuracy ' err
t 'recur predict n.safetensors machines.csv | cut -f 1 | sort | uniq -c'
t "recur train regress machines.csv --id id --time-column t --target left --inputs heat --window 3 -o r.safetensors --run r $small --quiet --json | jq -c '[.measure, .score < 3, .accuracy]'"
t 'recur eval r.safetensors machines.csv'
t 'recur predict r.safetensors machines.csv --csv | head -n 1'
t 'recur predict r.safetensors machines.csv | wc -l'

# word vectors, and what another model learnt
printf 'great 1 0 0\nawful -1 0 0\nunseen 0 0 1\n' >v.txt
recur train classify train.tsv --vectors v.txt --freeze-vectors -o v.safetensors --run v $small >out 2>err
check 'how many words have one' grep -qE '^vectors: v.txt: 3 of 3 numbers each; they cover 2 of the [0-9]+ words, and stay as they are$' err
t "recur train classify train.tsv --vectors lines.txt -o bad.m --run bad $small --quiet"
t "recur train classify train.tsv --freeze-vectors -o bad.m --run bad $small --quiet"
cut -f 2 train.tsv >lm.txt
recur train lm lm.txt --vocab word --hidden 8 --layers 2 --batch 4 --seq-len 8 --steps 20 -o lm.safetensors --run lm --threads 1 --quiet
recur train classify train.tsv --from lm.safetensors -o f.safetensors --run f $small 2>err >out
check 'its sizes are kept, and said' grep -qx 'no effect with --from, the model'"'"'s own are kept: --hidden, --embedding' err
check 'it is one' grep -qE '^model: lstm, [0-9]+ parameters$' err
check 'it scores' test "$(recur eval f.safetensors test.tsv --json | jq '.accuracy > 0.6')" = true
t "recur train classify test.tsv --from m.safetensors -o g.safetensors --run g --epochs 1 --threads 1 --quiet"
sed 's/^good/other/' train.tsv >other.tsv
t "recur train classify other.tsv --from m.safetensors -o bad.m --run bad --quiet"
t "recur train regress machines.csv --target left --from m.safetensors -o bad.m --run bad --quiet"
t "recur train lm lm.txt --from m.safetensors -o bad.m --run bad --quiet"

# stopped and resumed
check 'a run goes on' test "$(recur train classify --resume run --epochs 9 --json --quiet | jq .epochs)" = 9

# wrong inputs
printf 'good\tone\tx\nbad\ttwo\nbad\tthree\tx\n' >ragged.tsv
t "recur train classify ragged.tsv --text 2 --label 1 -o bad.m --run bad --quiet"
t "recur train classify ragged.tsv --text 2 --label 1 --skip-bad-rows -o ok.safetensors --run ok --epochs 1 --quiet"
t "recur train classify plain.txt -o bad.m --run bad --quiet"
t "recur train classify train.csv --text nothing -o bad.m --run bad --quiet"
t "recur train classify train.tsv test.tsv -o bad.m --run bad --quiet"
t "recur train classify nothing.csv -o bad.m --run bad"
t "recur train classify"
t "recur train classify train.tsv --pool nothing -o bad.m --run bad --quiet"
t "recur train classify train.tsv --encoder cnn --pool last -o bad.m --run bad --quiet"
t "recur train classify train.tsv --seq-len 3 -o bad.m"
t "recur train regress machines.csv --quiet -o bad.m"
t "recur train regress machines.csv --text 3 -o bad.m"
t 'recur eval m.safetensors lines.txt'
t 'recur eval n.safetensors test.tsv'
t 'recur predict n.safetensors --prompt "a text"'
t 'recur predict n.safetensors machines.csv --why'
t 'recur predict m.safetensors lines.txt --temperature 2'
t 'recur predict m.safetensors lines.txt --horizon 2'
t 'printf "\\xff\\xfe\n" | recur predict m.safetensors -'
t 'recur explain m.safetensors --tensors | head -n 15'
t 'recur explain n.safetensors --json | jq -c "[keys_unsorted, .task, .sequence[0]]"'
check 'a bad run leaves nothing' test ! -e bad -a ! -e bad.m
finish
