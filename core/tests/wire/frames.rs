//! Frames that a node means to send: the bytes are postcard's, and come back as the same value.

use super::any::{self, Owned};
use super::{decoded, encoded, mirror};
use proptest::collection::vec;
use proptest::prelude::*;
use ropewalk_core::id::{Address, CostClass, LinkId, StreamId};
use ropewalk_core::wire::{
    Advertised, Frame, Frames, Malformed, OFFSET_MAX, Writer, stream_head_len,
};

proptest! {
    // spec: 1.2-1
    // spec: 6.1-1
    #[test]
    fn every_frame_is_postcards_and_comes_back(owned in any::frame(true)) {
        let frame = owned.frame();
        let bytes = encoded(&frame);
        prop_assert_eq!(&bytes, &mirror::frame(&frame));
        prop_assert_eq!(decoded(&bytes), Ok(vec![frame]));
    }

    #[test]
    fn a_packet_of_frames_comes_back_in_order(
        sized in vec(any::frame(false), 0..8),
        last in any::frame(true),
    ) {
        let all: Vec<Frame<'_>> = sized.iter().chain([&last]).map(Owned::frame).collect();
        let payload: Vec<u8> = all.iter().flat_map(encoded).collect();
        let mut expected = all;
        expected.dedup_by(|a, b| *a == Frame::Padding && *b == Frame::Padding);
        prop_assert_eq!(decoded(&payload), Ok(expected));
    }

    // spec: 6.1-2
    #[test]
    fn a_frame_that_is_cut_short_is_malformed(owned in any::frame(true), cut: prop::sample::Index) {
        let frame = owned.frame();
        let bytes = encoded(&frame);
        let cut = cut.index(bytes.len());
        prop_assume!(cut > 0);
        // Raw data may end anywhere: only the frame's head can be cut.
        let head = match &frame {
            Frame::Stream { data, .. }
            | Frame::Datagram { data }
            | Frame::Symbol { contents: data, .. }
            | Frame::Repair { data, .. } => bytes.len() - data.len(),
            _ => bytes.len(),
        };
        let uneven = match &frame {
            Frame::Repair { sums, .. } => cut > head && (cut - head) % usize::from(*sums) != 0,
            _ => false,
        };
        prop_assert_eq!(decoded(&bytes[..cut]).is_err(), cut < head || uneven);
    }

    #[test]
    fn a_frame_that_does_not_fit_leaves_nothing_behind(owned in any::frame(true), room: prop::sample::Index) {
        let frame = owned.frame();
        let len = encoded(&frame).len();
        let mut bytes = vec![0; 3 + room.index(len)];
        let mut writer = Writer::new(&mut bytes);
        writer.put_bytes(b"abc").unwrap();
        prop_assert!(frame.encode(&mut writer).is_err());
        prop_assert_eq!(writer.as_slice(), b"abc");
    }

    #[test]
    fn a_stream_frames_head_is_as_long_as_promised(stream: u32, offset in 0..OFFSET_MAX, fin: bool, raw: bool, len in 0_usize..200) {
        let stream = StreamId(stream);
        let data = vec![7; len];
        let mut bytes = [0; 256];
        let mut writer = Writer::new(&mut bytes);
        Frame::encode_stream_head(&mut writer, stream, offset, fin, raw, len).unwrap().copy_from_slice(&data);
        let whole = if raw {
            prop_assert_eq!(writer.len(), stream_head_len(stream, offset) + len);
            Frame::Stream { stream, offset, fin, data: &data }
        } else {
            Frame::StreamSized { stream, offset, fin, data: &data }
        };
        prop_assert_eq!(writer.as_slice(), &encoded(&whole)[..]);
    }
}

#[test]
fn only_padding_acknowledgements_and_close_ask_for_no_acknowledgement() {
    let ack = [2, 0, 9, 0, 0, 0];
    let quiet =
        [Frame::Padding, Frame::Close { code: 0, reason: "" }, decoded(&ack).unwrap().remove(0)];
    assert!(quiet.iter().all(|frame| !frame.is_ack_eliciting()));
    let asking = [
        Frame::Ping,
        Frame::Response { token: 1 },
        Frame::MaxData { bytes: 1 },
        Frame::Datagram { data: b"" },
        Frame::StreamSized { stream: StreamId(0), offset: 0, fin: false, data: b"" },
    ];
    assert!(asking.iter().all(Frame::is_ack_eliciting));
}

#[test]
fn a_run_of_zeros_is_one_padding_frame() {
    // spec: 6.2-1
    assert_eq!(decoded(&[0; 1_000]), Ok(vec![Frame::Padding]));
    assert_eq!(decoded(&[0, 0, 1, 0]), Ok(vec![Frame::Padding, Frame::Ping, Frame::Padding]));
    assert_eq!(decoded(&[]), Ok(vec![]));
}

