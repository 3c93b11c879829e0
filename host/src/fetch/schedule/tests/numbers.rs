//! The numbers, without the cost of cipher and disk: what the schedule alone must reach.

use super::super::*;
use super::world::{Fault, Millis, Plan, Server, World, pieces};

const MIB: u64 = 1 << 20;
const KILL: Fault = Fault::Kill { noticed: true };
const VANISH: Fault = Fault::Kill { noticed: false };

fn gibibyte_from_four(faults: Vec<(u64, usize, Fault)>) -> (World, u64) {
    let servers = vec![Server::new(32 * MIB, 1); 4];
    let (world, ended) = World::play(Plan { servers, faults, works: pieces(0, 1 << 30) });
    (world, ended.as_millis())
}

#[test]
fn four_equal_servers_are_used_to_the_full() {
    let (mut world, ended) = gibibyte_from_four(Vec::new());
    assert!(ended <= 8_080, "{ended} ms, of 8000 at best");
    assert!(world.twice() <= 4 * MIB, "{} bytes twice", world.twice());
}

#[test]
fn servers_of_very_different_rates_add_up() {
    let megabit = 125_000;
    let servers = [1, 10, 100].map(|rate| Server::new(rate * megabit, 10)).to_vec();
    let works = pieces(0, 256 * MIB);
    let (mut world, ended) = World::play(Plan { servers, faults: Vec::new(), works });
    let best = 256 * MIB * 1_000 / (111 * megabit);
    let percent = best * 100 / ended.as_millis();
    assert!(percent >= 95, "{percent} % of the sum");
    assert!(world.twice() <= 3 * MIB, "{} bytes twice", world.twice());
}

#[test]
fn one_of_four_is_killed_and_the_others_go_on() {
    for fault in [KILL, VANISH, Fault::Freeze] {
        let (mut world, ended) = gibibyte_from_four(vec![(3_000, 0, fault)]);
        assert!(ended <= 9_770, "{fault:?}: {ended} ms, of 9667 at best");
        assert!(world.gap(0, ended) <= Duration::from_millis(10), "{fault:?}");
        assert!(world.twice() <= 5 * MIB, "{fault:?}: {} bytes twice", world.twice());
    }
}

#[test]
fn all_are_killed_and_back_and_it_goes_on_at_once() {
    for fault in [KILL, VANISH] {
        let killed = (0..4).map(|server| (3_000, server, fault));
        let back = (0..4).map(|server| (13_100, server, Fault::Back));
        let (mut world, ended) = gibibyte_from_four(killed.chain(back).collect());
        let gap = world.gap(2_900, ended).as_millis();
        assert!(gap <= 10_100 + 500, "{fault:?}: nothing for {gap} ms, of 10100 at best");
        assert!(ended <= 8_080 + 10_100 + 500, "{fault:?}: {ended} ms");
        let (twice, owed) = (world.twice(), world.owed_at_faults);
        assert!(owed >= 16 * MIB, "{owed} bytes were in flight");
        // What had come of a piece stays with whom it came from; one that vanished without a word has its
        // piece taken first.
        let bound = if fault == KILL { 0 } else { 4 * MIB };
        assert!(twice <= bound, "{fault:?}: {twice} bytes twice");
    }
}

#[test]
fn what_came_of_a_piece_is_not_fetched_again_from_the_same_server() {
    let servers = vec![Server::new(MIB / 4, 5)];
    let faults = vec![(2_000, 0, KILL), (3_000, 0, Fault::Back)];
    let (mut world, _) = World::play(Plan { servers, faults, works: pieces(0, 3 * MIB) });
    assert_eq!(world.twice(), 0);
}

#[test]
fn a_liar_is_found_at_its_first_wrong_piece_and_dropped() {
    let mut servers = vec![Server::new(32 * MIB, 1); 4];
    servers[2].lies_about = Some(37);
    let plan = Plan { servers, faults: Vec::new(), works: pieces(0, 512 * MIB) };
    let (mut world, ended) = World::play(plan);
    let [(2, work)] = world.lies[..] else { panic!("{:?}", world.lies) };
    let Part::Piece(wrong) = work.part else { unreachable!() };
    assert_eq!(wrong % 37, 36);
    let liar = world.schedule.sources().nth(2).unwrap();
    assert_eq!(liar.standing, Standing::Dropped);
    // Its piece came from somebody else, and it was asked for nothing after.
    let after = world.asked.iter().skip_while(|(_, server, asked)| (*server, *asked) != (2, work));
    assert!(after.clone().any(|(_, server, asked)| *server != 2 && *asked == work));
    assert!(world.twice() <= 12 * MIB, "{} bytes twice", world.twice());
    assert!(ended.as_millis() <= 512 * 1_000 / 96 + 100, "{} ms", ended.as_millis());
}

