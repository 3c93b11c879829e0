//! Rank 2: the handshake on any messages, and the keys' bookkeeping.

use crate::opaque::{Bytes, Stub, any, arrival, identity, now, random, see};
use ropewalk_core::crypto::{
    CookieJar, Identity, Initiator, PacketKeys, ReplayWindow, Secrets, responder,
};
use ropewalk_core::id::{ConnectionId, PathId, PublicKey, Side};
use ropewalk_core::packet_number::PacketNumber;
use ropewalk_core::wire::{Credit, Hello, Suite};

#[inline(never)]
pub(crate) fn all() {
    initiator();
    responds();
    cookies();
    keys();
    replay();
    see(Identity::new::<Stub>(any([0; 32])));
    let mut random = random();
    let mut bytes = Bytes::<64>::new();
    random.fill(bytes.any());
    see((random.u32(), random.u64(), random.below(any(0)), random.bytes::<5>()));
    see(random.fork());
}

fn initiator() {
    let mut bytes = Bytes::<600>::new();
    let Some(hello) = any(Hello::decode(bytes.any())) else { return };
    let peer = PublicKey(any([0; 32]));
    let (psk, id) = (any([0; 32]), ConnectionId(any(0)));
    let initiator: Initiator<Stub> =
        Initiator::new(&identity(), peer, &psk, id, &hello, any(0), &mut random());
    let initiator = any(initiator);
    see(initiator.write(any(None), bytes.any()));
    see(initiator.write(any(Some(&[0; 16])), bytes.any()));
    see(initiator.read_cookie(bytes.any()));
    see(initiator.read_response(bytes.any()).is_ok());
}

fn responds() {
    let mut bytes = Bytes::<600>::new();
    see(responder::check::<Stub>(&PublicKey(any([0; 32])), bytes.any()));
    see(responder::ephemeral(bytes.any()));
    let Ok(request) = any(responder::read_initiation::<Stub>(&identity(), bytes.any())) else {
        return;
    };
    let credit = any(Credit { data: 0, stream_data: 0, streams: 0 });
    let id = ConnectionId(any(0));
    let answer = request.respond(&any([0; 32]), id, credit, any(&[]), &mut random(), bytes.any());
    see(answer.is_ok());
}

fn cookies() {
    let mut bytes = Bytes::<64>::new();
    let mut room = Bytes::<64>::new();
    let mut jar = any(CookieJar::<Stub>::new(&mut random(), now()));
    let at = arrival();
    see(jar.make(&at.remote, at.link, now()));
    see(any(&mut jar).verify(bytes.any(), &at.remote, at.link, now()));
    let our = PublicKey(any([0; 32]));
    see(any(&mut jar).reply(&our, bytes.any(), &at.remote, at.link, room.any(), now()));
}

fn keys() {
    let mut header = Bytes::<64>::new();
    let mut bytes = Bytes::<64>::new();
    let secrets = any(Secrets {
        side: Side::Dialer,
        send: [0; 32],
        receive: [0; 32],
        suite: Suite::Aes256Gcm,
    });
    let mut keys = any(PacketKeys::<Stub>::new(&secrets));
    let (path, number, tag) = (PathId(any(0)), PacketNumber(any(0)), any([0; 16]));
    see(keys.seal(path, number, header.any(), bytes.any()));
    let opened = any(&mut keys).open(
        any(true),
        path,
        number,
        any(true),
        header.any(),
        bytes.any(),
        &tag,
        now(),
    );
    see(opened.is_ok());
    let keys = any(&mut keys);
    see((keys.phase(), keys.epoch(), keys.wants_change(any(0)), keys.left(), keys.deadline()));
    see(keys.change());
    any(&mut *keys).on_changed_keep_until(now());
    any(&mut *keys).forget_old(now());
}

fn replay() {
    let mut window = any(ReplayWindow::new());
    see(window.check(PacketNumber(any(0))));
    any(&mut window).record(PacketNumber(any(0)));
    see(any(&mut window).highest());
}
