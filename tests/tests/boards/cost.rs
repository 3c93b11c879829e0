//! What the core costs a Cortex-M3, in instructions and bytes of stack: `firmware/proofs/cost` under QEMU's
//! counter, beside `firmware/costs.txt`. `ROPEWALK_WRITE_COSTS=1` writes that file anew.

use crate::image::{Board, take_turn};
use crate::image_or_skip;
use crate::machine::COUNTED;
use crate::peer::PATIENCE;
use crate::start::Rig;
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

#[test]
fn the_longest_turn_answers_a_handshake_and_is_bounded() {
    // In thousands of instructions: two of Noise's four multiplications, and all else that a turn
    // holds. RISC-V has no carry to multiply with.
    for (board, most) in [(Board::Mps2, 10_000), (Board::Riscv, 20_000)] {
        let (image, _turn) = image_or_skip!(board);
        let mut rig = match board {
            Board::Mps2 => Rig::mps2(&image, &[COUNTED]),
            Board::Riscv => Rig::riscv(&image, &[COUNTED]),
        };
        let mut peer = rig.dial(rig.links());
        peer.connect(1);
        let _ = peer.echo(100_000, |_, _| {});
        peer.hang_up();
        rig.machine.wait_for("connection over", PATIENCE);
        assert_eq!(rig.machine.stop(), 0);
        let said = rig.machine.wait_for("longest turn", PATIENCE);
        let mut words = said.split_whitespace().skip_while(|word| *word != "turn").skip(1);
        // A microsecond of its clock is a thousand instructions.
        let thousands: u64 = words.next().unwrap().parse().unwrap();
        eprintln!("{}: a turn took {thousands} thousand instructions at most", board.name());
        assert!(thousands < most, "{said}");
    }
}
