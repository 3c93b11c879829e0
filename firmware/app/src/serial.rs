//! A serial line as a link: point to point, without addresses.

use crate::link::{Link, NotSent, Received};
use core::net::IpAddr;
use embedded_io::{Read, ReadReady, Write, WriteReady};
use heapless::Vec;
use ropewalk_core::connection::LinkInfo;
use ropewalk_core::id::{Address, CostClass};
use ropewalk_core::time::Instant;
use ropewalk_drivers::serial::SerialLine;

/// Datagrams over the UART `U`. The line is up as long as the board is: whether somebody listens at
/// its other end is for the core's probes to find out.
pub struct Serial<'m, U> {
    name: &'static str,
    mtu: u16,
    rate: u32,
    line: SerialLine<'m, U>,
    told: bool,
}

impl<'m, U: Read + ReadReady + Write + WriteReady> Serial<'m, U> {
    /// A line of `bits_per_second`, each byte taking ten of them, whose datagrams have at most
    /// `mtu` bytes.
    pub const fn new(
        name: &'static str,
        mtu: u16,
        bits_per_second: u32,
        line: SerialLine<'m, U>,
    ) -> Self {
        Self { name, mtu, rate: bits_per_second / 10, line, told: false }
    }

    /// The line, for its counters.
    pub const fn line(&mut self) -> &mut SerialLine<'m, U> {
        &mut self.line
    }
}

impl<U: Read + ReadReady + Write + WriteReady> Link for Serial<'_, U> {
    fn name(&self) -> &str {
        self.name
    }

    fn poll(&mut self, _: Instant) -> bool {
        self.line.pump();
        !core::mem::replace(&mut self.told, true)
    }

    fn report(&self) -> Option<LinkInfo> {
        let addresses = Vec::from_iter([Address::Serial]);
        Some(LinkInfo {
            rate: Some(self.rate),
            mtu: self.mtu,
            class: CostClass::Wired,
            addresses,
            hidden: false,
        })
    }

    fn send(
        &mut self,
        datagram: &[u8],
        _: Option<IpAddr>,
        remote: &Address,
    ) -> Result<(), NotSent> {
        if *remote != Address::Serial {
            return Err(NotSent::Unreachable);
        }
        self.line.send(datagram).map_err(|_| NotSent::Full)
    }

    fn receive(&mut self, into: &mut [u8]) -> Option<Received> {
        let len = self.line.receive(into)?;
        Some(Received { len, local: None, remote: Address::Serial })
    }
}
