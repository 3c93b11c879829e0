//! ropewalk on WIZnet's W5500-EVB-Pico2 (RP2350).

#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    ropewalk_w5500_rp::run()
}
