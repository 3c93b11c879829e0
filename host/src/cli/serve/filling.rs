//! What is to be offered is read once and put on a shelf, and meanwhile it is drawn how far that got.

use super::super::exit::{Code, Failure};
use super::super::interrupt::Interrupt;
use super::super::progress::Progress;
use super::super::report::Report;
use crate::content::catalog::CatalogError;
use crate::content::offer::{Noticed, Offer};
use crate::content::outboard::Trees;
use crate::home::Home;
use crate::serve::shelf::{Shelf, ShelfError};
use core::fmt::Display;
use core::sync::atomic::{AtomicBool, Ordering};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A shelf, and what is not on it.
pub(super) struct Filled {
    /// What is offered.
    pub(super) shelf: Shelf,
    /// Path and reason of what a folder holds and is not offered. It was told to people, not to programs.
    pub(super) left_out: Vec<(String, String)>,
}

/// Reads what has no tree yet. Ctrl-C ends it.
pub(super) async fn fill(
    paths: Vec<PathBuf>,
    home: &Home,
    report: &Arc<Report>,
    interrupt: &mut Interrupt,
) -> Result<Filled, Failure> {
    let progress = Arc::new(Progress::new(Arc::clone(report), None, Box::new(Vec::new)));
    let stopped = Arc::new(AtomicBool::new(false));
    let filling = Filling {
        trees: home.trees(),
        report: Arc::clone(report),
        progress: Arc::clone(&progress),
        stopped: Arc::clone(&stopped),
        left_out: Mutex::default(),
    };
    let mut filling = tokio::task::spawn_blocking(move || filling.fill(&paths));
    tokio::select! {
        filled = progress.while_drawing(&mut filling) => {
            filled.map_err(|error| Failure::new(Code::Failed, error))?
        }
        () = interrupt.pressed() => {
            stopped.store(true, Ordering::Relaxed);
            // It stops within a chunk, and takes what it had begun to write with it.
            let _ = filling.await;
            Err(Interrupt::failure())
        }
    }
}

struct Filling {
    trees: PathBuf,
    report: Arc<Report>,
    progress: Arc<Progress>,
    stopped: Arc<AtomicBool>,
    left_out: Mutex<Vec<(String, String)>>,
}

impl Filling {
    fn fill(self, paths: &[PathBuf]) -> Result<Filled, Failure> {
        let trees = Trees::open(&self.trees).map_err(|cause| {
            let trees = self.trees.display();
            let text = format!(
                "cannot keep hashes in {trees}: {cause}; set ROPEWALK_HOME to another folder"
            );
            Failure::new(Code::Failed, text)
        })?;
        let mut shelf = Shelf::new(trees.clone());
        for path in paths {
            shelf.add(self.make(path, &trees)?).map_err(|why| match why {
                ShelfError::Catalog(CatalogError::NameTaken) => cannot(
                    path,
                    &format!("{why}; rename one, or start another `ropewalk serve` for it"),
                ),
                why => cannot(path, &why),
            })?;
        }
        let left_out = self.left_out.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Filled { shelf, left_out })
    }

    fn make(&self, path: &Path, trees: &Trees) -> Result<Offer, Failure> {
        // In a folder that is offered one that cannot be read is left out; not so the whole.
        if path.is_dir() {
            path.read_dir().map_err(|why| cannot(path, &why))?;
        }
        let watch = |noticed: Noticed<'_>| {
            match noticed {
                Noticed::Hashed(bytes) => self.progress.moved(bytes),
                Noticed::LeftOut { path, reason, .. } => {
                    self.report.say(&format!("left out: {path}: {reason}"));
                    let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
                    left_out.push((path.to_owned(), reason.to_owned()));
                }
            }
            !self.stopped.load(Ordering::Relaxed)
        };
        Offer::make(path, trees, &watch).map_err(|why| cannot(path, &why))
    }
}

fn cannot(path: &Path, why: &dyn Display) -> Failure {
    let path = path.display();
    let text = format!("cannot offer {path}: {why}; correct that, or leave {path} out");
    Failure::new(Code::Failed, text)
}
