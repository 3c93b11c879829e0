//! What is to be offered is read once and put on a shelf.

use super::super::exit::{Code, Failure};
use super::super::hashing::{self, Hashing};
use super::super::interrupt::Interrupt;
use super::super::report::Report;
use crate::content::catalog::CatalogError;
use crate::content::offer::{Noticed, Offer, OfferError};
use crate::content::outboard::Trees;
use crate::home::Home;
use crate::serve::shelf::{Shelf, ShelfError};
use core::fmt::Display;
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
    let hashing = Arc::new(Hashing::new(report));
    let (home, watching) = (home.clone(), Arc::clone(&hashing));
    hashing.run(interrupt, move || fill_shelf(&paths, &home, &watching)).await
}

fn fill_shelf(paths: &[PathBuf], home: &Home, hashing: &Hashing) -> Result<Filled, Failure> {
    let trees = hashing::open_trees(home)?;
    let (mut shelf, left_out) = (Shelf::new(trees.clone()), Mutex::default());
    for path in paths {
        shelf.add(make(path, &trees, hashing, &left_out)?).map_err(|why| match why {
            ShelfError::Catalog(CatalogError::NameTaken) => {
                cannot(path, &why, "rename one, or start another `ropewalk serve` for it")
            }
            why => cannot(path, &why, LEAVE_OUT),
        })?;
    }
    let left_out = left_out.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Filled { shelf, left_out })
}

fn make(
    path: &Path,
    trees: &Trees,
    hashing: &Hashing,
    left_out: &Mutex<Vec<(String, String)>>,
) -> Result<Offer, Failure> {
    // In a folder that is offered one that cannot be read is left out; not so the whole.
    if path.is_dir() {
        path.read_dir().map_err(|why| cannot(path, &why, LEAVE_OUT))?;
    }
    let watch = |noticed: Noticed<'_>| {
        hashing.notice(noticed, |path, reason, _| {
            let mut left_out = left_out.lock().unwrap_or_else(PoisonError::into_inner);
            left_out.push((path.to_owned(), reason.to_owned()));
        })
    };
    Offer::make(path, trees, &watch).map_err(|why| match why {
        OfferError::Stopped => Interrupt::failure(),
        why => cannot(path, &why, LEAVE_OUT),
    })
}

const LEAVE_OUT: &str = "name files and folders that you may read";

fn cannot(path: &Path, why: &dyn Display, next: &str) -> Failure {
    Failure::new(Code::Failed, format!("cannot offer {}: {why}; {next}", path.display()))
}
