#!/usr/bin/env bash
# Every check, by name.
#
#   ./ci.sh             all that belong to every change (under 20 minutes on 2 cores)
#   ./ci.sh NAME...     these
#   ./ci.sh full        the long ones too: two hours of simulated time, the lab
#   ./ci.sh list        their names
#
# On a fresh Debian machine with rustup it installs what it needs. What cannot be had here is
# skipped with a word that says so.
set -euo pipefail
cd "$(dirname "$0")"

QUICK=(format lint test firmware demo sim soak canary fuzz no_std cross proofs counts docs deny lab_quick)
FULL=("${QUICK[@]}" sim_long lab huge hal_boards)
HAL_BOARDS=(nucleo-h743zi w5500-evb-pico w5500-evb-pico2)
TARGETS=(thumbv6m-none-eabi thumbv7em-none-eabihf riscv32imac-unknown-none-elf)
QEMU_TARGETS=(thumbv7m-none-eabi riscv32imac-unknown-none-elf)
HAL_TARGETS=(thumbv6m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf)
skip() { echo "SKIPPED $1: $2"; }
have() { command -v "$1" > /dev/null; }

# Debian packages, if they are not there and we may install them.
packages() {
    local missing=()
    for pair in "$@"; do have "${pair%%:*}" || missing+=("${pair##*:}"); done
    [ ${#missing[@]} -eq 0 ] && return
    [ "$(id -u)" -eq 0 ] && have apt-get || return 1
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > /dev/null 2>&1
}

# A rustup target or component; rustup may be missing or offline.
rust_target() { rustup target list --installed 2> /dev/null | grep -qx "$1" || rustup target add "$1" > /dev/null 2>&1; }
rust_component() { rustup component list --installed 2> /dev/null | grep -q "^$1" || rustup component add "$1" > /dev/null 2>&1; }
# They run for seconds: building them fast counts for more than that.
cargo_tool() { cargo "$1" --version > /dev/null 2>&1 || CARGO_PROFILE_DEV_DEBUG=false cargo install --quiet --locked --debug "cargo-$1"; }

# Compilers for bare targets: rustup's, or else Debian's. `firmware/toolchain.sh` then finds the one or
# the other, and says so if it is not rustup's.
bare_targets() {
    local target
    for target in "$@"; do
        rust_target "$target" || firmware/toolchain.sh "$target" true 2> /dev/null ||
            packages /usr/bin/cargo:cargo-web /usr/bin/rustc:rustc-web no-program:rust-web-src ld.lld:lld || true
        firmware/toolchain.sh "$target" true || return 1
    done
}

check_format() {
    rust_component rustfmt
    cargo fmt --all --check
    (cd firmware && cargo fmt --all --check)
    for board in "${HAL_BOARDS[@]}" embassy w5500-rp; do (cd "firmware/boards/$board" && cargo fmt --check); done
    (cd tests/peers && cargo fmt --all --check)
}

check_lint() {
    rust_component clippy
    cargo clippy --quiet --workspace --all-targets --features ropewalk-core/software -- -D warnings
    cargo clippy --quiet -p ropewalk-core --features defmt -- -D warnings
    cargo clippy --quiet -p ropewalk-core --no-default-features --all-targets --features software -- -D warnings
}

check_test() {
    boards || skip boards "QEMU or a board's target cannot be had here; their tests say so too"
    cargo test --workspace --features ropewalk-core/software
}

# What emulated boards need: the emulators, and the compiler's targets.
boards() {
    packages qemu-system-arm:qemu-system-arm qemu-system-riscv32:qemu-system-misc ip:iproute2 && bare_targets "${QEMU_TARGETS[@]}"
}

# Links of an emulated board that flap at random: a minute, or ROPEWALK_SOAK_SECONDS.
check_soak() {
    boards || { skip soak "QEMU or a board's target cannot be had here"; return; }
    cargo test --quiet -p ropewalk-tests --test boards -- --ignored --nocapture links_flap
}

# What boards are made of, on this machine: scripted registers, lossy lines, torn flash.
check_firmware() {
    local here
    here=$(rustc -vV | sed -n 's/^host: //p')
    if bare_targets "${QEMU_TARGETS[@]}"; then
        for board in qemu-mps2 qemu-riscv template; do lint_board "$board"; done
    else
        skip firmware "no compiler for boards here, so only their parts are tested, on this machine"
    fi
    (cd firmware
        cargo clippy --quiet -p ropewalk-drivers -p ropewalk-app --all-features --all-targets --target "$here" -- -D warnings
        cargo test --quiet -p ropewalk-drivers -p ropewalk-app --features "$DRIVERS" --target "$here")
}
lint_board() {
    (cd "firmware/boards/$1"
        target=$(sed -n 's/^target = "\(.*\)"/\1/p' .cargo/config.toml)
        # Debian's compiler comes without clippy.
        if rust_target "$target"; then cargo clippy --quiet --release -- -D warnings
        else ../../toolchain.sh "$target" cargo check --quiet --release; fi)
}
DRIVERS=ropewalk-drivers/lan9118,ropewalk-drivers/virtio,ropewalk-drivers/uart_cmsdk,ropewalk-drivers/uart_16550,ropewalk-drivers/embassy,ropewalk-drivers/flash

# All boards' images: that they link, and what they take. Minutes for each of embassy's HALs, cold.
check_hal_boards() {
    bare_targets "${QEMU_TARGETS[@]}" "${HAL_TARGETS[@]}" || { skip hal_boards "no compiler for these boards here"; return; }
    cargo run --quiet -p ropewalk-tests --bin proof -- --boards
}

# The README's first command, as it stands there.
check_demo() { cargo run --release --quiet -- demo; }

# Minutes of simulated time from the commit's own seed; the seed is printed with every failure.
check_sim() { simulate "$(commit_seed)" 10; }
check_sim_long() { simulate "$(commit_seed)" 60; simulate "$(date +%s)" 60; }
commit_seed() { git rev-parse HEAD 2> /dev/null || echo 1; }
simulate() { cargo run --quiet --profile sim -p ropewalk-tests --no-default-features --bin sim -- --seed "$1" --minutes "$2"; }

# The alarm itself is tested: a planted bug must be caught.
check_canary() {
    grep -rq ropewalk_canary core/src || { skip canary "no bug is planted yet"; return; }
    if RUSTFLAGS="--cfg ropewalk_canary" cargo run --quiet --profile sim --target-dir target/canary \
        -p ropewalk-tests --no-default-features --bin sim -- --seed 1 --minutes 5 > /dev/null 2>&1; then
        echo "the planted bug was not caught"
        return 1
    fi
    echo "the planted bug was caught"
}

check_no_std() {
    for target in "${TARGETS[@]}"; do
        bare_targets "$target" || { skip no_std "no $target here"; continue; }
        # Images are linked elsewhere; here it is the compiler's word that nothing needs a system.
        firmware/toolchain.sh "$target" cargo check --quiet -p ropewalk-core --features software --target "$target"
        echo "ropewalk-core is checked for $target"
    done
}

# No panic and no allocator in the linked core; its flash, memory and stack.
check_proofs() {
    bare_targets thumbv7m-none-eabi || { skip proofs "no thumbv7m-none-eabi here"; return; }
    cargo run --quiet -p ropewalk-tests --bin proof
}

# Instructions of the core's hot paths beside those of tests/counts.txt; the build is the lab's as well.
check_counts() {
    packages valgrind:valgrind || { skip counts "valgrind cannot be installed here"; return; }
    cargo run --quiet --release -p ropewalk-tests --bin counts
}

check_docs() { RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps --document-private-items --features ropewalk-core/software; }

check_deny() {
    cargo_tool deny || { skip deny "cargo-deny cannot be installed here"; return; }
    # The advisories' database lies outside the registry; it is asked where it can be reached.
    cargo deny --log-level error check bans licenses sources
}

# The host and the core compile for other systems. Their C parts are not compiled: `true` stands
# in for the compiler, which is enough for a check.
check_cross() {
    for target in x86_64-pc-windows-gnu x86_64-apple-darwin; do
        rust_target "$target" || { skip cross "no $target here"; continue; }
        local name=${target//-/_}
        env "CC_$name=true" "AR_$name=true" cargo check --quiet -p ropewalk -p ropewalk-core --target "$target"
        echo "checked for $target"
    done
}

check_fuzz() {
    rustup run nightly rustc --version > /dev/null 2>&1 || { skip fuzz "no nightly compiler here"; return; }
    cargo_tool fuzz || { skip fuzz "cargo-fuzz cannot be installed here"; return; }
    # Without unsafe code there is nothing for a sanitizer to find, and it costs three quarters.
    cargo +nightly fuzz build -s none > /dev/null 2>&1 || cargo +nightly fuzz build -s none
    printf '%s\n' codec datagram handshake pair reassembly | xargs -P 2 -n 1 bash "$0" --fuzz
}
# One target for 20 seconds, from the corpus; two run at a time.
fuzz() {
    local work
    work=$(mktemp -d)
    cp -r "fuzz/corpus/$1" "$work/corpus"
    if ! cargo +nightly fuzz run -s none "$1" "$work/corpus" -- -max_total_time=20 -print_final_stats=1 > "$work/log" 2>&1; then
        tail -n 60 "$work/log"
        return 1
    fi
    echo "$1: $(grep -o 'number_of_executed_units: .*' "$work/log") in 20 s"
    rm -r "$work"
}

# Runs `lab ARGS`, where a lab can be built.
lab() {
    packages ip:iproute2 || { skip lab "no iproute2 here"; return; }
    [ "$(id -u)" -eq 0 ] || { skip lab "it makes network namespaces and needs root"; return; }
    cargo build --quiet --release -p ropewalk -p ropewalk-tests
    local out program
    out=$(mktemp -d)
    program=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
    "$program/lab" "$@" --out "$out"
}
# Loose bounds, under five minutes: that it works, not how well.
check_lab_quick() { lab quick; }
check_lab() { lab run two-links black-hole-fast black-hole-slow hostile outage come-and-go address-change ipv6-only \
    link-local cable memory files-killed files-unplugged files-small; }

# A file of 5 GiB between two processes: it takes the room on the disk twice.
check_huge() { cargo test --quiet --release -p ropewalk --test disk -- --ignored --nocapture; }

run() {
    local name started
    for name in "$@"; do
        started=$SECONDS
        echo "=== $name"
        # A process of its own: inside a condition bash would not stop at the first failure.
        if ! bash "$0" --one "$name"; then
            echo "=== $name FAILED after $((SECONDS - started)) s"
            exit 1
        fi
        echo "=== $name passed, $((SECONDS - started)) s"
    done
}

case "${1:-}" in
    --one) "check_$2"; exit ;;
    --fuzz) fuzz "$2"; exit ;;
    "") run "${QUICK[@]}" ;;
    full) run "${FULL[@]}" ;;
    list) printf '%s\n' "${FULL[@]}" ;;
    *) run "$@" ;;
esac
echo "all of it passed, $SECONDS s"
