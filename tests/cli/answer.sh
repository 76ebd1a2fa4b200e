# Answers about stories on the command line: training, scores, answers in every form, line by line, what is refused.
. "$(dirname "$0")/lib.sh"
mask 's#runs/[0-9]{8}-[0-9]{6}-[a-z]+#runs/NOW#g; s/[0-9.]+k? tokens\/s/N tokens\/s/; s/in [0-9.]+m?s,/in N,/'

# People go to places; who is where is where they went last.
world() {
    awk -v n="$1" -v seed="$2" 'BEGIN {
        srand(seed)
        split("Ann Bert Cleo", who); split("park attic shop river", where); split("went to:walked to:is in", verb, ":")
        for (s = 0; s < n; s++) {
            split("", at); k = 0; told = 2 + int(3 * rand())
            for (i = 0; i < told; i++) {
                w = 1 + int(3 * rand()); p = 1 + int(4 * rand()); at[w] = p
                printf "%d %s %s the %s.\n", ++k, who[w], verb[1 + int(3 * rand())], where[p]
            }
            do w = 1 + int(3 * rand()); while (!(w in at))
            printf "%d Where is %s?\t%s\n", ++k, who[w], where[at[w]]
        }
    }'
}
world 300 1 >where_train.txt
world 100 2 >where_test.txt
small='--threads 1 --embedding 12 --restarts 3 --ensemble 1 --batch 8 --epochs 50'

recur train answer where_train.txt -o m.safetensors --run run1 $small >out 2>err
check 'the data are told' grep -q '^where_train.txt: babi, 300 stories' err
check 'so are the sets' grep -q '^training: 270 questions, after' err
check 'and the baseline' grep -q '^baseline, always the most frequent answer' err
check 'and the members' grep -q '^members: the first 1 of 3 answer, by their errors on the validation data:' err
check 'the result' grep -q '^validation  accuracy' out
t "recur eval m.safetensors where_test.txt --json | jq -c '[.mean_error < 5, .failed_tasks, .questions, .tasks[0].task]'"
t "recur eval m.safetensors where_test.txt where_train.txt --json | jq -c '[.questions, (.tasks | length)]'"
t "recur eval m.safetensors where_test.txt | sed -E 's/[0-9]\.[0-9]{4}/N/g; s/ +[0-9]+ +N/ N/' | cut -c 1-30 | head -3"

printf 'Ann went to the park.\nBert is in the shop.\nWhere is Ann?\nAnn walked to the river.\nWhere is Ann?\n\nBert went to the attic.\nWhere is Bert?\n' >told.txt
t "recur predict m.safetensors told.txt | cut -f 1"
t "recur predict m.safetensors told.txt --top-k 2 | awk -F '\t' '{print NF}'"
t "recur predict m.safetensors told.txt --csv | cut -d , -f 1"
t "recur predict m.safetensors told.txt --json | jq -c '[.question, .answer, (.probability > 0.5), (.story | length), (.story[0].hops | length)]'"
t "recur predict m.safetensors told.txt --json | jq -c '[.story[] | .hops[-1]] | add | (. * 1000 | round)'"
t "recur predict m.safetensors told.txt --why | grep -c '^  hop '"
t "printf '1 Cleo is in the attic.\n2 Where is Cleo?\n' | recur predict m.safetensors - | cut -f 1"
t "printf '%s\n' '{\"story\": [\"Cleo is in the attic.\"], \"question\": \"Where is Cleo?\"}' | recur predict m.safetensors - | cut -f 1"
t 'recur explain m.safetensors | grep network'

# somebody who waits for each answer
mkfifo in
recur predict m.safetensors - <in >answers &
exec 9>in
printf 'Ann went to the park.\nWhere is Ann?\n' >&9
for i in $(seq 30); do
    [ "$(wc -l <answers)" -ge 1 ] && break
    sleep 0.2
done
check 'the first question is answered before the second comes' test "$(head -n 1 answers | cut -f 1)" = park
printf 'Ann went to the shop.\nWhere is Ann?\n' >&9
exec 9>&-
wait
check 'and the second' test "$(tail -n 1 answers | cut -f 1)" = shop

# other networks; JSON lines
for kind in query entity recurrent; do
    recur train answer where_train.txt --model $kind -o $kind.safetensors --run run-$kind --steps 5 $small --epochs 0 --quiet >/dev/null
    t "recur explain $kind.safetensors | grep -E 'network|reader'"
    check "$kind answers" test "$(recur predict $kind.safetensors told.txt | wc -l)" = 3
done
printf '%s\n' '{"story": ["Ann sings."], "question": "Who sings?", "answer": "Ann"}' '{"story": ["Bob sings."], "question": "Who sings?", "answer": ["Bob", "x"]}' >q.jsonl
t "recur train answer q.jsonl -o j.safetensors --run run2 --valid-fraction 0 --restarts 1 --epochs 60 --quiet --threads 1 --json | jq -c .parameters"
t "recur predict j.safetensors q.jsonl | cut -f 1"

# what it will take, several networks in one table, good options
t "recur plan answer where_train.txt --probe 0.1 | grep -E '^(data|model)'"
t "recur compare answer where_train.txt --model recurrent --cells lstm,gru --steps 3 --threads 1 --quiet --json | jq -c '[.results[].steps]'"
t "recur tune answer where_train.txt --trials 3 --epochs 1 --threads 1 --run tun 2>&1 | grep -o -m 1 'hops=0,2,3'"

# what is refused
t 'recur train answer'
printf '1 Ann sings.\n2 Who sings?\n' >bad.txt
t "recur train answer bad.txt --run bad $small"
printf '1 Ann sings.\n3 Who sings?\tAnn\n' >bad.txt
t "recur train answer bad.txt --run bad $small"
t 'recur train answer where_train.txt --crf'
t 'recur train answer where_train.txt --model segment --run bad'
t 'recur eval m.safetensors told.txt'
t 'recur predict m.safetensors --horizon 3 told.txt'
finish
