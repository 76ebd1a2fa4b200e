# Translating, summarizing, chatting: training on every form of data, what is told, what is refused.
. "$(dirname "$0")/lib.sh"
mask 's/is for [a-z, ]+, not for/is for OTHERS, not for/'
mask 's/-?[0-9]+\.[0-9]+(e-?[0-9]+)?/X/g; s/"(seconds|tokens_per_second)": [0-9]+/"\1": X/g'
small="--vocab word --hidden 24 --embedding 16 --layers 1 --dropout 0 --dropout-input 0 --word-dropout 0 --lr 0.02 --average none --batch-tokens 200 --epochs 0 --sample-length 0 --threads 1"

# words, and the same in capitals from the last to the first
make_pairs() { # LINES SEED SIDE
    awk -v n="$1" -v x="$2" -v side="$3" 'BEGIN {
        split("red blue cat dog runs eats the big", word)
        for (i = 0; i < n; i++) {
            line = ""
            for (k = 1 + i % 4; k > 0; k--) {
                x = (x * 1103515245 + 12345) % 2147483648
                w = word[int(x / 65536) % 8 + 1]
                line = side == "target" ? toupper(w) (line == "" ? "" : " ") line : line (line == "" ? "" : " ") w
            }
            print line
        }
    }'
}
make_pairs 400 1 source >train.en
make_pairs 400 1 target >train.de
make_pairs 50 2 source >v.en
make_pairs 50 2 target >v.de

# two files, and two more behind --valid
t "recur train translate train.en train.de --valid v.en v.de -o m.safetensors --steps 400 --run run1 \$small --quiet --json | jq -c '[.steps, .model, .measure, .score > 70]'"
recur train translate train.en train.de --valid v.en v.de --steps 5 --run run2 $small >out 2>err
check 'what was read' grep -q '^train.en and train.de: two files, line by line; 400 pairs' err
check 'the second validation file is none to train on' grep -q '^v.en and v.de: two files, line by line; 50 pairs' err
check 'lengths and unknown words' grep -q '^training: 400 pairs; sources of 2.5 tokens, at most 4, targets of 2.5, at most 4; unknown 0.00 % and 0.00 %' err
check 'what comes twice' grep -q '^training: [0-9]* pairs came before' err
check 'what is in both' grep -q '^validation: [0-9]* of its pairs .* are in the training data too' err
check 'the model' grep -q '^model: word, 18 entries for both sides; encoder bidirectional lstm 1 x 24, decoder lstm 1 x 24, attention general' err
check 'a baseline' grep -q '^baseline, the source as it is: BLEU' err
check 'the result' grep -q '^validation  BLEU' out
t 'printf "cat eats dog\n\nthe big cat\n" | recur predict m.safetensors -'
check 'options may come first' recur train translate --valid v.en v.de train.en train.de --steps 2 --run run3 $small --quiet
check 'or name it' recur train translate train.en train.de --valid v.en --valid-target v.de --steps 2 --run run4 $small --quiet
check 'config.json has it' test "$(jq -r '."valid-target"' run4/config.json)" = v.de
t "recur train translate --resume run4 --steps 4 --quiet --json | jq -c '[.steps]'"
t "recur plan translate train.en train.de \$small --json | jq -c '[.vocab_size, .train_tokens > 1000]'"

# the other forms
paste train.en train.de >train.tsv
recur train translate train.tsv --steps 3 --run run5 $small >out 2>err
check 'tabs' grep -q '^train.tsv: tab separated, no header, 2 columns; source in column 1, target in column 2; 400 pairs' err
check 'a tenth validates' grep -q '^validation: 40 pairs' err
paste -d, train.en train.de | sed '1i en,de' >train.csv
t "recur train translate train.csv --text en --target de --header yes --steps 3 --run run6 \$small --quiet --json | jq -c .steps"
jq -Rnc '[inputs | split("\t") | {id: 1, source: (.[0] | split(" ")), target: [.[1], "other"]}][]' train.tsv >train.jsonl
recur train summarize train.jsonl --valid train.jsonl -o s.safetensors --steps 200 --run run7 $small >out 2>err
check 'JSON lines' grep -q '^train.jsonl: JSON lines; source is "source", target is "target"; 400 pairs' err
check 'the first sentence stands beside it' grep -q "^baseline, the source's first sentence: ROUGE-L" err
check 'ROUGE-L' grep -q '^validation  ROUGE-L' out
gzip -k train.en train.de
t "recur train translate train.en.gz train.de.gz --steps 2 --run run8 \$small --quiet --json | jq -c .steps"
t "recur train translate train.en train.de --cell gru --encoder cnn --no-shared --no-tied --attention none --steps 2 --run run9 \$small --quiet --json | jq -c .steps"
t "recur train translate train.en train.de --cell transformer --steps 2 --run run10 \$small --quiet --json | jq -c .steps"

# conversations
awk 'NR > 1 { print "" } { print $0; print NR % 2 ? "yes" : "no" }' v.en >talk.txt
t "recur train chat talk.txt -o c.safetensors --steps 100 --history 2 --run run11 \$small --quiet --json | jq -c '[.steps, .measure]'"
check 'a reply' test -n "$(echo 'the cat' | recur predict c.safetensors -)"
if recur --version | grep -q libyaml; then
    printf 'categories:\n- x\nconversations:\n- - Hi\n  - Hello\n- - Bye\n  - Ciao\n' >talk.yml
    recur train chat talk.yml talk.txt --steps 2 --run run12 $small >out 2>err
    check 'YAML' grep -q '^talk.yml: conversations, YAML; 1 turn before a reply; 2 pairs' err
    printf 'conversations:\n- &a [Hi, Hello]\n- *a\n' >bad.yml
    check 'aliases are refused' grep -q 'line 3: expected texts, found an alias' <(recur train chat bad.yml --steps 1 --run bad $small 2>&1)
fi

# what is refused, and how
head -n 390 train.de >short.de
t "recur train translate train.en short.de --run bad \$small"
t "recur train translate train.en --run bad \$small"
t "recur train translate train.en train.de v.en --run bad \$small"
(echo; echo cat; echo dog) >holes.en
(echo X; echo; echo Y) >holes.de
t "recur train translate holes.en holes.de --run bad \$small"
printf 'a\nb\nc\n' >one.en
printf 'X\nX\nX\n' >one.de
t "recur train translate one.en one.de --run bad \$small"
t "recur train translate train.en train.de --label x"
t "recur train chat talk.txt --from m.safetensors --run bad --steps 1 --threads 1"
t "recur train translate train.en train.de --no-shared --copy --run bad --vocab word --steps 1 --threads 1"
t "recur train translate train.en train.de --attention none --input-feeding --run bad --vocab word --steps 1 --threads 1"
printf 'a\tX\nb\n' >ragged.tsv
t "recur train translate ragged.tsv --run bad \$small"
finish
