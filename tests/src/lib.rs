//! What the tests share: the simulated world, the lab of real kernels, and the reading of bare
//! images.

pub mod counts;
#[cfg(target_os = "linux")]
pub mod lab;
pub mod proof;
pub mod props;
pub mod sim;
