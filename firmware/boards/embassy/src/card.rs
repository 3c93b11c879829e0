//! Network cards as links.

use crate::{now, place};
use ropewalk_app::stack::{Ethernet, EthernetMemory, EthernetSettings};
use ropewalk_app::start::Started;
use ropewalk_core::crypto::{Crypto, Software};
use ropewalk_core::id::CostClass;
use ropewalk_drivers::EthernetDevice;
use static_cell::StaticCell;

/// A card as a link, set up as the settings say of the network link with this number.
pub fn link<D: EthernetDevice>(
    name: &'static str,
    number: usize,
    device: D,
    memory: &'static StaticCell<EthernetMemory>,
    started: &mut Started,
) -> Ethernet<D> {
    let settings = EthernetSettings {
        name,
        class: CostClass::Wired,
        addressing: started.settings.addressing(number),
        port: started.settings.port,
        seed: started.seeds.number(),
    };
    Ethernet::new(device, settings, place(memory, EthernetMemory::new), now())
}

/// An address of our own making (the second bit says so), different for each board and each of its
/// cards: from what the chip says of itself.
#[must_use]
pub fn mac(chip: &[u8], card: u8) -> [u8; 6] {
    let [a, b, c, d, e, ..] = Software::hash(&[b"ropewalk mac", chip, &[card]]);
    [2, a, b, c, d, e]
}
