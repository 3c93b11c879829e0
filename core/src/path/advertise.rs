//! Who can be reached where: the list that we tell, and the list that we were told.
//!
//! A list is always whole and numbered; it is sent again until acknowledged, and only the newest
//! counts. There are no additions and removals that could get lost.

use crate::id::{Address, CostClass, LinkId};
use crate::storage::table::Table;
use crate::wire::{AddressList, Advertised};

/// Whether the peer has heard of our own addresses as they are now.
#[derive(Clone, Debug, Default)]
pub struct Advertise {
    sequence: u32,
    due: bool,
}

impl Advertise {
    /// Nothing to tell.
    #[must_use]
    pub const fn new() -> Self {
        Self { sequence: 0, due: false }
    }

    /// The list has changed.
    pub const fn on_changed(&mut self) {
        self.sequence = self.sequence.saturating_add(1);
        self.due = true;
    }

    /// Whether the list must be sent.
    #[must_use]
    pub const fn due(&self) -> bool {
        self.due
    }

    /// The list's number.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// It was sent.
    pub fn on_sent(&mut self, sequence: u32) {
        self.due &= sequence != self.sequence;
    }

    /// It was lost.
    pub fn on_lost(&mut self, sequence: u32) {
        self.due |= sequence == self.sequence;
    }
}

/// The peer's addresses: those that it tells, and those that it was dialled at, which may lead to
/// it through a translator of addresses that it knows nothing of.
#[derive(Clone, Debug, Default)]
pub struct Remotes<T> {
    list: T,
    told: usize,
    sequence: u32,
}

impl<T: Table<Advertised>> Remotes<T> {
    /// None known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A list arrived; returns whether it is news. The handshake's has the number zero.
    pub fn on_list(&mut self, sequence: u32, list: AddressList<'_>) -> bool {
        if sequence < self.sequence || sequence == self.sequence && sequence != 0 {
            return false;
        }
        self.sequence = sequence;
        let before = core::mem::take(&mut self.list);
        let dialled = before.list().iter().skip(self.told);
        for advertised in list.iter() {
            let _ = self.list.list_mut().push(advertised);
        }
        self.told = self.list.list().len();
        for advertised in dialled {
            self.add_dialled(advertised.address);
        }
        true
    }

    /// An address that was dialled. It is taken for a link of its own until it proves to be one
    /// of the others.
    pub fn add_dialled(&mut self, address: Address) {
        if self.list.list().iter().any(|known| known.address == address) {
            return;
        }
        let place = u8::try_from(self.list.list().len()).unwrap_or(u8::MAX);
        let link = LinkId(u8::MAX.wrapping_sub(place));
        let _ = self.list.list_mut().push(Advertised { link, class: CostClass::Wired, address });
    }

    /// The list.
    #[must_use]
    pub fn list(&self) -> &[Advertised] {
        self.list.list()
    }

    /// The peer's link that has this address.
    #[must_use]
    pub fn link_of(&self, address: &Address) -> Option<LinkId> {
        self.list.list().iter().find(|known| known.address == *address).map(|known| known.link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapless::Vec;

    fn entry(link: u8) -> Advertised {
        Advertised { link: LinkId(link), class: CostClass::Wired, address: Address::Serial }
    }

    #[test]
    fn a_list_is_due_until_the_newest_was_sent() {
        // spec: 11.1-1
        let mut ours = Advertise::new();
        ours.on_changed();
        let first = ours.sequence();
        ours.on_sent(first);
        assert!(!ours.due());
        ours.on_lost(first);
        assert!(ours.due());
        ours.on_changed();
        ours.on_sent(first);
        assert!(ours.due(), "the newer list has not been sent");
        ours.on_sent(ours.sequence());
        ours.on_lost(first);
        assert!(!ours.due(), "an old list does not matter any more");
    }

    #[test]
    fn dialled_addresses_stay_beside_those_that_are_told() {
        let dialled = Address::Ip("203.0.113.7:7000".parse().unwrap());
        let mut theirs = <Remotes<Vec<Advertised, 16>>>::new();
        theirs.on_list(0, (&[entry(1)][..]).into());
        theirs.add_dialled(dialled);
        theirs.add_dialled(Address::Serial);
        assert_eq!(theirs.list().len(), 2, "the serial line was told of");
        theirs.on_list(1, (&[entry(2)][..]).into());
        assert_eq!(theirs.list().len(), 2);
        assert_eq!(theirs.list()[1].address, dialled);
    }

    #[test]
    fn only_newer_lists_count() {
        // spec: 11.1-2
        let mut theirs = <Remotes<Vec<Advertised, 16>>>::new();
        assert!(theirs.on_list(2, (&[entry(1)][..]).into()));
        assert!(!theirs.on_list(1, (&[entry(2)][..]).into()));
        assert!(!theirs.on_list(2, (&[entry(2)][..]).into()));
        assert_eq!(theirs.list(), [entry(1)]);
    }
}
