//! What drawn scenarios brought to light, each in the shortest form that shows it. The oracles
//! are the simulator's own: no stall while a link is well, everything ends, each side hears of it.

use ropewalk_core::id::Mode;
use ropewalk_core::time::Duration;
use ropewalk_tests::sim::swarm::{Batch, Scenario};
use ropewalk_tests::sim::{Act, LinkSpec, StreamPlan};

const LINK: LinkSpec = LinkSpec::new(10, 25, 128);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A stream from the dialer while these acts happen.
fn scenario(links: &[LinkSpec], bytes: u64, acts: &[(u64, Act)]) -> Scenario {
    let acts = acts.iter().map(|(after, act)| (ms(*after), *act)).collect();
    Scenario { acts, ..Scenario::new(1, links, &[StreamPlan::new(0, "file", bytes)]) }
}

fn ends_well(scenario: &Scenario) {
    for seed in 0..4 {
        let scenario = Scenario { seed, ..scenario.clone() };
        if let Err(line) = scenario.play(false) {
            panic!("seed {seed}: {line}");
        }
    }
}

#[test]
fn a_responder_whose_only_link_was_away_is_found_by_a_dialer_behind_a_translator() {
    // It could tell nobody that its path was gone, and the dialer probed that path for ever.
    let rebind = Act::Rebind { node: 0, link: 0, host: false };
    let acts = [(500, Act::LinkDown(1, 0)), (1_000, rebind), (4_000, Act::LinkUp(1, 0))];
    ends_well(&scenario(&[LINK], 3_000_000, &acts));
}

#[test]
fn an_address_that_could_not_prove_itself_while_the_link_was_dead_gets_another_chance() {
    for cut in (400..=450).step_by(10) {
        let acts = [
            (300, Act::Rebind { node: 0, link: 0, host: true }),
            (cut, Act::CutFrom(0, 0)),
            (4_000, Act::Heal(0)),
        ];
        ends_well(&scenario(&[LINK], 3_000_000, &acts));
    }
}

#[test]
fn what_a_path_carried_to_an_old_address_goes_on_another_path_at_once() {
    // It waited until the new address was proved, or given up.
    let links = [LinkSpec::new(1, 1, 32), LinkSpec::new(20, 150, 256)];
    for rebound in (600..=900).step_by(100) {
        let acts = [
            (rebound, Act::Rebind { node: 0, link: 1, host: false }),
            (rebound + 60, Act::CutFrom(1, 1)),
            (6_000, Act::Heal(1)),
        ];
        let backwards = [StreamPlan::new(1, "file", 2_000_000)];
        let batch = Batch { after: Duration::ZERO, streams: backwards.to_vec() };
        let acts = scenario(&links, 0, &acts).acts;
        ends_well(&Scenario { acts, batches: vec![batch], ..Scenario::new(1, &links, &[]) });
    }
}

#[test]
fn the_last_word_on_the_mode_outlives_a_restart() {
    // The message that the restarted responder answers was written before the word.
    let acts = [
        (100, Act::Restart),
        (300, Act::LinkDown(0, 0)),
        (2_500, Act::SetMode(Mode::Spread)),
        (3_000, Act::LinkUp(0, 0)),
    ];
    ends_well(&scenario(&[LINK], 1_000_000, &acts));
}

#[test]
fn probes_of_a_silent_path_do_not_fill_a_boards_table() {
    // The responder's way out on one link is dead; its probes there carried acknowledgements.
    for link in 0..2 {
        let acts = [(72, Act::CutFrom(1, link)), (9_000, Act::Heal(link))];
        let links = [LinkSpec::new(10, 1, 128), LinkSpec::new(20, 30, 128)];
        let board = Scenario { boards: [true; 2], ..scenario(&links, 400_000, &acts) };
        ends_well(&board);
    }
}

// No scenario has failed on this one; the table is small enough that one might.
#[test]
fn a_dead_path_does_not_keep_a_boards_table_to_itself() {
    for link in 0..2 {
        let acts = [(200, Act::Cut(link)), (9_000, Act::Heal(link))];
        let links = [LinkSpec::new(10, 15, 128), LinkSpec::new(20, 30, 128)];
        let board = Scenario { boards: [true; 2], ..scenario(&links, 400_000, &acts) };
        ends_well(&board);
    }
}
