//! Sources that give hashes alone, or pieces alone.

use super::super::*;
use super::world::pieces;

const HASHES: Gives = Gives { hashes: true, pieces: false };
const PIECES: Gives = Gives { hashes: false, pieces: true };

fn group(index: u64) -> Work {
    Work { id: WorkId { file: 0, part: Part::Group { level: 0, index } }, bytes: 8_192 }
}

/// What is asked of a source until there is nothing more.
fn asked<W: Iterator<Item = Work>>(schedule: &mut Schedule<W>, source: u32) -> Vec<Part> {
    let actions = core::iter::from_fn(|| schedule.poll_action(SourceId(source), Instant::ZERO));
    let part = |action| match action {
        Action::Ask(request) => Some(request.work.id.part),
        Action::Cancel(_) => None,
    };
    actions.filter_map(part).collect()
}

fn schedule(gives: &[Gives]) -> Schedule<impl Iterator<Item = Work> + use<>> {
    // Short ones: all fits into what one source may owe at first.
    let [first, second, third] =
        [0, 1, 2].map(|nth| Work { bytes: 1_000, ..pieces(0, 3 << 20)[nth] });
    let works = [group(0), group(1), first, group(2), second, third];
    let mut schedule = Schedule::new(works.into_iter());
    for (source, gives) in (0..).map(SourceId).zip(gives) {
        schedule.handle_added(source, Instant::ZERO);
        schedule.restrict(source, *gives);
    }
    schedule
}

#[test]
fn each_is_asked_for_what_it_gives() {
    let mut schedule = schedule(&[PIECES, HASHES]);
    assert_eq!(asked(&mut schedule, 0), [0, 1, 2].map(Part::Piece));
    let groups = [0, 1, 2].map(|index| Part::Group { level: 0, index });
    assert_eq!(asked(&mut schedule, 1), groups);
    // Still so when it is back.
    schedule.handle_lost(SourceId(1));
    schedule.handle_added(SourceId(1), Instant::ZERO);
    assert_eq!(asked(&mut schedule, 1), groups);
}

#[test]
fn what_is_not_given_is_not_lacked() {
    let mut schedule = schedule(&[PIECES, Gives::ALL]);
    assert_eq!(asked(&mut schedule, 0).len(), 3);
    let [hash, piece] = [group(0).id, pieces(0, 1)[0].id];
    assert!(schedule.may_come(hash) && schedule.may_come(piece));
    // Whoever had hashes has not got the file: nobody else has hashes, but pieces there are.
    assert!(matches!(asked(&mut schedule, 1)[..], [Part::Group { .. }, ..]));
    assert!(!schedule.handle_refused(SourceId(1), hash, Instant::ZERO));
    assert!(!schedule.may_come(hash) && schedule.may_come(piece));
}

#[test]
fn at_the_end_nobody_takes_over_what_it_does_not_give() {
    let mut schedule = schedule(&[Gives::ALL, HASHES]);
    assert_eq!(asked(&mut schedule, 0).len(), 6);
    let parts = asked(&mut schedule, 1);
    assert!(parts.iter().all(|part| matches!(part, Part::Group { .. })), "{parts:?}");
}

#[test]
fn what_ten_thousand_files_are_refused_of_costs_no_source_and_no_memory() {
    let works = (0..10_000).map(|file| Work { id: pieces(file, 1)[0].id, bytes: 1_000 });
    let mut schedule = Schedule::new(works);
    schedule.handle_added(SourceId(0), Instant::ZERO);
    let mut refused = 0;
    while let Some(action) = schedule.poll_action(SourceId(0), Instant::ZERO) {
        let Action::Ask(request) = action else { continue };
        let id = request.work.id;
        if id.file % 2 == 0 {
            assert!(schedule.handle_done(SourceId(0), id));
            schedule.forget(id.file);
        } else {
            assert!(!schedule.handle_refused(SourceId(0), id, Instant::ZERO));
            schedule.abandon(id.file);
            refused += 1;
        }
    }
    assert_eq!(refused, 5_000);
    assert!(schedule.is_idle());
    let known = schedule.sources().next().unwrap();
    assert_eq!((known.standing, known.counts.works), (Standing::Live, 5_000));
    // And while all of them are under way.
    let works = (0..10_000).map(|file| Work { id: pieces(file, 1)[0].id, bytes: 1_000 });
    let mut schedule = Schedule::new(works);
    schedule.handle_added(SourceId(0), Instant::ZERO);
    while let Some(action) = schedule.poll_action(SourceId(0), Instant::ZERO) {
        let Action::Ask(request) = action else { continue };
        schedule.handle_refused(SourceId(0), request.work.id, Instant::ZERO);
    }
    assert_eq!(schedule.sources().next().unwrap().standing, Standing::Live);
}

#[test]
fn nothing_is_hoped_for_from_one_that_is_gone_until_it_is_added_again() {
    let mut schedule = schedule(&[PIECES, Gives::ALL]);
    let [hash, piece] = [group(0).id, pieces(0, 1)[0].id];
    assert!(!asked(&mut schedule, 1).is_empty());
    schedule.handle_lost(SourceId(1));
    assert!(schedule.may_come(hash), "it may be back");
    schedule.handle_gone(SourceId(1));
    assert!(!schedule.may_come(hash) && schedule.may_come(piece));
    schedule.handle_lost(SourceId(1));
    assert!(!schedule.may_come(hash), "it is gone already");
    schedule.handle_added(SourceId(1), Instant::ZERO);
    assert!(schedule.may_come(hash));
    assert!(!asked(&mut schedule, 1).is_empty());
}

#[test]
fn one_of_whom_something_waits_to_be_taken_is_not_silent() {
    let mut schedule = schedule(&[Gives::ALL, Gives::ALL]);
    assert!(!asked(&mut schedule, 0).is_empty());
    assert!(!asked(&mut schedule, 1).is_empty());
    let later = Instant::ZERO + Duration::from_millis(10_000);
    schedule.handle_untaken(SourceId(0), later);
    schedule.handle_timeout(later);
    let standings: Vec<_> = schedule.sources().map(|source| source.standing).collect();
    assert_eq!(standings, [Standing::Live, Standing::Silent]);
}
