#!/bin/sh
# Shows what examples/policy.yaml does to real packets: client-1 reaches two addresses and no other, client-2 everything.
# Makes its own world of network namespaces (root, or user namespaces) and takes it down again.
set -eu

case ${1:-} in
-h | --help)
    cat <<'END'
Usage: scripts/test-acl.sh

  GATEHOUSE_BUILD  build folder with the programs (build)
Example: make all && scripts/test-acl.sh
Exit codes: 0 as the policy says, 1 not so.
END
    exit 0
    ;;
'') ;;
*)
    echo "Usage: scripts/test-acl.sh" >&2
    exit 2
    ;;
esac

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
export PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 "$top/tests/e2e/acl.py"
