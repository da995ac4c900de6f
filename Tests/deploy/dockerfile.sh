#!/usr/bin/env bash
# What can be verified of the container image without a container engine.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"

# The build context, by the rules of .dockerignore that its file uses: the last pattern that names the path, or a folder
# above it, counts; ** stands for any folders, none included.
is_in_context() {
    local line pattern verdict=0
    while read -r line; do
        [[ -z $line || $line == '#'* ]] && continue
        pattern=${line#!}
        # shellcheck disable=SC2053  # A glob is meant.
        if [[ $1 == $pattern || $1 == $pattern/* || $1 == ${pattern#'**/'} || $1 == ${pattern#'**/'}/* ]]; then
            [[ $line == '!'* ]]
            verdict=$?
        fi
    done <.dockerignore
    return "$verdict"
}

copied=0
while read -r _ words; do
    [[ $words == --from=* ]] && continue
    read -ra words <<<"$words"
    for source in "${words[@]:0:${#words[@]}-1}"; do
        [[ -e $source ]] || fail "COPY $source: there is no such file"
        is_in_context "$source" || fail "COPY $source: .dockerignore keeps it out of the build context"
        copied=$((copied + 1))
    done
done < <(grep '^COPY ' Dockerfile)
[[ $copied -gt 0 ]] || fail "no COPY instruction was found"
echo "$copied COPY sources exist and are in the build context"

# All of the context, by name: a new file of the repository is in it only if one of these says so.
unwanted=$(find . -type f -not -path './.git/*' -not -path './.build/*' -printf '%P\n' | while read -r path; do
    if is_in_context "$path"; then
        case $path in
            Package.swift | openapi.yaml | docs/api.md | LICENSE | deploy/packages | deploy/assemble-image | deploy/build-release | deploy/prepare-sysroot | deploy/swift-sdk) ;;
            Plugins/*.swift | Sources/*.swift | Sources/*.[ch] | Sources/*/module.modulemap | Sources/*.inc | Sources/*.S) ;;
            Sources/CPlayground/page/*.html | Sources/CPlayground/page/*.css | Sources/CPlayground/page/*.js) ;;
            Sources/CPlayground/page/photographs/*.jpg | Sources/CPlayground/page/photographs/README.md | Sources/CBundledModel/*.safetensors) ;;
            Tests/*.swift | Tests/*.[ch]) ;;
            *) echo "$path" ;;
        esac
    fi
done)
[[ -z $unwanted ]] || fail ".dockerignore lets into the build context: $unwanted"
for path in .git .git/HEAD .build .build/debug .ci/run docs docs/operating.md README.md Tests/Fixtures/x Tests/deploy/x Sources/a/.build; do
    if is_in_context "$path"; then fail ".dockerignore lets $path into the build context"; fi
done
for path in Sources/headwater/Headwater.swift Tests/TestFixtures/TestFixtures.swift; do
    is_in_context "$path" || fail ".dockerignore keeps $path out of the build context"
done
echo ".dockerignore keeps history, build products, documents and fixtures out"

expect() { grep -qE -- "$1" Dockerfile || fail "$2"; }
expect '^USER [1-9][0-9]*:[1-9][0-9]*$' "the image must run as a numbered user other than root"
expect '^HEALTHCHECK .*CMD \["headwater", "health"\]$' "the image's health check must be the binary's own"
expect '^STOPSIGNAL SIGTERM$' "the image must be stopped by SIGTERM"
expect '^EXPOSE 8080$' "the image must expose the service's port, and the admin's not"
grep -q -- '--static-swift-stdlib --product headwater' deploy/build-release || fail "the image's binary must carry the Swift libraries"
expect '--mount=type=cache,id=headwater-[$]TARGETARCH,' "builds for several architectures must not share their products"
# What the build stage calls tells wrong arguments.
for call in build-release "swift-sdk arm65 / $PWD/none" "swift-sdk arm64 /"; do
    read -ra words <<<"$call"
    status=0
    "deploy/${words[0]}" "${words[@]:1}" >/dev/null 2>&1 || status=$?
    [[ $status -eq 64 ]] || fail "deploy/$call: exit $status instead of 64"
done
swift_version=$(sed -n 's/^ARG SWIFT=//p' Dockerfile)
[[ $(printf '%s\n' "$oldest_swift" "$swift_version" | sort -V | head -n 1) == "$oldest_swift" ]] ||
    fail "the image is built with Swift $swift_version, older than $oldest_swift"
# The build stage's libraries are the runtime stage's only if both stand on the same release.
expect '^FROM swift:\$\{SWIFT\}-\$\{UBUNTU\} AS libraries$' "the program must be compiled against libraries of its own architecture"
expect '^FROM --platform=[$]BUILDPLATFORM swift:\$\{SWIFT\}-\$\{UBUNTU\} AS build$' "the compiler must run on the builder's processor, and be that of the libraries"
expect '^FROM ubuntu:\$\{UBUNTU\} AS runtime$' "the runtime stage must stand on the Ubuntu release of the libraries"
expect '^FROM scratch$' "the image must hold nothing but what deploy/assemble-image lays out"
expect '^COPY --from=runtime /image /$' "the image must be what deploy/assemble-image lays out"
grep -q '"headwater", targets: \["headwater"\]' Package.swift || fail "Package.swift has no product headwater"
echo "user, health check, signal, port, static Swift libraries and base images are as they should be"
