//! The cables: an Ethernet card and a UART whose other ends are an emulated board's, with everything
//! that can happen on the way.

use core::cell::RefCell;
use core::convert::Infallible;
use core::time::Duration;
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use ropewalk_drivers::{EthernetDevice, Full};
use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

/// What a cable does to what is sent over it, each way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Nothing passes, and nobody is told.
    pub(crate) cut: bool,
    /// So many of a thousand frames are lost.
    pub(crate) lost: u32,
    /// So many of a thousand frames, or bytes of a line, have a bit flipped.
    pub(crate) flipped: u32,
    /// So many of a thousand frames come twice.
    pub(crate) doubled: u32,
    /// How long a frame is under way.
    pub(crate) delay: Duration,
    /// Bits a second that a cable carries each way; zero for as many as come. 32 frames wait.
    pub(crate) rate: u32,
    /// Between frames that are meant, others of any length and content.
    pub(crate) noise: bool,
}

/// Faults that the test changes while the cable is in use.
pub(crate) type Knob = Rc<RefCell<Faults>>;

/// One end of an Ethernet cable.
pub(crate) struct Card {
    socket: UnixDatagram,
    there: PathBuf,
    knob: Knob,
    random: fastrand::Rng,
    incoming: Way,
    outgoing: Way,
    node: u8,
    pub(crate) carrier: bool,
}

impl Card {
    /// The end at `here` of the cable to `there`.
    pub(crate) fn new(here: &Path, there: &Path, node: u8, seed: u64) -> Self {
        let socket = UnixDatagram::bind(here).unwrap();
        socket.set_nonblocking(true).unwrap();
        let random = fastrand::Rng::with_seed(seed);
        Self {
            socket,
            there: there.to_owned(),
            knob: Knob::default(),
            random,
            incoming: Way::default(),
            outgoing: Way::default(),
            node,
            carrier: true,
        }
    }

    pub(crate) fn knob(&self) -> Knob {
        Rc::clone(&self.knob)
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn take_in(&mut self) {
        let mut room = [0; 2_048];
        while let Ok(len) = self.socket.recv(&mut room) {
            let faults = *self.knob.borrow();
            self.incoming.take(&room[..len], &faults, &mut self.random);
        }
    }

    /// A board that is kept from running takes its frames later; one that is not there loses them.
    fn give_out(&mut self) {
        while let Some(frame) = self.outgoing.due() {
            match self.socket.send_to(frame, &self.there) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => self.outgoing.remove(),
            }
        }
    }
}

/// One direction of a cable.
#[derive(Default)]
struct Way {
    under_way: VecDeque<(Instant, Vec<u8>)>,
    /// When it has carried what it took.
    busy: Option<Instant>,
}

impl Way {
    fn take(&mut self, frame: &[u8], faults: &Faults, random: &mut fastrand::Rng) {
        let now = Instant::now();
        for _ in 0..faults.copies(random) {
            let mut frame = frame.to_vec();
            faults.flip(&mut frame, random);
            let mut carried = self.busy.map_or(now, |busy| busy.max(now));
            let queue = if faults.rate > 0 { QUEUE_FRAMES } else { BURST_FRAMES };
            if self.under_way.len() >= queue {
                continue;
            }
            if faults.rate > 0 {
                let bits = frame.len() as u64 * 8;
                carried += Duration::from_nanos(bits * 1_000_000_000 / u64::from(faults.rate));
            }
            self.busy = Some(carried);
            self.under_way.push_back((carried + faults.delay, frame));
        }
    }

    fn due(&self) -> Option<&[u8]> {
        let (due, frame) = self.under_way.front()?;
        (*due <= Instant::now()).then_some(frame)
    }

    fn remove(&mut self) {
        self.under_way.pop_front();
    }
}

/// What waits before a cable with a rate.
const QUEUE_FRAMES: usize = 32;
/// What waits before one without.
const BURST_FRAMES: usize = 256;

