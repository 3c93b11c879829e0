//! Links: the ways out of this machine. [`interfaces`] decides which there are, [`changes`] compares
//! two looks, `socket` sends over them.

pub mod changes;
pub mod interfaces;
pub(crate) mod socket;
mod system;
