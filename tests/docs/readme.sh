# readme.sh - the README's commands run, as they stand there, on small data.
#
# Blocks ```sh under a line <!-- tested --> run in order in one folder that holds what they need. `recur` is a wrapper that adds a
# small budget and a small network, `make install` becomes cmake --install. <!-- tested: torch --> wants Python (RECUR_PYTHON, or python3)
# with torch and safetensors, <!-- tested: install --> the shared library; both are left out where those are not there, and it says so. A block
# ```text under <!-- its output --> must begin its lines as the output of the block before it does. Also here: the table of cells
# is that of the program, and links in the documents lead somewhere.
# RECUR, SOURCE, BUILD name the program, the tree and the folder it was built in.
set -u
: "${RECUR:?RECUR must name the program}" "${SOURCE:?SOURCE must name the tree}" "${BUILD:?BUILD must name the build folder}"
export RECUR SOURCE BUILD LC_ALL=C.UTF-8 TERM=dumb OMP_NUM_THREADS=2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/here/demo" "$work/bin" "$work/home"
cd "$work/here" || exit 1
failed=0
fail() {
    echo "README: $*"
    failed=1
}

# ---- what the blocks find -----------------------------------------------------------------------------------------------
cat >"$work/bin/recur" <<'END'
#!/bin/bash
small="--steps 6 --layers 1 --hidden 16 --batch 8 --seq-len 16"
case "$*" in
*--resume*) exec "$RECUR" "$@" --steps 9 --quiet ;;
train\ forecast*|train\ detect*) exec "$RECUR" "$@" --steps 6 --hidden 16 --quiet ;;
tune*) exec "$RECUR" "${@:1:3}" --trials 2 "${@:6}" --steps 4 --hidden 16 --batch 8 --quiet ;;
compare\ classify*) exec "$RECUR" "$@" --steps 4 --hidden 16 --batch 8 --quiet ;;
train\ translate*|train\ chat*|train\ answer*) exec "$RECUR" "$@" --steps 6 --hidden 16 --batch 8 --quiet ;;
train\ classify*|train\ regress*|train\ tag*) exec "$RECUR" "$@" --steps 6 --hidden 16 --batch 8 --quiet ;;
train*) exec "$RECUR" "$@" $small --quiet ;;
compare*) exec "$RECUR" "$@" $small --quiet ;;
plan*) exec "$RECUR" "$@" --hidden 16 --probe 0.1 ;;
bench*) exec "$RECUR" "$@" --hidden 16 --time 0.1 ;;
esac
exec "$RECUR" "$@"
END
cat >"$work/bin/make" <<'END'
#!/bin/bash
[[ $1 = install && $2 = PREFIX=* ]] || { echo "make $*: not known here"; exit 1; }
exec cmake --install "$BUILD" --prefix "${2#PREFIX=}"
END
chmod +x "$work/bin"/*
export PATH=$work/bin:$PATH HOME=$work/home
ln -s "$SOURCE/examples" examples
write() { # write LINES WORD
    awk -v n="$1" -v who="$2" 'BEGIN {
        split("king servant people prophet", a); split("house field city river", b); split("came went spake wept", c)
        for (i = 0; i < n; i++) printf "And the %s %s, Thou shalt go unto the %s of %s. In the morning\n", a[i % 4 + 1], c[i % 3 + 1], b[i * 7 % 4 + 1], who
    }'
}
write 400 Israel >book.txt
write 200 Egypt >demo/text.txt
write 200 Ωmega >mine.txt
for part in train val test; do # the same sentences in two languages
    awk 'BEGIN {split("the,a", d, ","); split("cat,dog,bird", a, ","); split("sat,ran", v, ",")
        for (i = 0; i < 60; i++) print d[i % 2 + 1], a[i % 3 + 1], v[i % 5 % 2 + 1]}' >$part.en
    sed 's/the/die/; s/^a /eine /; s/cat/katze/; s/dog/hündin/; s/bird/ente/; s/sat/saß/; s/ran/lief/' $part.en >$part.de
done
printf 'hello\nhi\nhow are you\nfine\n\nhello\ngood day\n\n' >greetings.txt
for i in 1 2 3 4 5 6; do
    printf '1 Ann went to the kitchen.\n2 Bob went to the hall.\n3 Where is Ann?\tkitchen\t1\n4 Where is Bob?\thall\t2\n'
done >stories.txt
reviews() { # reviews LINES
    awk -v n="$1" 'BEGIN {print "review,label"
        split("good fine lovely", g); split("bad dull poor", b)
        for (i = 0; i < n; i++) printf "\"a %s film, and so on\",%s\n", i % 2 ? g[i % 3 + 1] : b[i % 3 + 1], i % 2 ? "pos" : "neg"}'
}
reviews 80 >reviews.csv
reviews 20 >reviews-test.csv
awk 'BEGIN {print "engine,cycle,heat,noise,left"
    for (e = 0; e < 12; e++) for (c = 0; c < 15; c++) printf "e%d,%d,%.1f,%d,%d\n", e, c, c + e * 0.1, c * 7 % 5, 14 - c}' >engines.csv
conllu() { # conllu SENTENCES
    awk -v n="$1" 'BEGIN {split("dog cat bird", N); split("runs sings", V)
        for (i = 0; i < n; i++) printf "1\tthe\tthe\tDET\t_\t_\t2\tdet\t_\t_\n2\t%s\t_\tNOUN\t_\t_\t3\tnsubj\t_\t_\n3\t%s\t_\tVERB\t_\t_\t0\troot\t_\t_\n\n", N[i % 3 + 1], V[i % 2 + 1]}'
}
conllu 60 >train.conllu
conllu 10 >dev.conllu
awk 'BEGIN {print "day,sold"; for (i = 0; i < 300; i++) printf "2024-%02d-%02d,%d\n", i / 28 + 1, i % 28 + 1, 50 + 20 * sin(i * .8976) + i % 5}' >sales.csv
awk 'BEGIN {print "heat,load"; for (i = 0; i < 500; i++) printf "%.3f,%.3f\n", sin(i * .3), cos(i * .2)}' >sensors.csv
awk 'BEGIN {print "heat,load"; for (i = 500; i < 560; i++) printf "%.3f,%.3f\n", sin(i * .3), cos(i * .2)}' >live.csv
recur train lm demo/text.txt -o demo/model.safetensors --run demo/run || exit 1

without=()
python=
for p in ${RECUR_PYTHON:-python3}; do
    "$p" -c 'import torch, safetensors' 2>/dev/null && { python=$(command -v "$p"); break; }
done
if [ -n "$python" ]; then
    printf '#!/bin/bash\nexec %s "$@"\n' "$python" >"$work/bin/python3"
    chmod +x "$work/bin/python3"
    hash -r
    python3 - <<'END' || exit 1
import json, torch
chars = sorted(set(open("demo/text.txt").read()))
net = torch.nn.ModuleDict({"embedding": torch.nn.Embedding(len(chars) + 1, 8), "lstm": torch.nn.LSTM(8, 16),
                           "head": torch.nn.Linear(16, len(chars) + 1)})
torch.save(net.state_dict(), "weights.pt")
json.dump([None] + chars, open("vocab.json", "w"))
END
else
    without+=(torch)
fi
compgen -G "$BUILD/librecur.so*" >/dev/null || without+=(install)

# ---- the blocks -----------------------------------------------------------------------------------------------------------
# README -> block-NN.sh with its tag in the first line, output-NN.txt what is shown under it
awk '
    /^<!-- (tested|its output).*-->$/ { tag = $0; next }
    /^```/ && !inside { inside = 1; file = ""
        if ($0 == "```sh") { n++; file = sprintf("../block-%02d.sh", n); print "# " (tag == "" ? "not tested" : tag) > file }
        if ($0 == "```text" && tag ~ /its output/) { file = sprintf("../output-%02d.txt", n); printf "" > file }
        tag = ""; next }
    /^```/ { inside = 0; next }
    inside && file != "" { print > file }
    $0 != "" { tag = "" }' "$SOURCE/README.md"
ran=0
for block in ../block-*.sh; do
    tag=$(sed -n '1s/^# <!-- tested:* *\(.*\) *-->$/\1/p' "$block")
    if grep -q '^# not tested' "$block"; then
        other=$(sed 1d "$block" | grep -vE '^(make|export PATH=)')
        [ -z "$other" ] || fail "a block that is not tested has: $other"
        continue
    fi
    case " ${without[*]-} " in *" ${tag% } "*) [ -z "${tag% }" ] || { echo "left out, ${tag% } is not there: $(sed -n 2p "$block")"; continue; } ;; esac
    began=${EPOCHREALTIME/./}
    bash -euo pipefail "$block" >"$block.out" 2>"$block.err" </dev/null || fail "this fails:
$(sed 1d "$block")
$(tail -n 5 "$block.out" "$block.err")"
    [ ! -s "$block.err" ] || grep -q Warning "$block.err" || fail "this writes to standard error:
$(sed 1d "$block")
$(head -n 5 "$block.err")"
    echo "$(((${EPOCHREALTIME/./} - began) / 1000)) ms: $(sed -n 2p "$block")"
    ran=$((ran + 1))
    shown=${block/block/output}
    shown=${shown%.sh}.txt
    [ ! -e "$shown" ] || while read -r word _; do
        [[ -z $word || $word = "…" ]] && continue
        word=$(sed 's/^[0-9.]*$/N/' <<<"$word")
        sed -E 's/^ *[0-9.]+ /N /; s/^ +//' "$block.out" | grep -F -e "$word" >/dev/null || fail "shown, but the program does not write: $word"
    done <"$shown"
done
[ $ran -ge 10 ] || fail "only $ran blocks ran"

# ---- the rest -------------------------------------------------------------------------------------------------------------
table=$(sed -n '/^## Cells/,/^## /s/^| `\([a-z0-9-]*\)` |.*/\1/p' "$SOURCE/README.md" | tr '\n' ' ')
cells=$("$RECUR" train lm --help | tr '\n' ' ' | sed -E 's/ +/ /g; s/.*--cell CELL [^(]*\(([^)]*)\).*/\1/')
[ "$table" = "$cells " ] || fail "the table of cells has: $table, the program: $cells"

for page in "$SOURCE"/*.md "$SOURCE"/docs/*.md "$SOURCE"/examples/*.md; do
    for link in $(grep -oE '\]\([^) ]+\)' "$page" | sed -E 's/^\]\(//; s/\)$//; s/#.*//' | grep -v '://'); do
        [ -e "$(dirname "$page")/$link" ] || fail "${page#"$SOURCE"/}: a link leads nowhere: $link"
    done
done
exit $failed
