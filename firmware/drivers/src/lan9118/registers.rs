//! The LAN9118's registers and bits, as its data sheet names them (SMSC LAN9118, chapter 5).

/// Data and status queues, and the registers that the processor reaches at once.
pub(super) const RX_DATA: u8 = 0x00;
pub(super) const TX_DATA: u8 = 0x20;
pub(super) const RX_STATUS: u8 = 0x40;
pub(super) const TX_STATUS: u8 = 0x48;
pub(super) const ID_REV: u8 = 0x50;
pub(super) const INT_STS: u8 = 0x58;
pub(super) const INT_EN: u8 = 0x5c;
pub(super) const BYTE_TEST: u8 = 0x64;
pub(super) const RX_CFG: u8 = 0x6c;
pub(super) const TX_CFG: u8 = 0x70;
pub(super) const HW_CFG: u8 = 0x74;
pub(super) const RX_FIFO_INF: u8 = 0x7c;
pub(super) const TX_FIFO_INF: u8 = 0x80;
pub(super) const RX_DROP: u8 = 0xa0;
pub(super) const MAC_CSR_CMD: u8 = 0xa4;
pub(super) const MAC_CSR_DATA: u8 = 0xa8;
pub(super) const E2P_CMD: u8 = 0xb0;

/// What `BYTE_TEST` holds once the chip answers in the right byte order.
pub(super) const BYTE_TEST_VALUE: u32 = 0x8765_4321;

/// `INT_STS`: the receiver or the transmitter got out of step and stands still; receiving ended.
pub(super) const RXE: u32 = 1 << 14;
pub(super) const TXE: u32 = 1 << 13;
pub(super) const RXSTOP: u32 = 1 << 24;

/// `RX_CFG`, `TX_CFG`: empty the queues; the transmitter runs.
pub(super) const RX_DUMP: u32 = 1 << 15;
pub(super) const TX_DUMP: u32 = 0b11 << 14;
pub(super) const TX_ON: u32 = 1 << 1;

/// `HW_CFG`: reset; the bit that must be one, and 5 KiB of the memory for sending.
pub(super) const SRST: u32 = 1;
pub(super) const HW_CFG_VALUE: u32 = 1 << 20 | 5 << 16;

/// `RX_STATUS`: the address filter let it pass by mistake; something was wrong with it.
pub(super) const RX_FILTERED: u32 = 1 << 30;
pub(super) const RX_ERROR: u32 = 1 << 15;

/// `TX_STATUS`: the frame did not get out.
pub(super) const TX_ERROR: u32 = 1 << 15;

/// First word in front of a frame to send: it is one piece.
pub(super) const TX_WHOLE: u32 = 1 << 13 | 1 << 12;

/// `MAC_CSR_CMD`, `E2P_CMD`: under way; a register of the MAC is to be read.
pub(super) const BUSY: u32 = 1 << 31;
pub(super) const MAC_READ: u32 = 1 << 30;

/// Registers of the MAC, reached through `MAC_CSR_CMD`.
pub(super) const MAC_CR: u32 = 1;
pub(super) const MAC_ADDRH: u32 = 2;
pub(super) const MAC_ADDRL: u32 = 3;
pub(super) const MII_ACC: u32 = 6;
pub(super) const MII_DATA: u32 = 7;

/// `MAC_CR`: full duplex; every multicast frame is let in (IPv6 finds neighbours by them); run.
pub(super) const FULL_DUPLEX: u32 = 1 << 20;
pub(super) const MULTICAST: u32 = 1 << 19;
pub(super) const RUN_TX: u32 = 1 << 3;
pub(super) const RUN_RX: u32 = 1 << 2;

/// `MII_ACC`: the PHY inside the chip; write instead of read; under way.
pub(super) const PHY: u32 = 1 << 11;
pub(super) const MII_WRITE: u32 = 1 << 1;
pub(super) const MII_BUSY: u32 = 1;

/// Registers of the PHY (IEEE 802.3 clause 22), reached through `MII_ACC`.
pub(super) const PHY_CONTROL: u32 = 0;
pub(super) const PHY_STATUS: u32 = 1;
pub(super) const PHY_PARTNER: u32 = 5;

/// `PHY_CONTROL`: settle speed and duplex with the other end, anew.
pub(super) const NEGOTIATE: u32 = 1 << 12 | 1 << 9;
/// `PHY_STATUS`: the link is up. A real PHY holds a zero until it was read once.
pub(super) const LINK_UP: u32 = 1 << 2;
