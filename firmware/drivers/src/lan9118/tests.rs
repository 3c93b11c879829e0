//! The driver against a chip that keeps a LAN9118's rules, and breaks down on request.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

const MAC: [u8; 6] = [2, 3, 4, 5, 6, 7];

#[derive(Debug)]
struct Chip {
    identity: u32,
    stuck_in_reset: bool,
    interrupts: u32,
    mac: [u32; 16],
    mac_data: u32,
    phy: [u32; 32],
    /// Looks at `MII_ACC` until an answer is there; those that are left.
    phy_slowness: u32,
    phy_busy: u32,
    rx_status: VecDeque<u32>,
    rx_data: VecDeque<u32>,
    rx_dropped: u32,
    tx_room: u32,
    tx_words: Vec<u32>,
    tx_status: VecDeque<u32>,
    tx_fails: bool,
    sent: Vec<Vec<u8>>,
}

impl Chip {
    fn new() -> Self {
        let mut chip = Self {
            identity: 0x0118_0001,
            stuck_in_reset: false,
            interrupts: 0,
            mac: [0; 16],
            mac_data: 0,
            phy: [0; 32],
            phy_slowness: 0,
            phy_busy: 0,
            rx_status: VecDeque::new(),
            rx_data: VecDeque::new(),
            rx_dropped: 0,
            tx_room: 4_608,
            tx_words: Vec::new(),
            tx_status: VecDeque::new(),
            tx_fails: false,
            sent: Vec::new(),
        };
        chip.mac[MAC_ADDRL as usize] = 0x0504_0302;
        chip.mac[MAC_ADDRH as usize] = 0x0706;
        chip.phy[PHY_STATUS as usize] = 0x7809;
        chip.phy[PHY_PARTNER as usize] = 0x0f71;
        chip
    }

    fn cable(&mut self, up: bool) {
        self.phy[PHY_STATUS as usize] = if up { 0x782d } else { 0x7809 };
    }

    /// A frame comes, and is what its status says that it is.
    fn deliver(&mut self, frame: &[u8], flags: u32) {
        let mut bytes = frame.to_vec();
        bytes.extend([0xc5; 4]);
        let words = bytes.chunks(4).map(|piece| {
            let mut word = [0xee; 4];
            word[..piece.len()].copy_from_slice(piece);
            u32::from_le_bytes(word)
        });
        self.rx_data.extend(words);
        self.rx_status.push_back((bytes.len() as u32) << 16 | flags);
    }

    fn command(&mut self, command: u32) {
        let register = (command & 0xf) as usize;
        if command & MAC_READ == 0 {
            if register as u32 == MII_ACC {
                return self.mii(self.mac_data);
            }
            if register as u32 == MAC_CR && self.mac[register] & RUN_RX & !self.mac_data != 0 {
                self.interrupts |= RXSTOP;
            }
            self.mac[register] = self.mac_data;
        } else if register as u32 == MII_ACC {
            self.mac_data = u32::from(self.phy_busy > 0);
            self.phy_busy = self.phy_busy.saturating_sub(1);
        } else {
            self.mac_data = self.mac[register];
        }
    }

    fn mii(&mut self, access: u32) {
        assert_eq!((access & PHY, access & MII_BUSY), (PHY, MII_BUSY));
        assert_eq!(self.phy_busy, 0, "the PHY was asked twice at a time");
        let register = (access >> 6 & 0x1f) as usize;
        if access & MII_WRITE == 0 {
            self.mac[MII_DATA as usize] = self.phy[register];
            self.phy_busy = self.phy_slowness;
        } else {
            self.phy[register] = self.mac[MII_DATA as usize];
        }
    }

