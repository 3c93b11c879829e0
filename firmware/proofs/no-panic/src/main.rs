//! The proof that the core cannot panic, whatever a peer or a program gives it.
//!
//! This image calls every public entry of the core with values of which the optimizer knows
//! nothing but their type. Its panic handler calls a function that does not exist. So it links
//! only if the optimizer found, for every index, division, conversion and `unwrap`, that its panic
//! can never be reached, and removed it. The image also has no allocator: a core that asked for
//! one would not link either. It is never run.
//!
//! Cryptography is stubbed at its seam ([`opaque::Stub`]), since other people's ciphers are not
//! what is proved here. When the image does not link, `cargo run -p ropewalk-tests --bin proof`
//! names the file and line of every panic that is left.
#![no_std]
#![no_main]

mod connection;
mod crypto;
mod opaque;
mod recovery;
mod repair;
mod storage;
mod stream;
mod values;
mod wire;

/// Where a machine would begin.
#[unsafe(no_mangle)]
pub extern "C" fn reset() -> ! {
    values::all();
    storage::all();
    wire::all();
    crypto::all();
    recovery::all();
    repair::all();
    stream::all();
    connection::all();
    loop {}
}

/// Keeps [`reset`], which keeps everything else.
#[used]
#[unsafe(link_section = ".vectors")]
static VECTOR: extern "C" fn() -> ! = reset;

#[cfg(not(feature = "located"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        // Defined nowhere: only an image without panics links.
        safe fn a_panic_is_left_in_the_core() -> !;
    }
    a_panic_is_left_in_the_core()
}

#[cfg(feature = "located")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    core::hint::black_box(info.location());
    loop {}
}
