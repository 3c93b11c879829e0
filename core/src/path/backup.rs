//! **One path carries everything, the others stand by.** The policy of the mode `backup`.
//!
//! Two questions, each one function:
//!
//! ```text
//!   prefer   which path should carry everything?      link named as spare? dearer? longer?
//!   in_use   which one does now?                      the preferred one, if it lives and is trusted
//! ```
//!
//! The preference changes only with what is known of the links, not with their moods: a path must
//! be clearly shorter to take another's place. A preferred path that fell silent gets its place back
//! once it has been good for a while ([`super::trust`]). Bytes that are under way on the spare when
//! the preferred path takes over again arrive there; nothing is taken back.

use crate::id::CostClass;
use crate::time::Duration;

/// A path that may be used, as this policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// What the caller calls it.
    pub index: usize,
    /// One side said that it is only for when others fail.
    pub spare: bool,
    /// What it costs.
    pub class: CostClass,
    /// The least round trip.
    pub round_trip: Duration,
    /// It has been good for long enough.
    pub trusted: bool,
    /// It answers.
    pub alive: bool,
}

impl Member {
    /// What is said of the path, and what it costs: the less the better. One number, below 256,
    /// since numbers compare in little code.
    const fn rank(&self) -> u64 {
        (self.spare as u64) << 4 | self.class as u64
    }

    /// By their rank, and of equals by their round trip.
    fn order(&self) -> u64 {
        self.rank() << 48 | self.round_trip.as_micros()
    }

    /// Whether this path should have the other's place.
    fn beats(&self, other: &Self) -> bool {
        let shorter = self.round_trip + self.round_trip / 4 + CLEARLY < other.round_trip;
        self.rank() < other.rank() || self.rank() == other.rank() && shorter
    }
}

/// Which path should carry everything, if it was `before` so far.
#[must_use]
pub fn prefer(members: &[Member], before: Option<usize>) -> Option<usize> {
    let before = members.iter().find(|member| Some(member.index) == before);
    let best = members.iter().min_by_key(|member| member.order())?;
    Some(before.filter(|before| !best.beats(before)).unwrap_or(best).index)
}

/// Which path carries everything now, if it was `before` so far: `None` when none is alive.
#[must_use]
pub fn in_use(
    members: &[Member],
    preferred: Option<usize>,
    before: Option<usize>,
) -> Option<usize> {
    let order = |member: &&Member| {
        let other = Some(member.index) != preferred;
        let moves = Some(member.index) != before;
        let first = u64::from(!member.trusted) << 1 | u64::from(other);
        first << 62 | member.order() | u64::from(moves) << 47
    };
    members.iter().filter(|member| member.alive).min_by_key(order).map(|member| member.index)
}

/// A path must be a fifth shorter, and by this much at least, to take another's place.
const CLEARLY: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// What it shows, the paths, the choice so far, and the choice.
    type Row<'r> = (&'static str, &'r [Member], Option<usize>, Option<usize>);

    fn member(index: usize, round_trip: u64) -> Member {
        Member {
            index,
            spare: false,
            class: CostClass::Wired,
            round_trip: Duration::from_millis(round_trip),
            trusted: true,
            alive: true,
        }
    }

    #[test]
    fn the_preference() {
        let spare = |member: Member| Member { spare: true, ..member };
        let metered = |member: Member| Member { class: CostClass::Metered, ..member };
        let table: [Row<'_>; 8] = [
            ("nothing", &[], Some(1), None),
            ("the shorter", &[member(0, 40), member(1, 20)], None, Some(1)),
            ("not the named spare", &[spare(member(0, 2)), member(1, 90)], Some(0), Some(1)),
            ("not the dearer", &[metered(member(0, 2)), member(1, 90)], Some(0), Some(1)),
            ("named before dear", &[metered(member(0, 2)), spare(member(1, 1))], None, Some(0)),
            ("it stays", &[member(0, 24), member(1, 20)], Some(0), Some(0)),
            ("unless clearly shorter", &[member(0, 40), member(1, 20)], Some(0), Some(1)),
            ("a spare alone", &[spare(member(3, 9))], Some(0), Some(3)),
        ];
        for (name, members, before, expected) in table {
            assert_eq!(prefer(members, before), expected, "{name}");
        }
    }

    #[test]
    fn who_carries_everything() {
        let dead = |member: Member| Member { alive: false, trusted: false, ..member };
        let doubted = |member: Member| Member { trusted: false, ..member };
        let (a, b, c) = (member(0, 10), member(1, 20), member(2, 30));
        let table: [Row<'_>; 7] = [
            ("the preferred", &[a, b], Some(1), Some(0)),
            ("the spare, if that is silent", &[dead(a), b], Some(0), Some(1)),
            ("the spare, until it is good again", &[doubted(a), b], Some(1), Some(1)),
            ("of two spares the one in use", &[doubted(a), b, c], Some(2), Some(2)),
            ("of two spares the shorter", &[dead(a), b, c], Some(0), Some(1)),
            ("the preferred, if none is trusted", &[doubted(a), doubted(b)], Some(1), Some(0)),
            ("nothing", &[dead(a), dead(b)], Some(0), None),
        ];
        for (name, members, before, expected) in table {
            assert_eq!(in_use(members, Some(0), before), expected, "{name}");
        }
    }

    fn members() -> impl Strategy<Value = Vec<Member>> {
        let one = (any::<bool>(), 0_u8..4, 1_u64..200, any::<bool>(), any::<bool>());
        prop::collection::vec(one, 1..8).prop_map(|given| {
            let classes =
                [CostClass::Wired, CostClass::Wireless, CostClass::Metered, CostClass::LastResort];
            let build = |(index, (spare, class, ms, trusted, alive)): (
                usize,
                &(bool, u8, u64, bool, bool),
            )| {
                let class = classes[usize::from(*class)];
                Member {
                    spare: *spare,
                    class,
                    trusted: *trusted,
                    alive: *alive,
                    ..member(index, *ms)
                }
            };
            given.iter().enumerate().map(build).collect()
        })
    }

    proptest! {
        /// Whatever is known: the choices stand once they are made, someone is chosen while anyone
        /// lives, and a spare or a dearer path is preferred only among its like.
        #[test]
        fn choices_stand(members in members()) {
            let preferred = prefer(&members, None);
            prop_assert_eq!(prefer(&members, preferred), preferred);
            let chosen = in_use(&members, preferred, None);
            prop_assert_eq!(in_use(&members, preferred, chosen), chosen);
            prop_assert_eq!(chosen.is_some(), members.iter().any(|member| member.alive));
            prop_assert!(chosen.is_none_or(|index| members[index].alive));
            let best = members.iter().map(Member::rank).min();
            prop_assert_eq!(preferred.map(|index| members[index].rank()), best);
        }
    }
}
