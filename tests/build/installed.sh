#!/bin/bash
# The installed tree serves a program that knows nothing but pkg-config: static and shared, C and C++, also once moved.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$CMAKE" --install "$BUILD" --prefix "$dir/first" > "$dir/log" || { cat "$dir/log"; exit 1; }
mv "$dir/first" "$dir/tree"
cat > "$dir/use.c" << 'END'
#include <recur/recur.h>
#include <stdio.h>
#include <string.h>
int main(void) {
    rc_rng r = rc_rng_make(0, 0);
    if (rc_rng_u32(&r) != 0x6627e8d5u || strcmp(rc_version(), RC_VERSION) != 0) return 1;
    printf("%s", rc_build_info());
    return 0;
}
END
pc=$(find "$dir/tree" -name recur.pc)
export PKG_CONFIG_PATH=${pc%/*}
lib=${pc%/pkgconfig/*}
cd "$dir"
$CC use.c -o shared $(pkg-config --cflags --libs recur)
LD_LIBRARY_PATH=$lib ./shared
ldd shared | grep librecur > /dev/null || { echo "the program does not use the shared library"; exit 1; }
"$CXX" -x c++ -std=c++17 use.c -x none -o cxx $(pkg-config --cflags --libs recur)
LD_LIBRARY_PATH=$lib ./cxx > /dev/null
rm "$lib"/librecur.so*
$CC use.c -o static $(pkg-config --static --cflags --libs recur)
./static > /dev/null
if [ -e "$BUILD/recur" ]; then
    "$dir/tree/bin/recur" --version
    test -s "$dir/tree/share/man/man1/recur.1"
    bash -n "$dir/tree/share/bash-completion/completions/recur"
fi