#[test]
fn one_that_comes_late_or_comes_back_is_used_at_once() {
    let mut servers = vec![Server::new(16 * MIB, 10); 3];
    servers[2].comes_later = true;
    let faults = vec![(500, 1, KILL), (2_000, 1, Fault::Back), (3_000, 2, Fault::Added)];
    let (world, ended) = World::play(Plan { servers, faults, works: pieces(0, 256 * MIB) });
    let first = |server: usize, from: u64| {
        let mut asked = world.asked.iter().filter(|(_, whom, _)| *whom == server);
        asked.find(|(at, ..)| at.as_millis() >= from).map(|(at, ..)| at.as_millis())
    };
    // The client tries every 500 ms, and a handshake takes a round trip.
    assert!(first(1, 2_000).unwrap() <= 2_520);
    assert_eq!(first(2, 0), Some(3_000));
    // The first one all the time, the second but for 2 s, the third from 3 s on: 3 t - 5 s = 16 s.
    assert!(ended.as_millis() <= 7_100, "{} ms, of 7000 at best", ended.as_millis());
}

#[test]
fn ten_thousand_small_files_do_not_wait_for_a_round_trip_each() {
    let size = |file: u32| 1_024 + u64::from(file) * 7_919 % 7_168;
    let works: Vec<_> = (0..10_000).flat_map(|file| pieces(file, size(file))).collect();
    let bytes: u64 = (0..10_000).map(size).sum();
    for count in [1, 4] {
        let servers = vec![Server::new(32 * MIB, 10); count];
        let (mut world, ended) =
            World::play(Plan { servers, faults: Vec::new(), works: works.clone() });
        let at_best = bytes * 1_000 / (32 * MIB * count as u64);
        let ended = ended.as_millis();
        assert!(ended <= at_best + 200, "{count} servers: {ended} ms, of {at_best} at best");
        assert!(world.twice() <= MIB, "{} bytes twice", world.twice());
    }
}

#[test]
fn what_a_black_hole_owes_is_asked_elsewhere_within_a_second() {
    for one_way_ms in [1, 50, 200] {
        let servers = vec![Server::new(8 * MIB, one_way_ms); 3];
        let faults = vec![(2_000, 1, Fault::Freeze)];
        let (world, _) = World::play(Plan { servers, faults, works: pieces(0, 128 * MIB) });
        let owed = |(at, server, _): &&(Instant, usize, WorkId)| {
            *server == 1 && (1_000..2_000).contains(&at.as_millis())
        };
        let moved = world.asked.iter().filter(owed).filter_map(|(_, _, work)| {
            let elsewhere = |asked: &&(Instant, usize, WorkId)| asked.1 != 1 && asked.2 == *work;
            world.asked.iter().find(elsewhere).map(|(at, ..)| at.as_millis())
        });
        let moved: Vec<_> = moved.collect();
        // What was on the way when it froze came until this long after, with a chunk's time. The first ones go at once, the others
        // as the two that are left have room.
        let bound = 3_000 + one_way_ms + 5;
        assert!(moved.len() >= 4, "it owed {moved:?}");
        assert!(moved[0] <= bound, "{one_way_ms} ms away: {moved:?}");
        assert!(*moved.last().unwrap() <= bound + 500, "{one_way_ms} ms away: {moved:?}");
        let hole = world.schedule.sources().nth(1).unwrap();
        assert!(hole.counts.silences >= 1, "{hole:?}");
    }
}

#[test]
fn a_hole_from_the_first_byte_costs_a_second_and_a_hiccup_costs_nothing() {
    let servers = vec![Server::new(8 * MIB, 5); 2];
    let hole = vec![(0, 0, Fault::Freeze)];
    let (_, ended) =
        World::play(Plan { servers: servers.clone(), faults: hole, works: pieces(0, 4 * MIB) });
    assert!(ended.as_millis() <= 1_000 + 500, "{} ms", ended.as_millis());

    // Silent for a while, then it goes on with what it was asked for.
    let hiccup = vec![(1_000, 0, Fault::Freeze), (1_700, 0, Fault::Thaw)];
    let one = vec![servers[0].clone()];
    let (mut world, ended) =
        World::play(Plan { servers: one, faults: hiccup, works: pieces(0, 32 * MIB) });
    assert_eq!(world.twice(), 0);
    assert!(ended.as_millis() <= 4_000 + 700 + 50, "{} ms", ended.as_millis());
}

#[test]
fn what_one_has_not_got_comes_from_another() {
    let mut servers = vec![Server::new(8 * MIB, 5); 2];
    servers[0].lacks = Some(1);
    let works = (0..3).flat_map(|file| pieces(file, 16 * MIB)).collect();
    let (mut world, ended) = World::play(Plan { servers, faults: Vec::new(), works });
    assert_eq!(world.twice(), 0);
    assert!(ended.as_millis() <= 3_100, "{} ms, of 3000 at best", ended.as_millis());
}

/// The next request to `source`.
fn ask<W: Iterator<Item = Work>>(
    schedule: &mut Schedule<W>,
    source: SourceId,
    now: Instant,
) -> Option<Request> {
    loop {
        if let Action::Ask(request) = schedule.poll_action(source, now)? {
            return Some(request);
        }
    }
}

