#!/usr/bin/env bash
# The program names the commit that it was built from, whatever was built before; an archive's is unknown, and only the
# executable is compiled again for another one.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder
unset HEADWATER_COMMIT

# A package with the plugin and the target of this one, and a program that prints the commit.
package() {
    mkdir -p "$1/Sources/headwater"
    cp -r --parents Plugins Sources/BuildCommit "$1"
    cat >"$1/Package.swift" <<'MANIFEST'
// swift-tools-version: 6.2
import PackageDescription
let package = Package(
    name: "headwater",
    targets: [
        .plugin(name: "RecordCommit", capability: .buildTool()),
        .target(name: "BuildCommit", plugins: ["RecordCommit"]),
        .executableTarget(name: "headwater", dependencies: ["BuildCommit"]),
    ])
MANIFEST
    printf 'import BuildCommit\nprint(buildCommit)\n' >"$1/Sources/headwater/main.swift"
    echo .build >"$1/.gitignore"
}
in_checkout() { git -C "$folder/checkout" -c user.name=x -c user.email=x "$@"; }
built() {
    # Swift's driver compares the times of sources in whole seconds: a change within the second of the last build isn't compiled.
    local second=$EPOCHSECONDS
    until ((EPOCHSECONDS > second)); do sleep 0.05; done
    swift build --package-path "$1" >"$folder/log" 2>&1 || fail "$(cat "$folder/log")"
    "$1/.build/debug/headwater"
}
expect() { [[ $2 == "$1" ]] || fail "$3: the commit is \"$2\" rather than \"$1\""; }

package "$folder/checkout"
in_checkout init --quiet
in_checkout add --all
in_checkout commit --quiet --message one
expect "$(in_checkout rev-parse HEAD)" "$(built "$folder/checkout")" "a checkout"
in_checkout tag 1.0
in_checkout commit --quiet --allow-empty --message two
expect "$(in_checkout rev-parse HEAD)" "$(built "$folder/checkout")" "after another commit"
echo >>"$folder/checkout/.gitignore"
expect "$(in_checkout rev-parse HEAD)-modified" "$(built "$folder/checkout")" "with files that differ"
expect c0ffee "$(HEADWATER_COMMIT=c0ffee built "$folder/checkout")" "a commit that is given"
if (HEADWATER_COMMIT='"; x' built "$folder/checkout") >/dev/null 2>&1; then fail "what is no commit is taken for one"; fi
# Within the checkout, whose commit is not the archive's; moved there to spare a build.
mv "$folder/checkout/.git" "$folder/.git"
expect unknown "$(built "$folder/checkout")" "an archive within another checkout"
echo "the commit is the checkout's at each build, the given one, or unknown"

importers=$(grep -rl --include='*.swift' 'import BuildCommit' Sources)
[[ $importers == Sources/headwater/Headwater.swift ]] || fail "the commit is imported by $importers"
said=$(.build/debug/headwater --version)
[[ $said =~ ^headwater\ [0-9.]+\ \(commit\ ([0-9a-f]{40}(-modified)?|unknown)\)$ ]] || fail "--version says: $said"
echo "$said"
