#!/bin/sh
# A CA, a relay and two clients for tests and demonstrations, in certs/ (git ignores it):
#   ca.crt ca.key  relay.crt relay.key  client-1.crt client-1.key  client-2.crt client-2.key
# Nothing is overwritten without --force, which issues relay and clients anew under the CA that is there.
set -eu

usage() {
    cat <<'END'
Usage: scripts/generate-certs.sh [--force] [DIR]

Makes a CA, a relay and the clients client-1 and client-2 in DIR (certs), valid for 365 days.
  GATEHOUSE   the program to use (build/src/bin/gatehouse)
  RELAY_SANS  more DNS names and addresses of the relay, separated by spaces or commas
Example: RELAY_SANS="vpn.clinic.example 192.0.2.1" scripts/generate-certs.sh
END
}

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
gatehouse=${GATEHOUSE:-$top/build/src/bin/gatehouse}
force='' dir=$top/certs
for arg; do
    case $arg in
    --force) force=--force ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) dir=$arg ;;
    esac
done
[ -x "$gatehouse" ] || { echo "$gatehouse is not there: run make first, or set GATEHOUSE" >&2; exit 1; }

if [ -z "$force" ]; then
    for name in ca relay client-1 client-2; do
        for file in "$dir/$name.crt" "$dir/$name.key"; do
            [ ! -e "$file" ] || { echo "$file exists already; --force issues relay and clients anew" >&2; exit 1; }
        done
    done
fi

set -f # a wildcard in RELAY_SANS is a name, not a pattern
set -- --dns localhost --dns relay.gatehouse.example --ip 127.0.0.1 --ip ::1
for san in $(printf '%s' "${RELAY_SANS:-}" | tr ',' ' '); do
    case $san in
    *:*) set -- "$@" --ip "$san" ;;
    *[!0-9.]*) set -- "$@" --dns "$san" ;;
    *) set -- "$@" --ip "$san" ;;
    esac
done

[ -e "$dir/ca.crt" ] || "$gatehouse" ca init --dir "$dir" --trust-domain gatehouse.example
"$gatehouse" ca issue relay relay --dir "$dir" --days 365 $force "$@"
"$gatehouse" ca issue agent client-1 --dir "$dir" --days 365 $force
"$gatehouse" ca issue agent client-2 --dir "$dir" --days 365 $force
