#!/usr/bin/env bash
# Every package resolves through apt on this distribution, and installing takes the distribution's own names, installs
# only what is missing, and says what to do where it can't.
# shellcheck source=Tests/deploy/checking
source "$(dirname "$0")/checking"
make_folder

all=("${build_packages[@]}" "${test_packages[@]}" "${client_packages[@]}" "${packaging_packages[@]}" "$promtool_package" "${runtime_packages[@]}" "${on_demand_packages[@]}" "${mpi_packages[@]}")
[[ $(uname -m) != x86_64 ]] || all+=("${arm64_packages[@]}")
if command -v apt-cache >/dev/null; then
    # A fresh machine has no lists; what is installed is then found all the same.
    for package in "${all[@]}"; do
        is_installed "$package" || resolve_package "$package" >/dev/null || fail "apt resolves none of $package here"
    done
    echo "${#all[@]} packages resolve through apt on $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"
else
    skip "resolving ${#all[@]} packages: there is no apt here"
fi
if grep -nE 'apt(-get)? +(-[^ ]+ +)*install' Dockerfile; then
    fail "the Dockerfile installs packages that deploy/packages doesn't name"
fi

# A distribution as apt and dpkg would describe it: the files $folder/installed and $folder/known, a name a line.
export folder
# shellcheck disable=SC2016  # The stubs expand these.
stub_distribution() {
    stub dpkg-query 'grep -qx -- "${!#}" "$folder/installed" && printf installed'
    stub apt-cache 'if grep -qx -- "$2" "$folder/known"; then echo "  Candidate: 1.0"; else echo "  Candidate: (none)"; fi'
    stub apt-get 'echo "$*" >>"$folder/calls"'
    stub sudo '[[ $1 == -n ]] && shift; "$@"'
}
stub_distribution

# The distribution's GCC, none unless a test has one.
newest_gcc() { cat "$folder/gcc" 2>/dev/null || true; }

# What apt-get is called with, in a distribution that has and knows the given names, to install the build packages.
install_in() {
    tr ' ' '\n' <<<"$1" >"$folder/installed"
    tr ' ' '\n' <<<"$2" >"$folder/known"
    : >"$folder/calls"
    (PATH="$folder/bin:$PATH" install_packages "${build_packages[@]}") >"$folder/output" 2>&1
}
shared='libmicrohttpd-dev libgnutls28-dev libopenblas-dev libpng-dev libwebp-dev libtiff-dev libheif-dev libzip-dev libarchive-dev libcurl4-gnutls-dev nettle-dev zlib1g-dev binutils git libc6-dev pkg-config'

install_in "" "$shared libjpeg62-turbo-dev libstdc++-12-dev" || fail "Debian: $(cat "$folder/output")"
grep -q 'install .* libjpeg62-turbo-dev .* libstdc++-12-dev ' "$folder/calls" || fail "Debian: $(cat "$folder/calls")"
install_in "" "$shared libjpeg-turbo8-dev libstdc++-13-dev libstdc++-12-dev" || fail "Ubuntu: $(cat "$folder/output")"
grep -q 'install .* libjpeg-turbo8-dev .* libstdc++-13-dev ' "$folder/calls" || fail "Ubuntu: $(cat "$folder/calls")"
echo "Debian's and Ubuntu's own names are taken"

install_in "$shared libjpeg-turbo8-dev" "libstdc++-14-dev" || fail "one missing: $(cat "$folder/output")"
[[ $(grep -c . "$folder/calls") -eq 2 && $(tail -n 1 "$folder/calls") == *' libstdc++-14-dev' ]] ||
    fail "one missing: $(cat "$folder/calls")"
[[ $(tail -n 1 "$folder/calls") != *nettle* ]] || fail "what is installed is installed again"
install_in "$shared libjpeg62-turbo-dev libstdc++-12-dev" "" || fail "none missing: $(cat "$folder/output")"
[[ ! -s $folder/calls ]] || fail "apt-get is called with nothing missing: $(cat "$folder/calls")"
echo "only what is missing is installed, and without any apt-get isn't called"

# Clang takes the newest GCC's C++ library, no matter which others are installed.
echo 16 >"$folder/gcc"
install_in "$shared libjpeg62-turbo-dev libstdc++-13-dev" "libstdc++-13-dev libstdc++-16-dev" || fail "GCC 16: $(cat "$folder/output")"
[[ $(tail -n 1 "$folder/calls") == *' libstdc++-16-dev' ]] || fail "GCC 16: $(cat "$folder/calls")"
install_in "$shared libjpeg62-turbo-dev libstdc++-16-dev" "libstdc++-13-dev" || fail "GCC 16's: $(cat "$folder/output")"
[[ ! -s $folder/calls ]] || fail "apt-get is called with GCC 16's library there: $(cat "$folder/calls")"
rm "$folder/gcc"
echo "the C++ library is the newest GCC's"

status=0
install_in "" "$shared" || status=$?
[[ $status -eq $exit_unavailable ]] || fail "an unknown package: exit $status"
grep -q "libjpeg62-turbo-dev.*universe.*$container_route" "$folder/output" || fail "$(cat "$folder/output")"

# A system without apt: nothing but what the script itself uses.
mkdir "$folder/without-apt"
status=0
(PATH="$folder/without-apt" install_packages "${build_packages[@]}") >"$folder/output" 2>&1 || status=$?
[[ $status -eq $exit_unavailable ]] || fail "no apt: exit $status"
grep -q "libmicrohttpd-dev.*$container_route" "$folder/output" || fail "no apt: $(cat "$folder/output")"
echo "an unknown package and a system without apt are told what to do"
