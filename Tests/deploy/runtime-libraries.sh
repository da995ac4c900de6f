#!/usr/bin/env bash
# Every library that the built binary loads comes from one of the runtime packages, so that the image has them all, and
# the image installs none that isn't loaded.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"

binary=.build/debug/headwater
[[ -x $binary ]] || fail "$binary isn't there: run the tests first, which build it"
if ! command -v dpkg-query >/dev/null; then
    skip "the packages of the libraries: there is no dpkg here"
    exit
fi

declare -A used=()
while read -r library; do
    # The Swift libraries are linked into the binary of a release. Open MPI is loaded only if its own mpirun starts the program.
    case $library in libswift* | libFoundation* | lib_Foundation* | libdispatch* | libBlocksRuntime* | libmpi.so*) continue ;; esac
    path=$(ldd "$binary" | awk -v library="$library" '$1 == library { print $3 }')
    [[ -n $path ]] || path=$library
    package=$(dpkg-query --search "*/$(basename "$(readlink -f "$path")")" 2>/dev/null | head -n 1 | cut -d: -f1)
    used[${package:-none}]+=" $library"
done < <(
    readelf --dynamic "$binary" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
    # What the program loads when it needs it.
    grep -rhoE 'dlopen\("[^"]+"' Sources | cut -d'"' -f2
)

# Every distribution has libc6; the other two come with the static Swift libraries, which a debug build doesn't use.
unset 'used[libc6]'
for package in libstdc++6 libgcc-s1; do used[$package]+=" (static Swift libraries)"; done

for entry in "${runtime_packages[@]}" "${on_demand_packages[@]}"; do
    found=
    for name in ${entry//|/ }; do
        if [[ -n ${used[$name]:-} ]]; then
            found=$name
            unset "used[$name]"
        fi
    done
    [[ -n $found ]] || fail "the binary loads nothing of the runtime package $entry"
done
for package in "${!used[@]}"; do
    fail "${used[$package]# } of package $package is not among the runtime packages or those on demand of deploy/packages"
done
echo "the ${#runtime_packages[@]} runtime packages are exactly those that the binary loads"
