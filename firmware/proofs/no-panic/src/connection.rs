//! Ranks 3 and 4: the whole face of the core, over memory that may hold anything. The paths'
//! policy is reached through it.

use crate::opaque::{Bytes, Stub, any, arrival, identity, now, see};
use ropewalk_core::config::Config;
use ropewalk_core::connection::{
    Connection, LinkChange, LinkInfo, LinkPolicy, Listener, Memory, Parts, Peer, Route, Small,
    Storage, offered_credit,
};
use ropewalk_core::crypto::Seed;
use ropewalk_core::id::{CostClass, LinkId, Mode, PublicKey, StreamId};
use ropewalk_core::path::Path;
use ropewalk_core::stream::Service;

#[inline(never)]
pub(crate) fn all() {
    let mut memory = Board::new();
    see(offered_credit(&mut Lent(&mut memory)));
    dialer(Lent(any(&mut memory)));
    listener(Lent(any(&mut memory)));
}

/// Memory of unknown size with unknown content. The board's own kind stands behind it.
struct Lent<'m>(&'m mut Board);

type Board = Memory<2, 2, 16, 4_096, 4_096>;

impl Storage for Lent<'_> {
    type Scale = Small;

    fn parts(&mut self) -> Parts<'_> {
        any(self.0.parts())
    }

    fn paths(&self) -> &[Option<Path>] {
        any(self.0.paths())
    }

    fn block_bytes(&self) -> usize {
        any(self.0.block_bytes())
    }
}

fn dialer(memory: Lent<'_>) {
    let peer = any(Peer {
        key: PublicKey([0; 32]),
        psk: [0; 32],
        ticket: None,
        addresses: heapless::Vec::new(),
    });
    let config = any(Config { services: any(&["file"]), ..Config::default() });
    let seed = Seed(any([0; 32]));
    let mut connection: Connection<Lent<'_>, Stub> =
        Connection::connect(config, identity(), peer.clone(), seed, memory, now());
    drive(any(&mut connection));
    see(any(&mut connection).dial(identity(), peer, Seed(any([0; 32])), now()));
}

fn listener(memory: Lent<'_>) {
    let mut memory = memory;
    let (mut datagram, mut scratch) = (Bytes::<1_200>::new(), Bytes::<1_200>::new());
    let offer = offered_credit(&mut memory);
    let seed = Seed(any([0; 32]));
    let mut listener: Listener<Stub, Small> =
        any(Listener::new(identity(), offer, any(true), seed, now()));
    listener.set_accepting(any(true));
    listener.handle_link(LinkId(any(0)), &link());
    let route = any(&mut listener).handle_datagram(
        arrival(),
        datagram.any(),
        &|id| any(id.0 == 0),
        &mut |key, ticket| {
            see((key, ticket));
            any(None)
        },
        scratch.any(),
        now(),
    );
    if let Route::Accept(incoming) = any(route) {
        see((incoming.peer(), incoming.ticket(), incoming.connection_id()));
        let mut spare = Board::new();
        let mut place = Connection::vacant(any(Config::default()), Lent(any(&mut spare)));
        see(any(&mut place).answer(any(&incoming), Seed(any([0; 32])), now()));
        drive(any(&mut place));
        let seed = Seed(any([0; 32]));
        if let Ok(mut connection) =
            Connection::accept(incoming, any(Config::default()), seed, memory, now())
        {
            drive(any(&mut connection));
        }
    }
}

fn link() -> LinkChange {
    any(LinkChange::Up(LinkInfo {
        mtu: 1_500,
        class: CostClass::Wired,
        addresses: heapless::Vec::new(),
        rate: any(Some(11_520)),
        hidden: any(false),
    }))
}

#[inline(never)]
fn drive(connection: &mut Connection<Lent<'_>, Stub>) {
    let mut bytes = Bytes::<1_200>::new();
    connection.handle_link(LinkId(any(0)), link(), now());
    see(any(&mut *connection).handle_datagram(arrival(), bytes.any(), now()));
    see(Connection::<Lent<'_>, Stub>::destination(bytes.any()));
    any(&mut *connection).handle_timeout(now());
    see(any(&mut *connection).poll_transmit(bytes.any(), now()));
    see(any(&mut *connection).poll_timeout());
    see(any(&mut *connection).poll_event());
    streams(any(&mut *connection));
    see(any(&mut *connection).send_datagram(bytes.any()));
    see(any(&mut *connection).recv_datagram(bytes.any()));
    any(&mut *connection).set_mode(any(Mode::Bulk));
    let policy = LinkPolicy { spare: any(false), quota: any(None) };
    see(any(&mut *connection).set_link_policy(LinkId(any(0)), policy, now()));
    any(&mut *connection).close(any(0), any("done"), now());
    looks(any(&mut *connection));
}

fn streams(connection: &mut Connection<Lent<'_>, Stub>) {
    let mut bytes = Bytes::<64>::new();
    if let Some(service) = Service::new(any("file")) {
        see(connection.open(&service));
    }
    let mut stream = any(&mut *connection).stream(StreamId(any(0)));
    see(stream.write(bytes.any()));
    see(any(&mut stream).finish());
    see(any(&mut stream).read(bytes.any()));
    see(any(&mut stream).peek());
    any(&mut stream).consume(any(0));
    any(&mut stream).stop(any(0));
    any(&mut stream).reset(any(0));
}

fn looks(connection: &mut Connection<Lent<'_>, Stub>) {
    connection.paths().for_each(see);
    see((connection.id(), connection.side(), connection.peer(), connection.mode()));
    see(any(&mut *connection).forget_memory());
    see((connection.is_connected(), connection.is_drained(), connection.stats()));
    see((connection.wants_memory(), connection.forget_memory(), connection.datagram_max()));
    see((connection.link_used(LinkId(any(0))), connection.link_policy(LinkId(any(0)))));
    see(connection.storage_mut().block_bytes());
}
