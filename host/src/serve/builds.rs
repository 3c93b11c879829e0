//! Trees that are built because a client asked: of each file one at a time, and only as long as somebody waits for it.

use super::shelf::Wanted;
use super::watched::LOOK_EVERY;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The files whose trees are being built.
#[derive(Debug, Default)]
pub(super) struct Builds {
    paths: Mutex<HashSet<PathBuf>>,
    ended: Condvar,
}

impl Builds {
    /// Builds for `path` as soon as nobody else does; `None` if it is not wanted any more before that.
    pub(super) fn one<T>(
        &self,
        path: &Path,
        wanted: Wanted<'_>,
        build: impl FnOnce() -> T,
    ) -> Option<T> {
        let mut paths = self.lock();
        while paths.contains(path) {
            if !wanted() {
                return None;
            }
            paths = self
                .ended
                .wait_timeout(paths, LOOK_EVERY)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        paths.insert(path.to_owned());
        drop(paths);
        let _turn = Turn { builds: self, path };
        Some(build())
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the next one build when it is dropped, by a panic too.
struct Turn<'b> {
    builds: &'b Builds,
    path: &'b Path,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.builds.lock().remove(self.path);
        self.builds.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use core::time::Duration;

    #[test]
    fn one_file_is_built_once_at_a_time_and_who_has_gone_does_not_wait() {
        let (builds, running) = (Builds::default(), AtomicUsize::new(0));
        let build = || {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two at once");
            std::thread::sleep(Duration::from_millis(20));
            running.fetch_sub(1, Ordering::SeqCst);
        };
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| builds.one(Path::new("a"), &|| true, build).unwrap());
            }
        });
        builds.one(Path::new("a"), &|| true, || {
            assert!(builds.one(Path::new("a"), &|| false, || ()).is_none());
            assert!(builds.one(Path::new("b"), &|| true, || ()).is_some(), "another file");
        });
        assert!(builds.lock().is_empty());
    }
}
