//! What the tests share: the simulated world.

pub mod sim;
