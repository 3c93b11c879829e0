//! What a board must survive.
