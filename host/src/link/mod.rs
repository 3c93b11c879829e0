//! Links: the ways out of this machine. [`interfaces`] finds them, [`socket`] sends over them.

pub mod interfaces;
pub(crate) mod socket;
