# shellcheck shell=bash
# tools/steps.sh - sourced by what runs many steps: one line a step with its time; what a failed step said is shown
#
# A step counts one, except the tests, which count themselves.
PYTHON=${PYTHON:-/usr/bin/python3}
OUT=$(mktemp) || exit 2
trap 'rm -f "$OUT"' EXIT
passed=0 failed=0

# step NAME COMMAND...
step() {
    local name=$1 start=$SECONDS rc=0 last
    shift
    "$@" >"$OUT" 2>&1 </dev/null || rc=$?
    last=$(tail -n 1 "$OUT")
    if [ "$rc" = 0 ]; then
        passed=$((passed + 1))
        printf 'ok    %-34s %4d s  %s\n' "$name" $((SECONDS - start)) "$(summary "$last")"
    else
        failed=$((failed + 1))
        printf 'FAIL  %-34s %4d s\n' "$name" $((SECONDS - start))
        tail -n 60 "$OUT" | sed 's/^/      /'
    fi
}

# The last line of a tool says what it looked at, and that of a run its numbers; Ninja's does not.
summary() {
    case $1 in
    layers:* | sizes:* | licences:* | binaries:* | conformance:* | units:* | pages:*) printf '%s' "${1#*: }" ;;
    *' passed, 0 failed'*) printf '%s' "$1" ;;
    esac
}

# tests NAME BUILD SUITE...: the numbers come from tools/test.
tests() {
    local name=$1 build=$2 start=$SECONDS rc=0 good=0 bad=0
    shift 2
    "$PYTHON" tools/test --build "$build" --strict "$@" >"$OUT" 2>&1 </dev/null || rc=$?
    read -r good bad < <(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$OUT") || true
    if [ "$rc" != 0 ] && [ "${bad:-0}" = 0 ]; then
        bad=1
    fi
    passed=$((passed + ${good:-0}))
    failed=$((failed + ${bad:-0}))
    if [ "$rc" = 0 ]; then
        printf 'ok    %-34s %4d s  %d tests\n' "$name" $((SECONDS - start)) "$good"
    else
        printf 'FAIL  %-34s %4d s  %d passed, %d failed\n' "$name" $((SECONDS - start)) "${good:-0}" "$bad"
        tail -n 100 "$OUT" | sed 's/^/      /'
    fi
}

# Configures when needed, then compiles.
compile() {
    make "$1/build.ninja" && ninja -C "$1"
}

# The numbers of all steps; the exit status.
finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}
