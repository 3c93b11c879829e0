//! Settings for boards under test, as `ropewalk provision` writes them.

use heapless::Vec;
use ropewalk_core::application::settings::{Addressing, FILE_BYTES_MAX, PeerSettings, Settings};
use ropewalk_core::crypto::{Identity, Software};
use ropewalk_core::id::PublicKey;
use std::path::Path;

pub(crate) const PORT: u16 = 4_433;
pub(crate) const INVITATION: ([u8; 8], [u8; 32]) = (*b"a ticket", [0x51; 32]);

/// Link `n` of a board is `10.0.n.2`, that of its peer `10.0.n.1`.
pub(crate) fn settings(board: u8, links: u8) -> Settings {
    let address =
        |n| Addressing::Static { address: [10, 0, n, 1 + board].into(), prefix: 24, gateway: None };
    Settings {
        secret: secret(board),
        entropy: [board; 32],
        port: PORT,
        links: (0..links).map(address).collect(),
        peers: Vec::new(),
        invitations: Vec::from_iter([INVITATION]),
    }
}

pub(crate) const fn secret(node: u8) -> [u8; 32] {
    [node + 100; 32]
}

pub(crate) fn key(node: u8) -> PublicKey {
    Identity::new::<Software>(secret(node)).public
}

pub(crate) fn knows(node: u8) -> PeerSettings {
    PeerSettings { key: key(node), ticket: None, addresses: Vec::new() }
}

pub(crate) fn write(settings: &Settings, folder: &Path) {
    let mut file = [0; FILE_BYTES_MAX];
    let len = settings.encode(&mut file).unwrap();
    std::fs::write(folder.join("settings.bin"), &file[..len]).unwrap();
}
