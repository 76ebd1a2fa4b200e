#!/bin/bash
# header.sh INCLUDE_DIR NAME: a public header compiles alone, included twice, as strict C11, as C17 and as C++17, and
# gives a program that uses nothing else.
set -euo pipefail
text="#include \"recur/$2\"
#include \"recur/$2\"
int main(void);
int main(void) { return 0; }"
for standard in c11 c17; do
    "$CC" -x c -std=$standard -Wall -Wextra -pedantic -Wstrict-prototypes -Werror -fsyntax-only -I "$1" - <<< "$text"
done
"$CXX" -x c++ -std=c++17 -Wall -Wextra -pedantic -Werror -fsyntax-only -I "$1" - <<< "${text/'int main(void);'/}"