    fn transmit(&mut self, word: u32) {
        self.tx_room = self.tx_room.checked_sub(4).expect("the transmit queue overran");
        self.tx_words.push(word);
        let [first, len, frame @ ..] = &self.tx_words[..] else { return };
        assert_eq!((first & TX_WHOLE, first & 0x7ff), (TX_WHOLE, *len));
        if frame.len() * 4 < *len as usize {
            return;
        }
        let mut bytes: Vec<u8> = frame.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(*len as usize);
        self.sent.push(bytes);
        self.tx_words.clear();
        self.tx_status.push_back(if self.tx_fails { TX_ERROR } else { 0 });
    }
}

impl Registers<u32> for &mut Chip {
    fn read(&mut self, offset: u8) -> u32 {
        match offset {
            BYTE_TEST => BYTE_TEST_VALUE,
            ID_REV => self.identity,
            HW_CFG => u32::from(self.stuck_in_reset),
            E2P_CMD | RX_CFG | TX_CFG | MAC_CSR_CMD => 0,
            MAC_CSR_DATA => self.mac_data,
            INT_STS => self.interrupts,
            RX_DROP => core::mem::take(&mut self.rx_dropped),
            RX_FIFO_INF => ((self.rx_status.len() as u32) << 16) | (self.rx_data.len() as u32 * 4),
            RX_STATUS => self.rx_status.pop_front().expect("no frame waits"),
            RX_DATA => self.rx_data.pop_front().expect("read beyond the queue"),
            TX_FIFO_INF => (self.tx_status.len() as u32) << 16 | self.tx_room,
            TX_STATUS => self.tx_status.pop_front().expect("no frame was sent"),
            _ => panic!("{offset:#x} is not read"),
        }
    }

    fn write(&mut self, offset: u8, value: u32) {
        match offset {
            HW_CFG | INT_EN => {}
            INT_STS => self.interrupts &= !value,
            RX_CFG if value & RX_DUMP != 0 => {
                assert_eq!(self.mac[MAC_CR as usize] & RUN_RX, 0, "emptied while it runs");
                self.rx_status.clear();
                self.rx_data.clear();
            }
            RX_CFG => {}
            TX_CFG if value & TX_DUMP != 0 => self.tx_room = 4_608,
            TX_CFG => {}
            TX_DATA => self.transmit(value),
            MAC_CSR_CMD => {
                // `MII_ACC` is written like any other, but what counts is what it sets off.
                self.command(value);
            }
            MAC_CSR_DATA => self.mac_data = value,
            _ => panic!("{offset:#x} is not written"),
        }
    }
}

/// Calls `receive` until it finds nothing, three times in a row.
fn received(card: &mut Lan9118<&mut Chip>, longest: usize) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; longest];
    let mut frames = Vec::new();
    let mut misses = 0;
    while misses < 3 {
        match card.receive(&mut buffer) {
            Some(len) => frames.push(buffer[..len].to_vec()),
            None => misses += 1,
        }
    }
    frames
}

fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 14..1_519), 0..12)
}

#[test]
fn the_address_is_the_eeproms_or_the_one_given() {
    let mut chip = Chip::new();
    assert_eq!(Lan9118::new(&mut chip, None).unwrap().mac(), MAC);
    let mine = [0xa2, 1, 2, 3, 4, 0xb5];
    assert_eq!(Lan9118::new(&mut chip, Some(mine)).unwrap().mac(), mine);
    assert_eq!((chip.mac[MAC_ADDRL as usize], chip.mac[MAC_ADDRH as usize]), (0x0302_01a2, 0xb504));
    let control = chip.mac[MAC_CR as usize];
    assert_eq!(control & (RUN_RX | RUN_TX | MULTICAST), RUN_RX | RUN_TX | MULTICAST);
}

