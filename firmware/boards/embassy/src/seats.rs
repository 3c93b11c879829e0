//! The static memory of a node and of its connections.

use crate::{now, place};
use ropewalk_app::node::Node;
use ropewalk_app::seat::Place;
use ropewalk_app::start::Started;
use ropewalk_core::connection::Storage;
use static_cell::{ConstStaticCell, StaticCell};

/// Room for `SEATS` connections at once, each in a `Room`, and for the node that has them.
pub struct Seats<Room: 'static, const SEATS: usize>
where
    &'static mut Room: Storage,
{
    rooms: [ConstStaticCell<Room>; SEATS],
    places: [StaticCell<Place<&'static mut Room>>; SEATS],
    node: StaticCell<Node<&'static mut Room>>,
}

impl<Room, const SEATS: usize> Seats<Room, SEATS>
where
    &'static mut Room: Storage,
{
    /// Seats in these rooms. Rooms of zeros cost no flash.
    #[must_use]
    pub const fn new(rooms: [ConstStaticCell<Room>; SEATS]) -> Self {
        let places = [const { StaticCell::new() }; SEATS];
        Self { rooms, places, node: StaticCell::new() }
    }

    /// The node, in its place.
    ///
    /// # Panics
    /// When called a second time.
    pub fn node(&'static self, started: Started) -> &'static mut Node<&'static mut Room> {
        let rooms = self.places.iter().zip(self.rooms.iter().map(ConstStaticCell::take));
        let places = rooms.map(|(cell, room)| place(cell, || Place::new(room)));
        place(&self.node, || Node::new(started, places, now()))
    }
}
