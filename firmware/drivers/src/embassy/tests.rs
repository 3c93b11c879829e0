//! The adapter over a driver that plays a script: it stands in for the W5500 and for on-chip
//! Ethernet, which nothing here emulates.

use super::*;
use embassy_net_driver::Capabilities;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

struct Script {
    address: HardwareAddress,
    link: LinkState,
    incoming: VecDeque<Vec<u8>>,
    room: usize,
    sent: Vec<Vec<u8>>,
}

impl Default for Script {
    fn default() -> Self {
        let address = HardwareAddress::Ethernet([2, 0, 0, 0, 0, 9]);
        Self {
            address,
            link: LinkState::Down,
            incoming: VecDeque::new(),
            room: 1,
            sent: Vec::new(),
        }
    }
}

struct Incoming(Vec<u8>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

struct Outgoing<'a>(&'a mut usize, &'a mut Vec<Vec<u8>>);

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        *self.0 -= 1;
        self.1.push(frame);
        result
    }
}

impl Driver for Script {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Incoming, Outgoing<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((Incoming(frame), Outgoing(&mut self.room, &mut self.sent)))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Outgoing<'_>> {
        cx.waker().wake_by_ref();
        (self.room > 0).then_some(Outgoing(&mut self.room, &mut self.sent))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        self.link
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1_514;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.address
    }
}

#[test]
fn only_ethernet_is_taken() {
    let script = Script { address: HardwareAddress::Ip, ..Script::default() };
    assert!(Polled::new(script).is_err());
    let Ok(card) = Polled::new(Script::default()) else { panic!("it is Ethernet's") };
    assert_eq!(card.mac(), [2, 0, 0, 0, 0, 9]);
}

#[test]
fn the_carrier_is_the_drivers() {
    let Ok(mut card) = Polled::new(Script::default()) else { panic!("it is Ethernet's") };
    assert!(!card.carrier());
    card.driver.link = LinkState::Up;
    assert!(card.carrier());
}

#[test]
fn frames_go_while_there_is_room() {
    let Ok(mut card) = Polled::new(Script::default()) else { panic!("it is Ethernet's") };
    assert!(card.can_send());
    assert!(card.can_send(), "asking takes nothing");
    assert_eq!([13, 1_515].map(|len| card.send(&vec![0; len])), [Ok(()); 2]);
    assert_eq!((card.send(&[5; 60]), card.send(&[6; 60])), (Ok(()), Err(Full)));
    assert!(!card.can_send());
    card.driver.room = 2;
    assert_eq!(card.send(&[6; 1_514]), Ok(()));
    assert_eq!(card.driver.sent, [vec![5; 60], vec![6; 1_514]]);
    assert_eq!(card.dropped(), Dropped { unsendable: 2, ..Dropped::default() });
}

#[test]
fn frames_come_and_odd_ones_are_counted() {
    let incoming = [vec![1; 60], vec![2; 3], vec![3; 101], vec![4; 100]].into();
    let Ok(mut card) = Polled::new(Script { incoming, ..Script::default() }) else {
        panic!("it is Ethernet's")
    };
    let mut buffer = [0; 100];
    assert_eq!((card.receive(&mut buffer), buffer[59]), (Some(60), 1));
    assert_eq!((card.receive(&mut buffer), buffer), (Some(100), [4; 100]));
    assert_eq!(card.receive(&mut buffer), None);
    assert_eq!(card.dropped(), Dropped { runt: 1, oversized: 1, ..Dropped::default() });
    assert_eq!(card.driver.sent, Vec::<Vec<u8>>::new(), "receiving sends nothing");
}
