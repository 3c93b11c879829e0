//! What the system says of a disk, in words, and what can be done about it.

use std::io::{self, ErrorKind};

/// What happened; `at` says whose disk it is (`" at the receiver"`), if that is not plain.
pub(crate) fn words(cause: &io::Error, at: &str) -> String {
    let what = match cause.kind() {
        ErrorKind::StorageFull => "the disk is full",
        ErrorKind::QuotaExceeded => "the quota is used up",
        ErrorKind::PermissionDenied => "there is no permission to write there",
        ErrorKind::ReadOnlyFilesystem => "the disk is read-only",
        ErrorKind::InvalidFilename => "its name is too long for the disk",
        ErrorKind::FileTooLarge => "it is too large for the disk",
        ErrorKind::NotFound => "its folder is not there",
        _ => return cause.to_string(),
    };
    format!("{what}{at}")
}

/// What to do before the same is done again.
pub(crate) fn next_step(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room",
        ErrorKind::PermissionDenied => "make the output folder yours (chown), or name another one",
        ErrorKind::ReadOnlyFilesystem | ErrorKind::FileTooLarge | ErrorKind::InvalidFilename => {
            "name an output folder on another disk"
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => "look what is in its place",
        _ => "look into the system's log whether the disk is failing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_needs_room() {
        for (kind, step) in [
            (ErrorKind::StorageFull, "room"),
            (ErrorKind::QuotaExceeded, "room"),
            (ErrorKind::ReadOnlyFilesystem, "another disk"),
            (ErrorKind::PermissionDenied, "chown"),
            (ErrorKind::Other, "log"),
        ] {
            assert!(next_step(&kind.into()).contains(step), "{kind:?}");
        }
        assert_eq!(words(&ErrorKind::StorageFull.into(), " there"), "the disk is full there");
    }
}
