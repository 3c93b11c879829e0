//! Whether a connection keeps the rules of `docs/protocol.md`, as its peer sees it: each test plays
//! the peer by hand and says what an honest one would never say, or listens to every frame.

mod acknowledgements;
mod closing;
mod paths;
mod puppet;
mod repair;
mod restarts;
mod streams;
