//! One small error enum per verb. A variant says what happened to *our* state; what a peer does
//! wrong is never the caller's error but a counted [`Discard`].

use core::fmt;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)+ })
            }
        }

        impl core::error::Error for $name {}
    )+};
}

errors! {
    /// Why a datagram was dropped. Nothing changed but a counter.
    Discard {
        /// Its seal does not open.
        Forged => "the datagram's seal does not open",
        /// It is not a datagram of this protocol, or breaks its rules.
        Malformed => "the datagram breaks the protocol's rules",
        /// It was received before, or is too old to tell.
        Replayed => "the datagram was received before",
        /// It came over a link that was never reported up.
        UnknownLink => "the link is unknown",
        /// It names a connection that is not here.
        UnknownConnection => "the connection is unknown",
        /// Its sender is not known and has no valid ticket.
        Stranger => "the sender is not known",
        /// A fixed table is full; the peer will send it again.
        NoRoom => "a table is full",
        /// It came at a moment at which it means nothing.
        Unexpected => "the datagram means nothing now",
    }

    /// Why a stream could not be opened. Nothing changed.
    OpenError {
        /// The handshake is not done yet.
        NotConnected => "the connection is not established yet",
        /// The peer allows no more streams for now, or our table is full.
        TooMany => "no more streams for now",
        /// A service's name has 1 to 32 bytes.
        ServiceName => "a service's name has 1 to 32 bytes",
        /// The connection is closed.
        Closed => "the connection is closed",
    }

    /// Why bytes were not taken for sending. None were.
    WriteError {
        /// No memory or credit; `StreamWritable` will tell.
        Blocked => "the stream takes no bytes for now",
        /// The stream was finished or reset by us.
        Finished => "the stream is finished",
        /// The peer asked us to stop.
        Stopped => "the peer stopped the stream",
        /// There is no such stream.
        Unknown => "there is no such stream",
    }

    /// Why no bytes were read.
    ReadError {
        /// None are there; `StreamReadable` will tell.
        Blocked => "no bytes are there yet",
        /// All were read.
        Finished => "the stream has ended",
        /// The peer gave the stream up.
        Reset => "the peer reset the stream",
        /// There is no such stream.
        Unknown => "there is no such stream",
    }

    /// Why a datagram (an unreliable message) was not taken for sending.
    SendError {
        /// Longer than a packet.
        TooLong => "the message is longer than a packet",
        /// The queue is full; try again after the next transmit.
        Full => "the queue is full",
        /// Not connected.
        Closed => "the connection is not open",
    }

    /// Why an incoming connection was not taken. It was dropped.
    AcceptError {
        /// The storage is too small for the credit that the protocol needs.
        StorageTooSmall => "the storage is too small",
        /// The place holds a connection that has not drained.
        InUse => "the place is in use",
    }
}

/// Codes that the core itself sends in Reset, Stop and Close (`docs/protocol.md` section 8.4).
/// Applications use codes from 0x100 up.
pub mod code {
    /// No error: done.
    pub const DONE: u32 = 0;
    /// The peer broke the protocol.
    pub const PROTOCOL: u32 = 1;
    /// The stream asks for a service that is not offered.
    pub const UNKNOWN_SERVICE: u32 = 2;
}
