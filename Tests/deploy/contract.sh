#!/usr/bin/env bash
# The service does what openapi.yaml says, by a small run of deploy/check-contract, where that has been run once and so has
# its tools here. The whole run is a command of its own.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"

environment=${HEADWATER_CONTRACT:-${HOME:-/nonexistent}/.cache/headwater-contract}
if [[ -e $environment/complete ]] && command -v python3 >/dev/null; then
    deploy/check-contract --cases 1
else
    skip "the contract's generated requests: schemathesis isn't here; deploy/check-contract installs it"
fi
