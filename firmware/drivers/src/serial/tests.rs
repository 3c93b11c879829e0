//! Two lines, and a pipe between them that loses, flips and invents bytes.

use super::*;
use core::cell::RefCell;
use core::convert::Infallible;
use embedded_io::ErrorType;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

type Pipe = Rc<RefCell<VecDeque<u8>>>;

/// One end of a line that takes `room` bytes until somebody tops it up.
struct End {
    outgoing: Pipe,
    incoming: Pipe,
    room: Rc<RefCell<usize>>,
}

impl ErrorType for End {
    type Error = Infallible;
}

impl ReadReady for End {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.incoming.borrow().is_empty())
    }
}

impl Read for End {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        assert!(!self.incoming.borrow().is_empty(), "a read that would wait");
        let mut incoming = self.incoming.borrow_mut();
        Ok(into
            .iter_mut()
            .zip(core::iter::from_fn(|| incoming.pop_front()))
            .map(|(place, byte)| *place = byte)
            .count())
    }
}

impl WriteReady for End {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(*self.room.borrow() > 0)
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let mut room = self.room.borrow_mut();
        let len = bytes.len().min(*room);
        assert!(len > 0, "a write that would wait");
        *room -= len;
        self.outgoing.borrow_mut().extend(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A sender's end and a receiver's, the pipe between them, and the sender's room.
fn line() -> (End, End, Pipe, Rc<RefCell<usize>>) {
    let (there, back) = (Pipe::default(), Pipe::default());
    let room = Rc::new(RefCell::new(usize::MAX));
    let near = End { outgoing: there.clone(), incoming: back.clone(), room: room.clone() };
    let far = End { outgoing: back, incoming: there.clone(), room: Rc::default() };
    (near, far, there, room)
}

fn received(line: &mut SerialLine<'_, End>) -> Vec<Vec<u8>> {
    let mut buffer = [0; 600];
    let mut datagrams = Vec::new();
    // An empty call may only mean that it had its share of noise.
    for _ in 0..100 {
        line.pump();
        while let Some(len) = line.receive(&mut buffer) {
            datagrams.push(buffer[..len].to_vec());
        }
    }
    datagrams
}

fn datagram() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..300)
}

#[derive(Clone, Debug)]
enum Op {
    Send(Vec<u8>),
    /// The line carries this many bytes.
    Carry(usize),
    Receive,
    Noise(Vec<u8>),
    Lose(prop::sample::Index),
    Flip(prop::sample::Index, u8),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => datagram().prop_map(Op::Send),
        4 => (0_usize..400).prop_map(Op::Carry),
        2 => Just(Op::Receive),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Op::Noise),
        1 => any::<prop::sample::Index>().prop_map(Op::Lose),
        1 => (any::<prop::sample::Index>(), 1_u8..).prop_map(|(at, flip)| Op::Flip(at, flip)),
    ];
    prop::collection::vec(op, 0..60)
}

/// Whether `some` are among `all`, in this order.
fn in_order(some: &[Vec<u8>], all: &[Vec<u8>]) -> bool {
    let mut all = all.iter();
    some.iter().all(|one| all.any(|other| other == one))
}

proptest! {
    #[test]
    fn what_arrives_was_sent_whatever_the_line_does(ops in ops(), rate in prop::sample::select(vec![1_200_u32, 9_600, 115_200, 921_600])) {
        let (near, far, pipe, room) = line();
        let (mut a, mut b, mut c, mut d) = ([0; 400], [0; 1_200], [0; 400], [0; 400]);
        let mut sender = SerialLine::new(near, rate, &mut a, &mut b);
        let mut receiver = SerialLine::new(far, rate, &mut c, &mut d);
        let (mut sent, mut got, mut spoiled) = (Vec::new(), Vec::new(), false);
        *room.borrow_mut() = 0;
        for op in ops {
            match op {
                Op::Send(datagram) => if sender.send(&datagram).is_ok() {
                    sent.push(datagram);
                },
                Op::Carry(bytes) => *room.borrow_mut() += bytes,
                Op::Receive => got.extend(received(&mut receiver)),
                Op::Noise(bytes) => {
                    spoiled |= !bytes.is_empty();
                    pipe.borrow_mut().extend(bytes);
                }
                Op::Lose(at) => {
                    let at = at.index(pipe.borrow().len().max(1));
                    spoiled |= pipe.borrow_mut().remove(at).is_some();
                }
                Op::Flip(at, flip) => {
                    let at = at.index(pipe.borrow().len().max(1));
                    if let Some(byte) = pipe.borrow_mut().get_mut(at) {
                        *byte ^= flip;
                        spoiled = true;
                    }
                }
            }
            sender.pump();
            prop_assert!(sender.queued() <= (rate as usize / 200).max(memory_bytes(299)));
        }
        *room.borrow_mut() = usize::MAX;
        (0..9).for_each(|_| sender.pump());
        prop_assert_eq!(sender.queued(), 0);
        got.extend(received(&mut receiver));
        prop_assert!(in_order(&got, &sent));
        if !spoiled {
            prop_assert_eq!(&got, &sent);
            prop_assert_eq!(receiver.counters(), SerialCounters::default());
        }
        // Whatever happened, the line is in step for the next one.
        sender.send(&[7; 64]).unwrap();
        sender.pump();
        let next = received(&mut receiver);
        // A frame that lost its end only is ended, and arrives, with the next.
        prop_assert_eq!(next.last(), Some(&vec![7; 64]));
    }
}

