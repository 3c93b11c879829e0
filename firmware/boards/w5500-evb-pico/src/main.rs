//! ropewalk on WIZnet's W5500-EVB-Pico (RP2040).

#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    ropewalk_w5500_rp::run()
}
