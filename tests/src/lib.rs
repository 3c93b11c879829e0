//! What the tests share: the simulated world, the lab of real kernels, and the reading of bare
//! images.

pub mod counts;
#[cfg(all(target_os = "linux", feature = "lab"))]
pub mod lab;
pub mod proof;
pub mod props;
pub mod sim;
