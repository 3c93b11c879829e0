//! The properties on random bytes, and on the corpora that fuzzing left behind.

use proptest::prelude::*;
use ropewalk_tests::props::{self, ALL};
use std::fs;
use std::path::Path;

/// So many random inputs, or as many as `PROPTEST_CASES` says.
fn cases(usual: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|number| number.parse().ok());
    ProptestConfig::with_cases(wanted.unwrap_or(usual))
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn codec(data in prop::collection::vec(any::<u8>(), 0..300)) {
        props::codec::check(&data);
    }

    #[test]
    fn reassembly(data in prop::collection::vec(any::<u8>(), 0..400)) {
        props::reassembly::check(&data);
    }

    #[test]
    fn reassembly_against_a_hostile_peer(mut data in prop::collection::vec(any::<u8>(), 1..600)) {
        data[0] = u8::MAX;
        props::reassembly::check(&data);
    }
}

proptest! {
    // Each case shakes hands first, which costs milliseconds.
    #![proptest_config(cases(40))]

    #[test]
    fn datagram(data in prop::collection::vec(any::<u8>(), 0..1_000)) {
        props::datagram::check(&data);
    }

    #[test]
    fn handshake(data in prop::collection::vec(any::<u8>(), 0..200)) {
        props::handshake::check(&data);
    }

    #[test]
    fn pair(data in prop::collection::vec(any::<u8>(), 0..300)) {
        props::pair::check(&data);
    }
}

#[test]
fn the_corpora_hold() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, check) in ALL {
        let folder = corpora.join(name);
        let inputs =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for input in inputs {
            let path = input.expect("readable").path();
            println!("{}", path.display());
            check(&fs::read(&path).expect("readable"));
            count += 1;
        }
        assert!(count > 0, "{} is empty", folder.display());
    }
}
