//! `ropewalk manifest`: the hashes of a file or folder in a small file, to lie beside a mirror.

use super::args;
use super::exit::{Code, Failure};
use super::hashing::{self, Hashing};
use super::interrupt::Interrupt;
use super::report::{Line, Report};
use crate::content::catalog::Item;
use crate::content::offer::{Noticed, Offer, OfferError};
use crate::content::sidecar::{self, SidecarError};
use crate::home::Home;
use crate::human;
use crate::transfer::walk;
use core::sync::atomic::{AtomicBool, Ordering};
use std::path::Path;
use std::sync::Arc;

/// `ropewalk manifest`.
///
/// # Errors
/// When the file or folder cannot be read, or something that is not ours stands in the way.
pub async fn manifest(
    args: args::Manifest,
    report: Arc<Report>,
    mut interrupt: Interrupt,
) -> Result<Code, Failure> {
    let home = Home::from_environment()?;
    let making = Making::new(report);
    let hashing = Arc::clone(&making.hashing);
    hashing.run(&mut interrupt, move || making.make(&args, &home)).await
}

/// A manifest under way.
struct Making {
    report: Arc<Report>,
    hashing: Arc<Hashing>,
    has_failed: AtomicBool,
}

impl Making {
    fn new(report: Arc<Report>) -> Self {
        let hashing = Arc::new(Hashing::new(&report));
        Self { report, hashing, has_failed: AtomicBool::new(false) }
    }

    fn make(&self, args: &args::Manifest, home: &Home) -> Result<Code, Failure> {
        let path = &args.path;
        let cannot_read = |error: OfferError| match error {
            OfferError::Stopped => Interrupt::failure(),
            error => {
                let path = path.display();
                let text =
                    format!("cannot read {path}: {error}; name a file or folder that you may read");
                Failure::new(Code::Failed, text)
            }
        };
        let place = match &args.out {
            Some(out) => out.clone(),
            None => sidecar::place_of(path).map_err(|error| cannot_read(error.into()))?,
        };
        let cannot_write = |error| cannot_write(&place, error);
        // Before hours of reading, not after them.
        sidecar::check_place(&place).map_err(cannot_write)?;
        let trees = hashing::open_trees(home)?;
        self.hashing.expect(walk::measure(path).1);
        let watch = |noticed: Noticed<'_>| self.notice(noticed);
        let offer = Offer::make(path, &trees, &watch).map_err(cannot_read)?;
        let length = sidecar::save(&offer, &trees, &place, &watch).map_err(cannot_write)?;
        self.tell(offer.item(), &place, length);
        let failed = self.has_failed.load(Ordering::Relaxed);
        Ok(if failed { Code::Failed } else { Code::Done })
    }

    fn notice(&self, noticed: Noticed<'_>) -> bool {
        self.hashing.notice(noticed, |path, reason, failed| {
            self.has_failed.fetch_or(failed, Ordering::Relaxed);
            self.report.line(&Line::LeftOut { path, reason });
        })
    }

    fn tell(&self, item: &Item, place: &Path, manifest_bytes: u64) {
        let bytes = item.bytes();
        let (root, file) = (item.root().to_hex(), place.display().to_string());
        self.report.show(&root);
        self.report.line(&Line::Manifest {
            file: &file,
            name: item.name(),
            root: root.to_string(),
            bytes,
            manifest_bytes,
        });
        let (name, length) = (item.name(), human::bytes(manifest_bytes));
        self.report.say(&format!(
            "{file} ({length}) holds the hashes; put it beside {name} on a web server, as {name}{}",
            sidecar::SUFFIX
        ));
    }
}

fn cannot_write(place: &Path, error: SidecarError) -> Failure {
    let place = place.display();
    let text = match error {
        SidecarError::Offer(OfferError::Stopped) => return Interrupt::failure(),
        SidecarError::PlaceTaken => format!(
            "{place} holds something else, and stays as it is; name another file with --out"
        ),
        SidecarError::Changed(path) => {
            format!("{path} changed while it was read; say it again when nobody writes to it")
        }
        SidecarError::Io(error) => {
            format!("cannot write {place}: {error}; name another file with --out")
        }
        error => {
            format!("cannot write {place}: {error}; say it again, or name another file with --out")
        }
    };
    Failure::new(Code::Failed, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn making() -> Making {
        Making::new(Arc::new(Report::plain()))
    }

    #[test]
    fn it_lands_beside_its_file_and_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        let path = folder.path().join("film");
        std::fs::write(&path, vec![7; 3 << 20]).unwrap();
        let args = args::Manifest { path: path.clone(), out: None, json: false };
        for _ in 0..2 {
            assert_eq!(making().make(&args, &home).unwrap(), Code::Done);
        }
        let opened = std::fs::File::open(folder.path().join("film.ropewalk")).unwrap();
        let sidecar = sidecar::Sidecar::open(opened).unwrap();
        assert_eq!(sidecar.item().root(), blake3::hash(&vec![7; 3 << 20]));
    }

    #[test]
    fn what_stands_in_the_way_is_named_before_anything_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        std::fs::write(folder.path().join("film"), "film").unwrap();
        std::fs::write(folder.path().join("film.ropewalk"), "a diary").unwrap();
        let path = folder.path().join("film");
        let args = args::Manifest { path, out: None, json: false };
        let failure = making().make(&args, &home).unwrap_err();
        assert!(failure.message.contains("film.ropewalk") && failure.message.contains("--out"));
        assert!(!home.trees().exists());
        let args = args::Manifest { path: folder.path().join("no"), out: None, json: false };
        let failure = making().make(&args, &home).unwrap_err();
        assert!(failure.message.contains("/no: "), "{}", failure.message);
    }

    #[test]
    fn ctrl_c_stops_it_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        std::fs::write(folder.path().join("film"), vec![7; 3 << 20]).unwrap();
        let making = making();
        making.hashing.stop();
        let path = folder.path().join("film");
        let args = args::Manifest { path, out: None, json: false };
        assert_eq!(making.make(&args, &home).unwrap_err().code, Code::Interrupted);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
