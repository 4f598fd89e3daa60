#!/usr/bin/env bash
# Tests the C library: `c/test.sh [FOLDER]`, FOLDER with libfoveate.so and libfoveate.a, target/release by default. Checks the
# exported symbols, compiles the example and the test of misuse as C and as C++, and runs both, then the example under valgrind where
# there is one; FOVEATE_VALGRIND=require makes its absence a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
library=$(realpath "${1:-target/release}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings=(-Wall -Wextra -Werror -pedantic -Iinclude)
image=assets/demo/scenes/0000.png

# Nothing but the functions of the header is exported, and all of them are.
nm --dynamic --defined-only "$library/libfoveate.so" | awk '{ print $NF }' | sort > "$work/exported"
grep -oE '\bfoveate_[a-z_]+\(' include/foveate.h | tr -d '(' | sort -u > "$work/declared"
diff "$work/declared" "$work/exported"

# The header is C99 and C++11, the programs C11 and C++11.
echo '#include <foveate.h>' > "$work/only.c"
cc -std=c99 "${warnings[@]}" -fsyntax-only "$work/only.c"
link=(-L"$library" -Wl,-rpath,"$library" -lfoveate -lm -lpthread)
for program in c/examples/explain.c c/tests/misuse.c; do
    name=$(basename "$program" .c)
    cc -std=c11 -g "${warnings[@]}" "$program" -o "$work/$name" "${link[@]}"
    c++ -std=c++11 "${warnings[@]}" -x c++ "$program" -x none -o "$work/$name-cpp" "${link[@]}"
done
cc -std=c11 "${warnings[@]}" c/examples/explain.c -o "$work/explain-static" "$library/libfoveate.a" -lm -lpthread -ldl

# The example, as the three programs, says and writes the same.
settings=(mask_size=2 iterations=1 steps=1)
explain() {
    "$@" "$image" "What color is the star?" "$work/out" cpu "${settings[@]}" 2> "$work/progress"
}
explain "$work/explain" | tee "$work/said"
grep -q '^answer: ' "$work/said"
grep -q '^\* ' "$work/said"
grep -q 'is needed most' "$work/said"
grep -q optimise "$work/progress"
for file in explanation.json mask.npy saliency.png overlay.png curves.png tokens.png; do
    test -s "$work/out/$file"
done
for other in cpp static; do
    explain "$work/explain-$other" | diff "$work/said" -
done
"$work/misuse" "$image" "$work/out"
"$work/misuse-cpp" "$image" "$work/out"

# The example reads and writes nothing that is not its own, and nothing is left at the end. The test of misuse makes too many
# evaluations to be run so each time.
if command -v valgrind > "$work/valgrind"; then
    # Tables that live as long as the process count as possibly lost: Rust's hash tables point into the middle of their memory.
    checked=(valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect
        --suppressions=c/valgrind.supp --error-exitcode=1 --fair-sched=yes)
    # It computes fused multiply-adds one by one, so every evaluation counts.
    settings+=(no_curves)
    explain "${checked[@]}" "$work/explain" | diff "$work/said" - || { cat "$work/progress"; exit 1; }
else
    echo "NOT TESTED: no valgrind"
    [ "${FOVEATE_VALGRIND:-}" != require ]
fi
