//! ropewalk on PCs.
