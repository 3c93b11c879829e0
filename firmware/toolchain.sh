#!/usr/bin/env bash
# Runs a command with a compiler for a bare target:
#
#   firmware/toolchain.sh TARGET cargo build --release
#
# That is whichever `rustc` runs here if it has the target's library, which `rustup target add TARGET`
# brings. If it has not, it is Debian's, which builds the library first (`apt-get install rustc-web
# cargo-web rust-web-src lld`); it says so. Exits with 69 if it is neither.
set -euo pipefail
target=$1
shift

if [ -d "$(rustc --print target-libdir --target "$target" 2> /dev/null)" ]; then exec "$@"; fi

debian=/usr/bin
if [ -x $debian/cargo ] && [ -x $debian/rustc ] && [ -d /usr/lib/rustlib/src/rust/library/core ] && command -v ld.lld > /dev/null; then
    echo "$target: by Debian's $($debian/rustc -V), which builds its library" >&2
    # What another cargo around this one has set is meant for its own compiler.
    unset CARGO RUSTC RUSTDOC RUSTUP_TOOLCHAIN LD_LIBRARY_PATH
    # Only to build the library: the boards' code asks for nothing that is not stable.
    export RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=core
    PATH=$debian:$PATH exec env "CARGO_TARGET_$(tr 'a-z.-' 'A-Z__' <<< "$target")_LINKER=ld.lld" "$@"
fi

echo "no compiler here has $target: rustup target add $target" >&2
exit 69
