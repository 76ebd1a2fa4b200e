# Detectors: train, eval, predict, watch on a small series; a stream that is cut, killed and gone on with.
. "$(dirname "$0")/lib.sh"
rows() { # rows FROM TO: period 24, and rows 700 to 705 are far below
    awk -v from="$1" -v to="$2" 'BEGIN {
        srand(3)
        for (i = 0; i < to; i++) {
            a = 10 + 3 * sin(i * 0.2617994) + rand() / 5; b = 5 + 2 * cos(i * 0.2617994) + rand() / 5
            if (i >= 700 && i < 706) b -= 6
            if (i >= from) printf "2024-03-%02d %02d:00:00,%.3f,%.3f,%d\n", i / 24 % 28 + 1, i % 24, a, b, (i >= 700 && i < 706)
        }
    }'
}
head='time,a,b,label'
{ echo $head; rows 0 600; } >first.csv
{ echo $head; rows 0 900; } >all.csv
rows 600 900 >rest.csv
mask 's/[0-9.]+[kM]? tokens\/s/N tokens\/s/; s/ in [0-9.]+s/ in TIME/; s/[0-9.]+s left/TIME left/; s/  [0-9.]+s$/  TIME/'
mask 's/ {2,}/  /g'
mask 's/-?[0-9]+\.[0-9]+(e-?[0-9]+)?/X/g'

t "recur train detect first.csv -o m.safetensors --run run --steps 60 --valid-every 30 --lookback 4 --threads 1 2>&1 | grep -E '^(data|channel|model|scores|step)'"
check 'the model is there' test -s m.safetensors
t 'recur eval m.safetensors all.csv --json | jq -c keys_unsorted'
check 'the event is found' jq -e '.event_recall == 1' <(recur eval m.safetensors all.csv --json)
t 'recur predict m.safetensors all.csv --csv | head -n 3'
t 'recur predict m.safetensors all.csv --json | sed -n 701p | jq -c "[keys_unsorted, .alarm, .time, .channels.b.share > 0.5]"'
check 'a line for each row' test "$(recur predict m.safetensors all.csv | wc -l)" = 900
check 'the first alarm is where it should be' test "$(recur watch m.safetensors all.csv | head -n 1 | cut -f 1)" = '2024-03-02 04:00:00'
recur predict m.safetensors all.csv >whole
check 'watch prints the same rows' cmp -s <(recur watch m.safetensors --all <all.csv) whole
check 'and of them the alarms' cmp -s <(recur watch m.safetensors <all.csv) <(awk -F '\t' '$3 == 1' whole)
check 'a picture' grep -q '</svg>' <(recur predict m.safetensors all.csv --svg s.svg >/dev/null && cat s.svg)
{ sleep 0.3; recur predict m.safetensors all.csv --svg gone.svg 2>err; } | true
check 'a picture though nobody reads the lines' grep -q '</svg>' gone.svg

# in pieces, with a state between them
for online in '' --online; do
    rm -f s.state
    recur predict m.safetensors all.csv $online >whole
    { recur watch m.safetensors --all $online --state s.state <first.csv; recur watch m.safetensors --all $online --state s.state <rest.csv; } >pieces
    check "cut at row 600 $online" cmp -s pieces whole
done

# a pipe is answered row by row; a signal writes the state
rm -f s.state
mkfifo pipe
recur watch m.safetensors --all --state s.state <pipe >answers &
pid=$!
exec 3>pipe
head -n 301 all.csv >&3
for _ in $(seq 100); do [ "$(wc -l <answers)" = 300 ] && break; sleep 0.1; done
check 'an answer to each row while the pipe is open' test "$(wc -l <answers)" = 300
kill -INT $pid
wait $pid
check 'Ctrl-C is a good end' test $? = 0
exec 3>&-
recur watch m.safetensors --all --state s.state < <(tail -n +302 all.csv) >>answers
recur predict m.safetensors all.csv >whole
check 'and nothing was lost' cmp -s answers whole

t 'recur watch m.safetensors --online --state s.state <rest.csv'
t "printf 'time,a,b\n2024-03-01 00:00:00,x,1\n' | recur predict m.safetensors -"
check 'watch goes on after it' test "$(printf 'time,a,b\n2024-03-01 00:00:00,x,1\n1,2\n2024-03-01 01:00:00,1,1\n' | recur watch m.safetensors --all | wc -l)" = 2
t 'recur watch'
t 'recur watch first.csv'
make_text 50 >text.txt
recur train lm text.txt -o lm.safetensors --steps 2 --run lm --hidden 8 --layers 1 --quiet --threads 1
t 'recur watch lm.safetensors first.csv'
t "recur train detect text.txt -o n.safetensors --quiet"
finish
