//! What the core costs a Cortex-M3, in instructions and bytes of stack: `firmware/proofs/cost` under QEMU's
//! counter, beside `firmware/costs.txt`. `ROPEWALK_WRITE_COSTS=1` writes that file anew.

use crate::image::{Board, take_turn};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const HEAD: &str = "\
# What the core costs a Cortex-M3 (thumbv7m) with its own ciphers, counted by QEMU (-icount shift=0)
# in firmware/proofs/cost: instructions of each step of a handshake and of a packet of 1,200 bytes,
# and bytes of stack, painted. Growth past 2 % fails. Rewritten by
#   ROPEWALK_WRITE_COSTS=1 cargo test -p ropewalk-tests --test boards cost
";

/// The budget of `stack-handshake` and `stack-packets`.
const STACK_MAX: u64 = 6 * 1_024;

fn parse(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?))).collect()
}

/// Figures compare only between builds by one compiler.
fn compiler() -> String {
    let output = Board::Mps2.toolchain().args(["rustc", "--version"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    format!("compiler {text}")
}

#[test]
fn what_the_core_costs_has_not_grown() {
    let Ok((_, _turn)) = take_turn(Board::Mps2) else {
        eprintln!("SKIPPED {}: no QEMU, or no target", module_path!());
        return;
    };
    let image = Board::Mps2.other("proofs/cost", "cost");
    let output = Command::new("qemu-system-arm")
        .args(["-M", "mps2-an385", "-display", "none", "-monitor", "none", "-serial", "null"])
        .args(["-icount", "shift=0", "-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(&image)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    eprintln!("{text}");
    let now = parse(&text);
    for stack in ["stack-handshake", "stack-packets"] {
        assert!(now[stack] <= STACK_MAX, "{stack}: {} is over {STACK_MAX}", now[stack]);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/costs.txt");
    if std::env::var_os("ROPEWALK_WRITE_COSTS").is_some() {
        std::fs::write(&file, format!("{HEAD}{}\n{text}", compiler())).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    if !committed.lines().any(|line| line == compiler()) {
        eprintln!("SKIPPED comparison: another compiler wrote {}", file.display());
        return;
    }
    for (name, then) in parse(&committed) {
        let now = now.get(&name).unwrap_or_else(|| panic!("{name} is not told any more"));
        assert!(
            *now * 100 <= then * 102,
            "{name} grew from {then} to {now}; if it must, write {HEAD}"
        );
    }
}