#[test]
fn what_is_no_lan9118_is_not_driven() {
    #[derive(Debug)]
    struct Nothing;
    impl Registers<u32> for Nothing {
        fn read(&mut self, _: u8) -> u32 {
            u32::MAX
        }
        fn write(&mut self, _: u8, _: u32) {
            panic!("nobody is there");
        }
    }
    assert_eq!(Lan9118::new(Nothing, None).unwrap_err(), StartError::Absent);
    let mut chip = Chip { identity: 0x9500_0000, ..Chip::new() };
    assert_eq!(Lan9118::new(&mut chip, None).unwrap_err(), StartError::Unknown(0x9500_0000));
    let mut chip = Chip { stuck_in_reset: true, ..Chip::new() };
    assert_eq!(Lan9118::new(&mut chip, None).unwrap_err(), StartError::Stuck);
}

#[test]
fn what_cannot_be_used_is_dropped_and_counted() {
    let mut chip = Chip::new();
    chip.deliver(&[1; 60], 0);
    chip.deliver(&[2; 60], RX_ERROR | 1 << 1);
    chip.deliver(&[3; 60], RX_FILTERED);
    chip.deliver(&[4; 9], 0);
    chip.deliver(&[5; 101], 0);
    chip.deliver(&[6; 100], 0);
    chip.rx_dropped = 3;
    let mut card = Lan9118::new(&mut chip, None).unwrap();
    assert_eq!(received(&mut card, 100), [vec![1; 60], vec![6; 100]]);
    let expected = Dropped { overrun: 3, damaged: 2, oversized: 1, runt: 1, ..Dropped::default() };
    assert_eq!(card.dropped(), expected);
    assert_eq!(card.dropped(), expected, "the chip's counter is added once");
}

#[test]
fn one_call_drops_a_bounded_number() {
    let mut chip = Chip::new();
    (0..FRAMES_PER_CALL + 1).for_each(|_| chip.deliver(&[0; 60], RX_ERROR));
    chip.deliver(&[7; 60], 0);
    let mut card = Lan9118::new(&mut chip, None).unwrap();
    let mut buffer = [0; 60];
    assert_eq!(card.receive(&mut buffer), None);
    assert_eq!(card.dropped.damaged, FRAMES_PER_CALL);
    assert_eq!((card.receive(&mut buffer), buffer), (Some(60), [7; 60]));
}

#[test]
fn a_receiver_that_lost_step_is_emptied_and_goes_on() {
    for interrupts in [0, RXE] {
        let mut chip = Chip::new();
        Lan9118::new(&mut chip, None).unwrap();
        if interrupts == 0 {
            // A frame whose status promises more than is there.
            chip.rx_status.push_back(600 << 16);
            chip.rx_data.extend([1, 2, 3]);
        } else {
            chip.rx_data.extend([1, 2, 3]);
        }
        let mut card = Lan9118::new(&mut chip, None).unwrap();
        card.registers.interrupts |= interrupts;
        assert_eq!(received(&mut card, 1_518), Vec::<Vec<u8>>::new());
        assert_eq!((card.dropped().resets, card.registers.interrupts & RXE), (1, 0));
        card.registers.deliver(&[9; 77], 0);
        assert_eq!(received(&mut card, 1_518), [vec![9; 77]]);
    }
}

#[test]
fn a_full_queue_takes_nothing_and_drains() {
    let mut chip = Chip::new();
    let mut card = Lan9118::new(&mut chip, None).unwrap();
    let frame = [0x5a; 1_514];
    let taken = (0..9).take_while(|_| card.send(&frame).is_ok()).count();
    assert_eq!((taken, card.can_send()), (3, false));
    assert_eq!(card.registers.tx_words, []);
    assert_eq!(card.send(&[1; 14]), Ok(()), "a short one still fits");
    card.registers.tx_room = 4_608;
    assert!(card.can_send());
    assert_eq!(card.send(&frame), Ok(()));
    assert_eq!(
        chip.sent,
        [vec![0x5a; 1_514], vec![0x5a; 1_514], vec![0x5a; 1_514], vec![1; 14], vec![0x5a; 1_514]]
    );
}