#[test]
fn offsets_stay_below_two_to_the_62() {
    // spec: 6.5-1
    let stream = StreamId(0);
    let last = OFFSET_MAX - 3;
    for sized in [false, true] {
        let frame = |offset, data| match sized {
            false => Frame::Stream { stream, offset, fin: false, data },
            true => Frame::StreamSized { stream, offset, fin: false, data },
        };
        assert_eq!(decoded(&encoded(&frame(last, b"ab"))), Ok(vec![frame(last, b"ab")]));
        assert_eq!(decoded(&encoded(&frame(last, b"abc"))), Err(Malformed));
        assert_eq!(decoded(&encoded(&frame(u64::MAX, b"abc"))), Err(Malformed));
    }
    let reset = |final_offset| Frame::Reset { stream, code: 0, final_offset };
    assert!(decoded(&encoded(&reset(OFFSET_MAX - 1))).is_ok());
    assert_eq!(decoded(&encoded(&reset(OFFSET_MAX))), Err(Malformed));
}

#[test]
fn what_lies_outside_a_types_values_is_malformed() {
    // spec: 1.2-3
    // spec: 6.1-2
    let refused: [(&str, &[u8]); 12] = [
        ("a frame type beyond the last", &[20]),
        ("a boolean of two", &[3, 0, 0, 2]),
        ("a class beyond the last", &[12, 1, 0, 4]),
        ("a status beyond the last", &[14, 0, 0, 3]),
        ("a mode beyond the last", &[16, 0, 5]),
        ("an address of a third kind", &[15, 0, 1, 0, 0, 2]),
        ("an IP address of a third family", &[15, 0, 1, 0, 0, 0, 2]),
        ("a port of 65,536", &[15, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 0x80, 0x80, 4]),
        ("a stream number of 33 bits", &[6, 0x80, 0x80, 0x80, 0x80, 0x10, 0]),
        ("a reason that is not UTF-8", &[17, 0, 1, 0xff]),
        ("a length beyond the packet's end", &[4, 0, 0, 0, 4, 1, 2, 3]),
        ("a length of 64 bits", &[11, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
    ];
    for (what, bytes) in refused {
        assert_eq!(decoded(bytes), Err(Malformed), "{what}");
    }
}

#[test]
fn a_list_of_addresses_has_sixteen_at_most() {
    // spec: 6.9-1
    let one = [3, 1, 1];
    let list = |count: u8| [&[15, 7, count], &one.repeat(count.into())[..]].concat();
    let expected =
        Advertised { link: LinkId(3), class: CostClass::Wireless, address: Address::Serial };
    let expected = [expected; 16];
    let addresses = (&expected[..]).into();
    assert_eq!(decoded(&list(16)), Ok(vec![Frame::Advertise { sequence: 7, addresses }]));
    assert_eq!(decoded(&list(17)), Err(Malformed));
}

#[test]
fn acknowledged_ranges_go_down_and_stay_above_zero() {
    // spec: 6.4-1
    // spec: 6.4-2
    let ranges = |bytes: &[u8]| match decoded(bytes).as_deref() {
        Ok([Frame::Ack(ack)]) => Some(ack.iter().collect::<Vec<_>>()),
        _ => None,
    };
    // Path 0, largest 9, no delay, one more number below it, and then pairs of gap and length.
    assert_eq!(ranges(&[2, 0, 9, 0, 1, 0]), Some(vec![8..=9]));
    assert_eq!(ranges(&[2, 0, 9, 0, 1, 1, 0, 2]), Some(vec![8..=9, 4..=6]));
    assert_eq!(ranges(&[2, 0, 9, 0, 1, 1, 4, 2]), Some(vec![8..=9, 0..=2]));
    assert_eq!(ranges(&[2, 0, 9, 0, 9, 0]), Some(vec![0..=9]));
    assert_eq!(ranges(&[2, 0, 9, 0, 10, 0]), None);
    assert_eq!(ranges(&[2, 0, 9, 0, 1, 1, 5, 2]), None);
    assert_eq!(ranges(&[2, 0, 9, 0, 9, 1, 0, 0]), None);
    let many =
        |count: u8| [&[2, 0, 0x80, 1, 0, 0, count], &[0; 2].repeat(count.into())[..]].concat();
    assert_eq!(ranges(&many(31)).map(|ranges| ranges.len()), Some(32));
    assert_eq!(ranges(&many(32)), None);
}

#[test]
fn nothing_comes_after_a_malformed_frame() {
    let mut frames = Frames::new(&[1, 20, 1, 1]);
    assert_eq!(frames.next(), Some(Ok(Frame::Ping)));
    assert_eq!(frames.next(), Some(Err(Malformed)));
    assert_eq!(frames.next(), None);
}