#[test]
fn what_nobody_has_is_said_and_given_up() {
    let works = [pieces(0, MIB), pieces(1, MIB)].concat();
    let mut schedule = Schedule::new(works.into_iter());
    let (source, now) = (SourceId(7), Instant::ZERO);
    schedule.handle_added(source, now);
    let first = ask(&mut schedule, source, now).unwrap();
    assert!(!schedule.handle_refused(source, first.work.id, now), "nobody else is there");
    schedule.abandon(0);
    let second = ask(&mut schedule, source, now).unwrap();
    assert_eq!(second.work.id.file, 1);
    assert!(schedule.handle_done(source, second.work.id));
    assert!(schedule.is_idle() && ask(&mut schedule, source, now).is_none());
}

#[test]
fn one_that_rests_is_tried_with_one_work_and_ever_less_often() {
    let mut schedule = Schedule::new(pieces(0, 64 * MIB).into_iter());
    let (hole, good) = (SourceId(0), SourceId(1));
    let mut now = Instant::ZERO;
    schedule.handle_added(hole, now);
    schedule.handle_added(good, now);
    let mut tried = Vec::new();
    while now.as_millis() < 20_000 {
        schedule.handle_timeout(now);
        let mut asked = 0;
        while ask(&mut schedule, hole, now).is_some() {
            asked += 1;
        }
        if asked > 0 {
            tried.push((now.as_millis() / 100, asked));
        }
        // The good one delivers one piece at a time, slowly.
        if let Some(request) = ask(&mut schedule, good, now) {
            schedule.handle_bytes(good, request.work.id, request.work.bytes, now);
            schedule.handle_done(good, request.work.id);
        }
        now += Duration::from_millis(400);
    }
    assert_eq!(tried[0], (0, 2));
    assert!(tried[1..].iter().all(|(_, asked)| *asked == 1), "{tried:?}");
    assert!((3..=5).contains(&tried.len()), "{tried:?}");
}

#[test]
fn what_is_taken_back_is_said_before_it_is_asked_again() {
    let mut schedule = Schedule::new(pieces(0, MIB).into_iter());
    let (source, now) = (SourceId(0), Instant::ZERO);
    schedule.handle_added(source, now);
    let request = ask(&mut schedule, source, now).unwrap();
    // A new connection before anything came.
    schedule.handle_added(source, now);
    let again = [schedule.poll_action(source, now), schedule.poll_action(source, now)];
    assert_eq!(again, [Action::Cancel(request.work.id), Action::Ask(request)].map(Some));
    assert_eq!(schedule.poll_action(source, now), None);
}

#[test]
fn what_is_kept_for_those_that_are_away_is_bounded() {
    let mut schedule = Schedule::new(pieces(0, 256 * MIB).into_iter());
    let now = Instant::ZERO;
    let mut kept = 0;
    for source in (0..40).map(SourceId) {
        schedule.handle_added(source, now);
        let request = ask(&mut schedule, source, now).unwrap();
        let half = request.work.bytes / 2;
        schedule.handle_bytes(source, request.work.id, half, now);
        schedule.handle_lost(source);
        let thrown = core::iter::from_fn(|| schedule.poll_action(source, now)).count();
        kept += if thrown == 0 { u64::from(half) } else { 0 };
    }
    assert!((7 * MIB..=8 * MIB).contains(&kept), "{kept}");
}

#[test]
fn a_liar_is_not_taken_back_and_what_was_kept_of_it_is_thrown_away() {
    let mut schedule = Schedule::new(pieces(0, 4 * MIB).into_iter());
    let (liar, now) = (SourceId(0), Instant::ZERO);
    schedule.handle_added(liar, now);
    let request = ask(&mut schedule, liar, now).unwrap();
    schedule.handle_bytes(liar, request.work.id, 1_000, now);
    schedule.handle_lost(liar);
    // A piece that came before the connection was lost, and was looked at only now.
    schedule.handle_bad(liar);
    assert_eq!(schedule.poll_action(liar, now), Some(Action::Cancel(request.work.id)));
    schedule.handle_added(liar, now);
    assert_eq!(schedule.poll_action(liar, now), None);
    schedule.handle_added(SourceId(1), now);
    assert_eq!(ask(&mut schedule, SourceId(1), now), Some(request));
}

#[test]
fn one_that_answers_one_request_at_a_time_is_asked_so() {
    let mut schedule = Schedule::new(pieces(0, 16 * MIB).into_iter());
    let (mirror, mut now) = (SourceId(0), Instant::ZERO);
    schedule.handle_added(mirror, now);
    schedule.limit_works(mirror, 2);
    for _ in 0..8 {
        let asked: Vec<_> = core::iter::from_fn(|| ask(&mut schedule, mirror, now)).collect();
        assert_eq!(asked.len(), 2);
        for request in asked {
            for _ in 0..4 {
                now += Duration::from_millis(20);
                schedule.handle_bytes(mirror, request.work.id, request.work.bytes / 4, now);
            }
            schedule.handle_done(mirror, request.work.id);
        }
    }
    assert!(schedule.is_idle());
}
