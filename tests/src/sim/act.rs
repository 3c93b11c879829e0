//! What is done to the world while it runs.

use super::net::LinkSpec;
use ropewalk_core::id::Mode;
use ropewalk_core::time::Duration;

/// Something that is done to the world at a given moment.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Both directions of a link swallow everything.
    Cut(usize),
    /// Only the direction away from this node does.
    CutFrom(u8, usize),
    /// The same as [`Act::Cut`], and what is under way is lost with it: a cable is pulled out.
    Sever(usize),
    /// The link works again, both ways.
    Heal(usize),
    /// Both directions hold back for so long what is under way and what comes: a Wi-Fi's habit.
    Stall(usize, Duration),
    /// The link becomes like this.
    Change(usize, LinkSpec),
    /// The node's interface goes away.
    LinkDown(u8, usize),
    /// The node's interface comes (back).
    LinkUp(u8, usize),
    /// The node's interface gets another address, and the node knows.
    Readdress(u8, usize),
    /// A translator before the node's link forgets it: from now on what it sends comes from
    /// another port, or from another host, and nothing sent to the old address gets through.
    Rebind {
        /// Whose.
        node: u8,
        /// Which link.
        link: usize,
        /// Another host, not only another port.
        host: bool,
    },
    /// The dialer wants the paths used like this.
    SetMode(Mode),
    /// The responder loses all its state.
    Restart,
}
