//! Is the path alive?
//!
//! ```text
//!   Probing --Validated--> Active --Silence--> Suspect --GaveUp--> Down
//!                            ^                    |                  |
//!                            +----Acknowledged----+------------------+
//! ```
//!
//! Only an acknowledgement of something sent on a path brings it back: what arrives on it says
//! nothing of the way out. A path whose link goes away is not Down but gone.

/// What a path can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PathState {
    /// Its address has not been proved yet: challenges only.
    Probing,
    /// Carries data.
    Active,
    /// Silent for too long: probes only; what it carried is sent on other paths too.
    Suspect,
    /// Silent for so long that nobody waits for it: probes only.
    Down,
}

/// What happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathInput {
    /// The answer to a challenge came back.
    Validated,
    /// An acknowledgement is overdue.
    Silence,
    /// Something sent on it was newly acknowledged.
    Acknowledged,
    /// It stayed silent.
    GaveUp,
    /// The peer's address changed: it must be proved again.
    Moved,
}

impl PathState {
    /// The state after `input`.
    #[must_use]
    pub const fn next(self, input: PathInput) -> Self {
        match (self, input) {
            (Self::Probing, PathInput::Validated)
            | (Self::Suspect | Self::Down, PathInput::Acknowledged) => Self::Active,
            (Self::Active, PathInput::Silence) => Self::Suspect,
            (Self::Suspect, PathInput::GaveUp) => Self::Down,
            (_, PathInput::Moved) => Self::Probing,
            (state, _) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PathInput as I, PathState as S};

    #[test]
    fn every_legal_move() {
        // spec: 9.4-1
        let legal = [
            (S::Probing, I::Validated, S::Active),
            (S::Active, I::Silence, S::Suspect),
            (S::Suspect, I::Acknowledged, S::Active),
            (S::Suspect, I::GaveUp, S::Down),
            (S::Down, I::Acknowledged, S::Active),
            (S::Probing, I::Moved, S::Probing),
            (S::Active, I::Moved, S::Probing),
            (S::Suspect, I::Moved, S::Probing),
            (S::Down, I::Moved, S::Probing),
        ];
        for state in [S::Probing, S::Active, S::Suspect, S::Down] {
            for input in [I::Validated, I::Silence, I::Acknowledged, I::GaveUp, I::Moved] {
                let listed = legal.iter().find(|(from, by, _)| (*from, *by) == (state, input));
                assert_eq!(state.next(input), listed.map_or(state, |(_, _, to)| *to));
            }
        }
    }
}
