# Models that write: translate, summarize, chat: eval, predict in every form, pictures, a pipe that is fed line by line, ways to
# search side by side, kinds of attention by length, a conversation.
. "$(dirname "$0")/lib.sh"
mask 's/recur-[0-9.]+/recur-VERSION/g; s/-?[0-9]+\.[0-9]+(e-?[0-9]+)?/X/g; s/"(seconds|sentences_per_second)": [0-9]+/"\1": X/g'
mask 's/is for [a-z, ]+, not for/is for OTHERS, not for/'
small="--vocab word --no-shared --no-tied --hidden 32 --embedding 16 --layers 1 --dropout 0 --dropout-input 0 --word-dropout 0 --batch 32 --batch-tokens 0 --lr 0.02 --warmup 5 --average none --epochs 0 --threads 1 --quiet"

# words, and the same in capitals from the last to the first: make_pairs LINES SEED NAME
make_pairs() {
    awk -v n="$1" -v s="$2" -v name="$3" 'BEGIN {
        split("red blue cat dog runs eats the big", word)
        for (i = 0; i < n; i++) {
            a = b = ""
            s = (s * 16807 + 11) % 2147483647
            k = 1 + s % 5
            for (j = 0; j < k; j++) {
                s = (s * 16807 + 11) % 2147483647
                w = word[1 + int(s / 7) % 8]
                a = a (j ? " " : "") w
                b = toupper(w) (j ? " " : "") b
            }
            print a >(name ".src")
            print b >(name ".tgt")
        }
    }'
}
make_pairs 500 1 train
make_pairs 40 99 test
recur train translate train.src train.tgt -o m.safetensors --attention general --steps 220 --run run1 $small >/dev/null || exit 1

# ---- predict
printf 'red cat\n\nthe big dog\n' >in
t 'recur predict m.safetensors in'
t 'recur predict m.safetensors in --beam 3 --nbest 3 | cut -f 1'
t 'recur predict m.safetensors in --csv'
t "recur predict m.safetensors in --json | jq -c '[.source, .text, .finished]'"
t 'recur predict m.safetensors --prompt "red cat" --alignments text | head -n 3'
t 'recur predict m.safetensors --prompt "red cat" --prefix "BIG" --max-length 3 | wc -w'
t 'recur predict m.safetensors --prompt "red cat" --with m.safetensors'
t 'recur predict m.safetensors --prompt "red cat" --temperature 0.01 --seed 7'
recur predict m.safetensors in --svg looked.svg >/dev/null
check 'an SVG file' grep -q '^<svg ' looked.svg
recur predict m.safetensors in --alignments html --svg looked.html >/dev/null
check 'a page, whole in itself' test "$(grep -c 'http' looked.html)" = 0
check 'a picture for each line that has words' test "$(grep -c '<section>' looked.html)" = 2
check 'the same in other groups' cmp -s <(recur predict m.safetensors test.src --batch 7) <(recur predict m.safetensors - <test.src)
check 'draws too' cmp -s <(recur predict m.safetensors test.src --batch 7 --sample --seed 3) <(recur predict m.safetensors test.src --sample --seed 3)
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "red "; print "" }' >long
t 'recur predict m.safetensors long | wc -l'
t "printf 'red cat\nмир\n' | recur predict m.safetensors - | head -n 1"

# somebody who waits for each answer
mkfifo pipe
recur predict m.safetensors - <pipe >answers &
exec 9>pipe
echo 'red cat' >&9
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    [ "$(wc -l <answers)" -ge 1 ] && break
    sleep 0.2
done
check 'the first line is answered before the second comes' test "$(cat answers)" = "CAT RED"
echo 'big dog' >&9
exec 9>&-
wait
check 'and the second' test "$(tail -n 1 answers)" = "DOG BIG"

# ---- eval
t 'recur eval m.safetensors test.src test.tgt --beam 2 | grep -v hypothesis_len | tr -s " "'
t "recur eval m.safetensors test.src --reference test.tgt --json | jq -c 'keys_unsorted'"
t 'recur eval m.safetensors test.src test.tgt --tokenized --lowercase-scores --no-details --json | jq -r .bleu_signature'
t 'recur eval m.safetensors test.src test.tgt --strategies greedy,beam3,diverse3,sample2,top-k3 --no-details | tail -n 6 | tr -s " "'
paste test.src test.tgt >test.tsv
t "recur eval m.safetensors test.tsv --no-details --json | jq '[.pairs, .bleu > 90]' -c"
head -n 30 test.tgt >short
t 'recur eval m.safetensors test.src short'

# ---- chat
awk 'BEGIN { for (i = 0; i < 80; i++) printf "%s\n%s\n\n", i % 2 ? "hello there" : "who are you", i % 8 < 6 ? "good day" : "a friend" }' >talk.txt
recur train chat talk.txt -o bot.safetensors --attention general --steps 60 --run run2 $small >/dev/null || exit 1
t "printf 'hello there\n/reset\n/what\n\nhello there\n/quit\nhello there\n' | recur chat bot.safetensors --no-sample | sort | uniq -c"
t "echo 'hello there' | recur chat bot.safetensors --no-sample --json | jq -c .said"
check 'the same seed, the same talk' cmp -s <(recur chat bot.safetensors --seed 5 <test.src) <(recur chat bot.safetensors --seed 5 <test.src)
check 'as many replies as lines' test "$(recur chat bot.safetensors <test.src | wc -l)" = 40
t 'recur chat m.safetensors'
t 'recur chat'

# ---- compare
recur compare translate train.src train.tgt --attention none,general --test test.src --test-target test.tgt --steps 30 --length-svg length.svg $small >out 2>err
check 'each kind' grep -q -- '-none  ' out
check 'by length' grep -q '^BLEU on test.src by words of the source' out
check 'and drawn' grep -q 'BLEU by length of the source' length.svg
t 'recur compare lm train.src --cells lstm --attention none'
t 'recur compare translate train.src train.tgt --attention nonsense --steps 1 --run no'

# ---- what is refused
t 'recur predict m.safetensors in --nbest 4 --beam 2'
t 'recur predict m.safetensors in --alignments svg'
t 'recur predict m.safetensors in --samples 2'
t 'recur predict m.safetensors in --horizon 2'
t 'recur predict m.safetensors in --echo'
t 'recur eval m.safetensors test.src test.tgt --strategies greedy,fast'
t 'recur eval m.safetensors test.src test.tgt --dynamic'
t 'recur eval m.safetensors test.src test.tgt more'
t 'recur predict m.safetensors in --with talk.txt'
recur train lm train.tgt -o lm.safetensors --steps 2 --run run3 --hidden 8 --layers 1 --quiet >/dev/null
t 'recur predict lm.safetensors --beam 3'
t 'recur eval lm.safetensors test.src test.tgt'
t 'recur chat lm.safetensors'
finish
