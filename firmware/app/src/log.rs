//! Logging that is defmt on a board, and nothing at all in tests on a host.

macro_rules! say {
    ($level:ident, $($word:expr),+) => {{
        #[cfg(feature = "defmt")]
        defmt::$level!($($word),+);
        #[cfg(not(feature = "defmt"))]
        { let _ = ($(&$word),+); }
    }};
}

pub(crate) use say;
