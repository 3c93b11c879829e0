//! Drawn scenarios: a handful from fixed seeds, so that a failure of `cargo test` repeats, and
//! every seed that ever failed.

use ropewalk_tests::sim::swarm::Scenario;

/// Seeds of past failures; what each was stands behind it.
const FAILED_ONCE: &[u64] = &[
    18,        // an acknowledgement whose ranges the peer had already seen was due for ever
    77,        // a copied acknowledgement for a path that lived again kept all others waiting
    1_000_800, // silence was counted from a packet that had long been declared lost
];

/// The same for scenarios with everything that a seed says.
const FAILED_WHOLE: &[u64] = &[
    13_036,        // what a path carried to an old address waited until the new one was proved
    18_002,        // probes of a silent path filled a board's table of packets in flight
    22_577,        // a board had no place for the path of a dialer that had moved
    112,           // nor had one that tried two paths of its own to where nobody was any more
    7_101,         // the dialer changed keys again while the responder kept the old one
    123_224,       // a path was given up after three challenges though packets came from there
    424_517,       // nobody looked where the peer was dialled, since it had withdrawn the address
    1_795_276_982, // an idle path whose address had changed was found out at the second sign of life
];

#[test]
fn drawn_scenarios_end_well() {
    for seed in FAILED_ONCE {
        if let Err(line) = Scenario::plain(*seed).play(false) {
            panic!("plain seed {seed}: {line}");
        }
    }
    for seed in (0..40).chain(FAILED_WHOLE.iter().copied()) {
        if let Err(line) = Scenario::draw(seed).play(false) {
            panic!(
                "seed {seed}: {line}\nreplay: cargo run --profile sim -p ropewalk-tests --bin sim -- --seed {seed} --trace"
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let play = || format!("{:?}", Scenario::draw(5).play(false));
    assert_eq!(play(), play());
}
