# Taggers: train, eval, predict in every form of input, a pipe that is fed sentence by sentence.
. "$(dirname "$0")/lib.sh"
mask 's/is for [a-z, ]+, not for/is for OTHERS, not for/'
mask 's/-?[0-9]+\.[0-9]+(e-?[0-9]+)?/X/g; s/"(seconds|tokens_per_second)": [0-9]+/"\1": X/g'
small="--hidden 12 --embedding 8 --char-hidden 6 --char-embedding 4 --affixes 3 --batch 8 --lr 0.02 --average-decay 0.9 --epochs 0 --threads 1"

# persons before a verb, a place after "in"
make_tagged() {
    awk -v n="$1" 'BEGIN {
        split("Anna Bert Cleo Dora Emil", name); split("Rome Oslo Bonn", place); split("sees calls asks", verb)
        for (i = 0; i < n; i++) {
            print name[i % 5 + 1] " B-PER"
            if (i % 3 == 0) print name[i * 7 % 5 + 1] "son I-PER"
            print verb[i % 3 + 1] " O"
            if (i % 2) print "in O\n" place[i * 5 % 3 + 1] " B-LOC"
            print ""
        }
    }'
}
make_tagged 300 >train.conll
make_tagged 40 >test.conll

t "recur train tag train.conll -o m.safetensors --steps 150 --run run1 $small --quiet --json | jq -c '[.steps, .model, .score > 0.9]'"
recur train tag train.conll --steps 5 --run run2 $small >out 2>err
check 'the data are told' grep -q '^training: 270 sentences' err
check 'so is the baseline' grep -q '^baseline, the most frequent tag of each word: accuracy' err
check 'and what spans are' grep -q '^spans: written as BIO, BIO inside the model' err
check 'the result' grep -q '^validation  span F1' out
t "recur eval m.safetensors test.conll"
t "recur eval m.safetensors test.conll --json | jq -c 'keys_unsorted'"
t "recur eval m.safetensors test.conll --no-details --json | jq -c '[.span_f1 == 1, .span_f1_strict == 1, .types]'"

t 'recur predict m.safetensors --prompt "Emil calls, in Rome"'
t 'recur predict m.safetensors --prompt "Emil calls" --json | jq -c .tags,.spans'
printf 'Dora\nEmilson\nasks\n\nBert\nsees\n' >one.txt
t 'recur predict m.safetensors one.txt --format columns'
printf '# text = x\n1\tDora\t_\t_\t_\t_\t_\t_\t_\t_\n2-3\tin it\t_\t_\t_\t_\t_\t_\t_\t_\n2\tin\t_\t_\t_\t_\t_\t_\t_\t_\n3\tOslo\t_\t_\t_\t_\t_\t_\t_\t_\n\n' >one.conllu
t 'recur predict m.safetensors one.conllu'
t "printf '%s\n' '{\"tokens\": [\"Cleo\", \"asks\"]}' | recur predict m.safetensors - --json | jq -c .tokens,.tags"
check 'a pipe gets the same answers' cmp -s <(recur predict m.safetensors one.conllu) <(cat one.conllu | recur predict m.safetensors -)

# somebody who waits for each answer
mkfifo in
recur predict m.safetensors - <in >answers &
exec 9>in
echo 'Anna sees' >&9
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    [ "$(wc -l <answers)" -ge 3 ] && break
    sleep 0.2
done
check 'the first sentence is answered before the second comes' test "$(head -n 1 answers)" = "Anna	B-PER"
echo 'in Bonn' >&9
exec 9>&-
wait
check 'and the second' test "$(tail -n 2 answers | head -n 1)" = "Bonn	B-LOC"

# intents
awk -v RS= '{ w = t = ""; n = split($0, line, "\n")
    for (i = 1; i <= n; i++) { split(line[i], c, " "); w = w (i > 1 ? ", " : "") "\"" c[1] "\""; t = t (i > 1 ? ", " : "") "\"" c[2] "\"" }
    printf "{\"intent\": \"%s\", \"tokens\": [%s], \"slots\": [%s]}\n", ($0 ~ /asks/ ? "question" : "fact"), w, t }' train.conll >train.jsonl
recur train tag --joint-intent train.jsonl -o joint.safetensors --steps 150 --run run3 $small --quiet >/dev/null
t 'recur predict joint.safetensors --prompt "Bert asks in Oslo"'
t "recur eval joint.safetensors train.jsonl --json | jq -c '[.intent_accuracy > 0.95, .span_f1 > 0.95]'"

# what is refused
t 'recur train tag'
t "recur train tag train.jsonl --label x"
printf 'a X\nb\n' >bad.conll
t "recur train tag bad.conll --run bad $small"
t 'recur eval m.safetensors one.txt'
t 'recur predict m.safetensors --why --prompt "Anna"'
t "recur train tag train.conll --scheme none --crf --run run4 -o plain.safetensors --steps 3 $small --quiet --json | jq -c .steps"
finish
