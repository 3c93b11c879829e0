//! A TAP device: a network interface whose wire is a file descriptor, one Ethernet frame a call.
//!
//! The only unsafe code of the lab is here: the request that turns an open `/dev/net/tun` into a
//! device (Linux, `Documentation/networking/tuntap.rst`). No offloads are asked for, so the
//! kernel cuts segments and fills in checksums before a frame gets here.

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Opcode, Setter, opcode};
use std::io;

/// The longest frame of a link with an MTU of 1,500 bytes.
pub const FRAME_BYTES_MAX: usize = 1_514;

/// Makes the interface `name` in the calling thread's network namespace. It lives as long as the
/// descriptor, which does not block.
///
/// # Errors
/// Without root, or if the name is taken or too long.
pub fn open(name: &str) -> io::Result<OwnedFd> {
    let file = rustix::fs::open(
        "/dev/net/tun",
        OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| {
        let error = io::Error::from(error);
        let what = format!("no TAP device can be made by /dev/net/tun: {error} (modprobe tun?)");
        io::Error::new(error.kind(), what)
    })?;
    let mut request = Request { name: [0; 16], flags: IFF_TAP | IFF_NO_PI, rest: [0; 22] };
    // The last byte stays zero: the kernel wants a C string.
    let Some(room) = request.name.get_mut(..name.len()).filter(|_| name.len() < 16) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    room.copy_from_slice(name.as_bytes());
    // SAFETY: TUNSETIFF takes a pointer to `struct ifreq`, which `Request` has the layout of: a
    // name of 16 bytes and a union of 24, whose first member here is the flags.
    unsafe { rustix::ioctl::ioctl(&file, Setter::<TUNSETIFF, Request>::new(request)) }?;
    Ok(file)
}

/// `struct ifreq` as this one request uses it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

const TUNSETIFF: Opcode = opcode::write::<i32>(b'T', 202);
const IFF_TAP: u16 = 0x0002;
/// Frames come bare, without the four bytes of packet information.
const IFF_NO_PI: u16 = 0x1000;
