# Forecasting from the command line: train, eval, predict, new values, pictures, and what is refused.
. "$(dirname "$0")/lib.sh"
mask 's/[0-9.]+[kM]? tokens\/s/N tokens\/s/; s/ in [0-9.]+s/ in TIME/'
mask 's/ {2,}/  /g'
mask 's/-?[0-9]+\.[0-9]+(e-?[0-9]+)?/X/g'
awk 'BEGIN {
    print "day,promo,sold"
    for (t = 0; t < 120; t++) {
        m = int(t / 30) + 1; p = ((t * 7) % 5 == 0)
        if (t == 50) continue
        printf("2021-%02d-%02d,%d,%s\n", m == 2 && t % 30 >= 28 ? 3 : m, t % 30 + 1, p, t == 20 ? "NA" : 10 + t % 7 + 5 * p)
    }
}' >bad.csv # goes back in time
awk 'BEGIN {
    print "day,promo,sold"
    for (t = 0; t < 93; t++) {
        m = t < 31 ? 1 : t < 59 ? 2 : t < 90 ? 3 : 4; d = t - (m == 1 ? 0 : m == 2 ? 31 : m == 3 ? 59 : 90) + 1; p = ((t * 7) % 5 == 0)
        if (t != 50) printf("2021-%02d-%02d,%d,%s\n", m, d, p, t == 20 ? "NA" : t >= 90 ? "" : 10 + t % 7 + 5 * p)
    }
}' >sales.csv
small="--horizon 3 --hidden 8 --steps 60 --epochs 0 --threads 1"

t "recur train forecast sales.csv --target sold --known-ahead promo $small -o m.safetensors --run r --quiet --json | jq -c '[.steps, (.accuracy < 2), .model]'"
recur train forecast sales.csv --target sold --known-ahead promo $small -o n.safetensors --run r2 >out 2>err
check 'what was read' grep -q '^data: wide (a column a series): 1 series, 90 values' err
check 'gaps and missing values' grep -q '^missing: 2 values of 90 (2.22 %), 1 steps that the file leaves out' err
check 'the clock' grep -q '^time: day, daily, from 2021-01-01 to 2021-03-31' err
check 'the covariate' grep -q '^covariate: promo, known ahead' err
check 'beside the baselines' grep -q '^  seasonal naive (7) ' err
check 'and the linear one' grep -q '^  linear ' err
t 'recur predict m.safetensors sales.csv --csv --svg a.svg'
check 'a picture' grep -q '</svg>' a.svg
{ sleep 0.3; recur predict m.safetensors sales.csv --csv --svg gone.svg 2>err; } | true
check 'a picture though nobody reads on' cmp a.svg gone.svg
t 'recur predict m.safetensors sales.csv --json | jq -c "[keys_unsorted, .time, (.quantiles | keys)]"'
t 'recur predict m.safetensors sales.csv --horizon 1 | cut -f 1,2'
t 'recur predict m.safetensors sales.csv --horizon 9'
t 'recur predict m.safetensors'
printf 'day,promo,sold\n2021-04-01,0,12\n2021-04-02,1,\n2021-04-03,0,\n2021-04-04,0,\n' >since.csv
t 'recur predict m.safetensors --observe since.csv | cut -f 1'
t 'recur eval m.safetensors sales.csv --start -9 --stride 3'
t 'recur eval m.safetensors sales.csv --json | jq -c "[.windows, .horizon, .season, (.models | map(.model))]"'
t "recur train forecast sales.csv --target sold --model es-rnn --inputs none --likelihood gaussian $small -o x"
t "recur train forecast sales.csv --target nothing $small -o x"
t "recur train forecast sales.csv --target sold --quantiles 0.9,0.1 $small -o x"
t "recur train forecast bad.csv --target sold $small -o x"
# Going on from a trained model with newer data, and the commands around training.
sed -n '1p;30,$p' sales.csv >newer.csv
t "recur train forecast newer.csv --from m.safetensors --steps 10 --epochs 0 --threads 1 -o f.safetensors --run r3 --quiet --json | jq -c '[.steps, .parameters]'"
check 'its first loss is near that of the model it began with' awk 'NR == FNR {was = $1; next} {exit !($1 < was + 0.2)}' \
    <(recur eval m.safetensors sales.csv --json | jq .mase) <(recur eval f.safetensors sales.csv --json | jq .mase)
t 'recur train forecast newer.csv --from m.safetensors --horizon 5 --steps 10 -o x --quiet'
t 'recur plan forecast sales.csv --target sold --horizon 3 --hidden 8 --json | jq -c .parameters'
t "recur compare forecast sales.csv --target sold --cells gru,lstm --model direct $small --run cmp --json 2>/dev/null | jq -c 'keys, [.results[]?.cell]'"
t "recur tune forecast sales.csv --target sold --model direct $small --trials 3 --run tuned -o t.safetensors --json 2>/dev/null | jq -c '[.trials | length]'"
finish