#[test]
fn frames_that_did_not_get_out_are_counted() {
    let mut chip = Chip { tx_fails: true, ..Chip::new() };
    let mut card = Lan9118::new(&mut chip, None).unwrap();
    assert_eq!([13, 1_519].map(|len| card.send(&vec![0; len])), [Ok(()); 2]);
    assert_eq!(card.send(&[0; 60]), Ok(()));
    card.registers.tx_room = 100;
    card.registers.interrupts |= TXE;
    assert!(card.can_send(), "the transmitter starts again, empty");
    let expected = Dropped { unsendable: 2, unsent: 1, resets: 1, ..Dropped::default() };
    assert_eq!(card.dropped(), expected);
    assert_eq!(chip.sent.len(), 1);
}

#[test]
fn the_carrier_is_the_phys_however_slow_it_answers() {
    for phy_slowness in [0, 1, 5] {
        let mut chip = Chip { phy_slowness, ..Chip::new() };
        let mut card = Lan9118::new(&mut chip, None).unwrap();
        let calls = 4 + 4 * phy_slowness;
        for up in [false, true, false, true] {
            card.registers.cable(up);
            let last = (0..calls).map(|_| card.carrier()).last();
            assert_eq!(last, Some(up), "after {calls} calls");
        }
        assert_eq!(card.registers.mac[MAC_CR as usize] & FULL_DUPLEX, FULL_DUPLEX);
    }
}

#[test]
fn an_answer_at_once_is_used_at_once() {
    let mut chip = Chip::new();
    let mut card = Lan9118::new(&mut chip, None).unwrap();
    card.registers.cable(true);
    assert!(card.carrier());
    card.carrier();
    card.registers.cable(false);
    assert!(!card.carrier());
}

#[test]
fn half_duplex_is_for_partners_that_know_no_better() {
    for (partner, full) in
        [(0x0081, false), (0x0021, false), (0x0061, true), (0x01e1, true), (0, false)]
    {
        let mut chip = Chip::new();
        chip.phy[PHY_PARTNER as usize] = partner;
        chip.cable(true);
        let mut card = Lan9118::new(&mut chip, None).unwrap();
        (0..4).for_each(|_| assert!(card.carrier()));
        assert_eq!(chip.mac[MAC_CR as usize] & FULL_DUPLEX != 0, full, "{partner:#x}");
    }
}

proptest! {
    #[test]
    fn bursts_come_as_they_were_sent(frames in frames()) {
        let mut chip = Chip::new();
        frames.iter().for_each(|frame| chip.deliver(frame, 0));
        let mut card = Lan9118::new(&mut chip, None).unwrap();
        prop_assert_eq!(received(&mut card, 1_518), frames);
        prop_assert_eq!(card.dropped(), Dropped::default());
    }

    #[test]
    fn frames_go_as_they_were_given(frames in frames()) {
        let mut chip = Chip::new();
        let mut card = Lan9118::new(&mut chip, None).unwrap();
        for frame in &frames {
            if card.send(frame).is_err() {
                card.registers.tx_room = 4_608;
                prop_assert_eq!(card.send(frame), Ok(()));
            }
        }
        prop_assert_eq!(&chip.sent, &frames);
    }

    // The chip of this file panics when it is read beyond what it holds.
    #[test]
    fn any_status_words_are_survived(rubbish in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u32>(), 0..40)), 1..9)) {
        let mut chip = Chip::new();
        for (status, words) in rubbish {
            // Mostly short, so that many pass for a frame's.
            chip.rx_status.push_back(status & 0xc0ff_ffff);
            chip.rx_data.extend(words);
        }
        let mut card = Lan9118::new(&mut chip, None).unwrap();
        received(&mut card, 200);
        let left = (card.registers.rx_status.len(), card.dropped().resets);
        prop_assert_eq!(left.0, 0);
        if left.1 > 0 && card.registers.rx_data.is_empty() {
            card.registers.deliver(&[3; 61], 0);
            prop_assert_eq!(received(&mut card, 200), [vec![3; 61]]);
        }
    }
}
