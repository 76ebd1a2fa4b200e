# --help everywhere, in its exact form; the manual page and the completion made from the same tables.
. "$(dirname "$0")/lib.sh"
t 'recur --help'
for command in train eval predict compare tune plan explain watch export runs bench help; do
    t "recur $command --help"
    recur help $command >a
    recur $command -h >b
    check "help $command is $command -h" cmp -s a b
    # Each example of --help must at least parse: an unknown option in it would be found here.
    sed -n '/^Examples/,/^$/s/^  recur /recur /p' b | grep -o -- '--[a-z][a-z-]*' | sort -u | while read -r option; do
        grep -qE -- "(^|[^a-z-])$option( |$|=)" b || echo "$command: the example's $option is no option"
    done >missing
    check "options of the examples of $command exist" test ! -s missing
done
check 'help without arguments is --help' test "$(recur help)" = "$(recur --help)"
# the preset's values are shown as the ones in force
check 'help shows the values in force' test "$(recur train --hidden 77 --help | grep -c '\[77\]')" = 1
recur train --preset good --help >good
recur train --help >plain
check 'help shows what a preset chooses' test "$(cmp -s good plain; echo $?)" = 1
for command in train eval predict compare tune plan explain watch export runs bench help; do recur help $command; done >all
check 'no line of help is wider than 80 columns, but examples' test -z "$(grep -E '^.{81}' all | grep -v '^  recur ')"

recur help --man >recur.1
check 'the manual names every command' test "$(grep -c '^\.SH "RECUR ' recur.1)" = 13
if command -v groff >/dev/null; then
    groff -man -Tutf8 -ww -z recur.1 >/dev/null 2>man.err
    check 'the manual page has no warnings' test ! -s man.err
fi

# completion, as bash would ask for it
recur help --bash-completion >recur.bash
check 'completion is valid bash' bash -n recur.bash
. ./recur.bash
compopt() { :; } # only inside a real completion
complete_words() {
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _recur
    echo "${COMPREPLY[*]}"
}
touch text.txt
mkdir folder
check 'commands' test "$(complete_words recur pre)" = predict
check 'tasks' test "$(complete_words recur train l)" = lm
check 'options' test "$(complete_words recur train lm --hidd)" = --hidden
check 'cells' test "$(complete_words recur train lm --cell lstm-l)" = lstm-layernorm
check 'choices' test "$(complete_words recur train lm --schedule one)" = one-cycle
check 'lists of cells' test "$(complete_words recur compare lm x --cells rnn,lstm-l)" = rnn,lstm-layernorm
check 'files' test "$(complete_words recur train lm te)" = text.txt
check 'files of an option' test "$(complete_words recur train lm --valid te)" = text.txt
check 'folders of an option' test "$(complete_words recur train lm --resume fo)" = folder
check 'actions' test "$(complete_words recur runs com)" = compare
check 'folders' test "$(complete_words recur runs delete fo)" = folder
check 'benchmarks' test "$(complete_words recur bench st)" = step
check 'commands of help' test "$(complete_words recur help expl)" = explain

t 'recur help --options-json | jq -r "keys_unsorted | join(\" \")"'
check '--version names the version' grep -q '^recur [0-9]' <(recur --version)
check '--version names the kernels' grep -q 'kernels: ' <(recur --version)
finish
