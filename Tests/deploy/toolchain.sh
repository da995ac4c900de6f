#!/usr/bin/env bash
# Without a recent enough Swift toolchain, deploy/serve and deploy/test say in one sentence what to do, and stop.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

manifest=$(sed -n '1s/.*swift-tools-version: *\([0-9.]*\).*/\1/p' Package.swift)
[[ $manifest == "$oldest_swift" ]] || fail "Package.swift needs Swift $manifest, deploy/packages asks for $oldest_swift"

# A toolchain that were accepted here would go on to install and build.
stub apt-get 'echo "apt-get was run" >&2; exit 1'
# What the distribution has: a version in the file, or nothing.
export folder
# shellcheck disable=SC2016  # The stub expands it.
stub apt-cache 'echo "  Candidate: $(cat "$folder/candidate" 2>/dev/null || echo "(none)")"'
refuse() {
    local command message status
    stub swift "$1"
    for command in deploy/serve deploy/test; do
        status=0
        message=$(PATH="$folder/bin:$PATH" timeout 20 "$command" </dev/null 2>&1) || status=$?
        [[ $status -eq $exit_unavailable ]] || fail "$command exits $status with $2, not $exit_unavailable: $message"
        [[ $message == *"$container_route"* ]] || fail "$command doesn't name the container with $2: $message"
        [[ $message != *$'\n'* && $message == *"$3"* ]] || fail "$command doesn't say it in one sentence: $message"
    done
}
refuse 'exit 127' 'no toolchain' 'here: none'
echo 6.0.3-2 >"$folder/candidate"
refuse 'exit 127' 'no toolchain and an old one in the distribution' 'this distribution has 6.0.3-2'
echo 6.2.3-1+b1 >"$folder/candidate"
refuse 'echo "Swift version 6.1.3 (swift-6.1.3-RELEASE)"' 'an old toolchain' 'here: 6.1'
refuse 'echo "Apple Swift version 5.10 (swiftlang-5.10.0.13)"' 'an older toolchain' 'here: 5.10'

for version in 6.2 6.3.1 6.10 7.0; do
    stub swift "echo 'Swift version $version (swift-$version-RELEASE)'"
    (PATH="$folder/bin:$PATH" require_swift) || fail "Swift $version is refused"
done
echo "missing and old Swift toolchains are refused in one sentence, $oldest_swift and later accepted"

# The distribution's toolchain is installed where there is none; it is found where it installs itself.
stub swift 'exit 127'
# Nothing is installed, even where this machine has that package.
stub dpkg-query 'exit 1'
# shellcheck disable=SC2016  # The stubs expand these.
{
    stub sudo '[[ $1 == -n ]] && shift; "$@"'
    stub apt-get 'echo "$*" >>"$folder/calls"
        [[ $* != *install*swiftlang ]] || printf "#!/bin/bash\necho Swift version 6.2.3\n" >"$folder/bin/swift"'
}
(PATH="$folder/bin:$PATH" require_swift) >"$folder/output" 2>&1 || fail "the distribution's toolchain: $(<"$folder/output")"
grep -q 'install .*swiftlang$' "$folder/calls" || fail "apt-get was called with: $(<"$folder/calls")"
echo "the distribution's toolchain is installed where there is none"