impl Faults {
    fn copies(&self, random: &mut fastrand::Rng) -> usize {
        let mut happens = |of_thousand| random.u32(0..1_000) < of_thousand;
        match () {
            () if self.cut || happens(self.lost) => 0,
            () if happens(self.doubled) => 2,
            () => 1,
        }
    }

    fn flip(&self, frame: &mut [u8], random: &mut fastrand::Rng) {
        if random.u32(0..1_000) < self.flipped && !frame.is_empty() {
            let at = random.usize(..frame.len());
            frame[at] ^= 1 << random.u32(..8);
        }
    }
}

impl EthernetDevice for Card {
    fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self.node]
    }

    fn carrier(&mut self) -> bool {
        self.carrier
    }

    fn can_send(&mut self) -> bool {
        true
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), Full> {
        let faults = *self.knob.borrow();
        self.outgoing.take(frame, &faults, &mut self.random);
        if faults.noise {
            let mut noise = vec![0; self.random.usize(..4_000)];
            self.random.fill(&mut noise);
            // Some begin as if they were for the board.
            let meant = self.random.usize(..frame.len()).min(noise.len());
            if self.random.bool() {
                noise[..meant].copy_from_slice(&frame[..meant]);
            }
            self.outgoing.take(&noise, &faults, &mut self.random);
        }
        self.give_out();
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        self.take_in();
        self.give_out();
        let frame = self.incoming.due()?;
        let len = frame.len();
        if let Some(place) = into.get_mut(..len) {
            place.copy_from_slice(frame);
        }
        self.incoming.remove();
        (len <= into.len()).then_some(len)
    }
}

/// One end of a serial line, as fast as its rate and no faster.
pub(crate) struct Line {
    stream: UnixStream,
    knob: Knob,
    random: fastrand::Rng,
    incoming: VecDeque<u8>,
    /// When the line has carried what was written.
    busy: Instant,
    byte: Duration,
}

impl Line {
    /// Attaches to a board that listens.
    pub(crate) fn new(path: &Path, bits_per_second: u32, seed: u64) -> Self {
        // Made by the emulator before its monitor answers.
        let stream = UnixStream::connect(path).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self {
            stream,
            knob: Knob::default(),
            random: fastrand::Rng::with_seed(seed),
            incoming: VecDeque::new(),
            busy: Instant::now(),
            byte: Duration::from_secs(10) / bits_per_second,
        }
    }

    pub(crate) fn knob(&self) -> Knob {
        Rc::clone(&self.knob)
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    fn take_in(&mut self) {
        let mut room = [0; 1_024];
        while let Ok(len @ 1..) = self.stream.read(&mut room) {
            let faults = *self.knob.borrow();
            for byte in &room[..len] {
                let mut byte = [*byte];
                faults.flip(&mut byte, &mut self.random);
                if !faults.cut {
                    self.incoming.push_back(byte[0]);
                }
            }
        }
    }
}

impl ErrorType for Line {
    type Error = Infallible;
}

impl ReadReady for Line {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        if self.incoming.is_empty() {
            self.take_in();
        }
        Ok(!self.incoming.is_empty())
    }
}

impl Read for Line {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        let len = into.len().min(self.incoming.len());
        for (place, byte) in into.iter_mut().zip(self.incoming.drain(..len)) {
            *place = byte;
        }
        Ok(len)
    }
}

impl WriteReady for Line {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        // As much as a UART's own queue of 16 bytes ahead.
        Ok(self.busy <= Instant::now() + self.byte * 16)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let mut bytes = bytes[..bytes.len().min(16)].to_vec();
        let faults = *self.knob.borrow();
        let written = bytes.len();
        for byte in &mut bytes {
            faults.flip(core::slice::from_mut(byte), &mut self.random);
        }
        if !faults.cut {
            match self.stream.write(&bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => {}
            }
        }
        self.busy = self.busy.max(Instant::now()) + self.byte * written as u32;
        Ok(written)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
