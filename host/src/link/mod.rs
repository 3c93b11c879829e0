//! Links: the ways out of this machine. [`interfaces`] decides which there are, [`changes`] compares
//! two looks, [`wishes`] says what else is wanted of them; `socket` and [`serial`] send over them.

pub mod changes;
pub mod interfaces;
pub mod serial;
pub(crate) mod socket;
mod system;
pub mod wishes;
