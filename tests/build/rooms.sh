# rooms.sh - the order of the rooms, held by their #include lines: a room uses itself and those before it in the list.
# include/recur is free to all of src/; cli/ and examples/ use nothing else. The list is that of docs/architecture.md.
# SOURCE names the tree.
set -u
rooms="base kernels autograd nn optim data metrics decode formats tasks train"
: "${SOURCE:?SOURCE must name the tree}"

# look TREE: prints what is wrong there
look() {
    local room folder wrong allowed=recur
    for folder in "$1"/src/*/; do
        case " $rooms " in
        *" $(basename "$folder") "*) ;;
        *) echo "$folder: a room that is not in the list" ;;
        esac
    done
    for room in $rooms; do
        allowed="$allowed|$room" # every quoted include names its room, and one that is allowed here
        wrong=$(grep -rnE '^ *# *include +"' "$1/src/$room" | grep -vE "include +\"($allowed)/")
        [ -z "$wrong" ] || printf 'src/%s may include from: %s\n%s\n' "$room" "${allowed//|/ }" "$wrong"
    done
    for folder in cli examples; do
        wrong=$(grep -rnE '^ *# *include +"' "$1/$folder" --include='*.[ch]' | grep -vE 'include +"(recur/)?[a-z_]+\.h"')
        [ -z "$wrong" ] || printf '%s/ uses the public headers and its own alone\n%s\n' "$folder" "$wrong"
    done
}

failed=0
found=$(look "$SOURCE")
[ -z "$found" ] || { echo "$found"; failed=1; }
listed=$(sed -n 's,^src/\([a-z]*\)/.*,\1,p' "$SOURCE/docs/architecture.md" | tr '\n' ' ')
[ "$listed" = "$rooms " ] || { echo "docs/architecture.md lists $listed, this test $rooms"; failed=1; }

# The test sees what it is for: one include against the order, one of the command line past the headers.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/cli" "$work/examples"
for room in $rooms; do mkdir -p "$work/src/$room"; done
echo '#include "nn/rnn_internal.h"' >"$work/src/formats/fine.c"
[ -z "$(look "$work")" ] || { echo "an include in the order counts as wrong"; failed=1; }
echo '  # include "formats/safetensors.h"' >"$work/src/data/wrong.c"
echo '#include "base/mem.h"' >"$work/cli/wrong.c"
[ "$(look "$work" | grep -c 'wrong\.c')" = 2 ] || { echo "includes against the order are not seen"; failed=1; }
exit $failed
