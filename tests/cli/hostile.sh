# Every option of every command, with values that no one should give: a message and exit 2 or 4, never a crash.
. "$(dirname "$0")/lib.sh"
make_text 50 >text.txt
recur help --options-json >options.json
long=$(printf 'x%.0s' $(seq 5000))
words() {
    case $1 in
    train) echo lm text.txt -o m ;;
    plan | compare) echo lm text.txt ;;
    eval) echo text.txt text.txt ;;
    predict | explain) echo text.txt ;;
    bench) echo rnn ;;
    esac
}
count=0
for command in $(jq -r 'keys_unsorted[]' options.json); do
    while read -r option type; do
        case $type in
        int) values=("" " " -1x 0x10 1e3 99999999999999999999 -99999999999999999999 nan inf "1 " "$long") ;;
        real) values=("" " " x nan inf -inf 1e999 0x1p3 1,5 "$long") ;;
        time) values=("" " " x -1s 3q nan 1h1h 1e999 "$long") ;;
        choice) values=("" " " nothing "$long") ;;
        path_in) values=("" missing/file "$long" /) ;;
        path_out) values=("" missing/file "$long" /) ;;
        bool) values=("" " " maybe 2 "$long") ;;
        *) values=() ;;
        esac
        for value in "${values[@]}"; do
            recur $command $(words $command) "--$option=$value" >out 2>err </dev/null
            code=$?
            count=$((count + 1))
            if [ $code != 2 ] && [ $code != 4 ] || [ ! -s err ] || [ "$(wc -c <err)" -gt 6000 ]; then
                echo "$command --$option=${value:0:40}: exit $code: $(head -c 300 err)"
                failed=1
            fi
        done
    done < <(jq -r --arg c "$command" '.[$c][] | "\(.name) \(.type)"' options.json)
done
check 'options were tried' test $count -gt 400
check 'nothing was written' test ! -e m
finish