#[test]
fn minutes_of_noise_cost_only_their_own_frames() {
    let (near, far, pipe, _room) = line();
    let (mut a, mut b, mut c, mut d) = ([0; 400], [0; 800], [0; 400], [0; 400]);
    let mut sender = SerialLine::new(near, 115_200, &mut a, &mut b);
    let mut receiver = SerialLine::new(far, 115_200, &mut c, &mut d);
    // Two minutes of a line at 115,200 bits a second: xorshift, by Marsaglia.
    let mut random = 0x9e37_79b9_u32;
    for _ in 0..2 * 60 * 100 {
        let noise = (0..115).map(|_| {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            random as u8
        });
        pipe.borrow_mut().extend(noise);
        let mut buffer = [0; 400];
        receiver.pump();
        assert_eq!(receiver.receive(&mut buffer), None);
    }
    assert!(receiver.counters().corrupt > 1_000);
    sender.send(b"still here").unwrap();
    sender.pump();
    assert_eq!(received(&mut receiver), [b"still here".to_vec()]);
}

#[test]
fn the_queue_holds_50_ms_or_one_frame() {
    // 50 ms of 9,600 bits a second are 48 bytes.
    let (near, _far, _pipe, room) = line();
    *room.borrow_mut() = 0;
    let (mut a, mut b) = ([0; 400], [0; 800]);
    let mut sender = SerialLine::new(near, 9_600, &mut a, &mut b);
    assert_eq!(sender.send(&[1; 300]), Ok(()), "a long one goes alone");
    let queued = sender.queued();
    assert_eq!(sender.send(&[1; 1]), Err(Full));
    assert_eq!(sender.queued(), queued, "nothing was taken");
    *room.borrow_mut() = usize::MAX;
    sender.pump();
    assert_eq!((sender.send(&[1; 10]), sender.send(&[1; 10])), (Ok(()), Ok(())));
    *room.borrow_mut() = 0;
    assert_eq!((sender.send(&[1; 20]), sender.queued()), (Err(Full), 33));
}

#[test]
fn what_is_too_long_is_dropped_and_counted() {
    let (near, far, _pipe, _room) = line();
    let (mut a, mut b, mut c, mut d) = ([0; 400], [0; 200], [0; 400], [0; 400]);
    let mut sender = SerialLine::new(near, 115_200, &mut a, &mut b);
    let mut receiver = SerialLine::new(far, 115_200, &mut c, &mut d);
    assert_eq!(sender.send(&[1; 300]), Ok(()));
    assert_eq!((sender.counters().dropped, sender.queued()), (1, 0));
    for len in [100, 60] {
        sender.send(&vec![2; len]).unwrap();
        sender.pump();
    }
    let mut short = [0; 60];
    assert_eq!(receiver.receive(&mut short), None);
    assert_eq!((receiver.receive(&mut short), short), (Some(60), [2; 60]));
    assert_eq!(receiver.counters().dropped, 1);
}

#[test]
fn one_call_moves_a_bounded_number_of_bytes() {
    let (near, far, pipe, room) = line();
    let (mut a, mut b, mut c, mut d) = ([0; 400], [0; 3_000], [0; 400], [0; 400]);
    let mut sender = SerialLine::new(near, 1_000_000, &mut a, &mut b);
    let mut receiver = SerialLine::new(far, 1_000_000, &mut c, &mut d);
    sender.send(&[3; 2_000]).unwrap();
    *room.borrow_mut() = usize::MAX;
    sender.pump();
    assert_eq!(pipe.borrow().len(), BYTES_PER_CALL);
    pipe.borrow_mut().extend([1; 5_000]);
    let before = pipe.borrow().len();
    receiver.pump();
    assert_eq!(before - pipe.borrow().len(), BYTES_PER_CALL);
}

#[test]
fn zeros_on_an_idle_line_are_not_corruption() {
    let (near, far, pipe, _room) = line();
    let (mut a, mut b, mut c, mut d) = ([0; 400], [0; 800], [0; 400], [0; 400]);
    let mut sender = SerialLine::new(near, 115_200, &mut a, &mut b);
    let mut receiver = SerialLine::new(far, 115_200, &mut c, &mut d);
    pipe.borrow_mut().extend([0; 70]);
    sender.send(b"awake").unwrap();
    sender.pump();
    assert_eq!(received(&mut receiver), [b"awake".to_vec()]);
    assert_eq!(receiver.counters(), SerialCounters::default());
}

#[test]
fn a_uart_that_fails_is_counted_and_asked_again() {
    struct Failing(u32);
    impl ErrorType for Failing {
        type Error = embedded_io::ErrorKind;
    }
    impl ReadReady for Failing {
        fn read_ready(&mut self) -> Result<bool, Self::Error> {
            self.0 += 1;
            Ok(self.0.is_multiple_of(2))
        }
    }
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> Result<usize, Self::Error> {
            Err(embedded_io::ErrorKind::Other)
        }
    }
    impl WriteReady for Failing {
        fn write_ready(&mut self) -> Result<bool, Self::Error> {
            Ok(true)
        }
    }
    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> Result<usize, Self::Error> {
            Err(embedded_io::ErrorKind::Other)
        }
        fn flush(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }
    let (mut a, mut b) = ([0; 40], [0; 80]);
    let mut line = SerialLine::new(Failing(0), 115_200, &mut a, &mut b);
    line.send(&[1; 9]).unwrap();
    let queued = line.queued();
    (0..4).for_each(|_| line.pump());
    assert_eq!(line.queued(), queued);
    assert_eq!(line.counters().line_errors, 4 + 3);
}
