//! A list with a fixed number of places, whoever chose the number. Code over [`Table::list`] is
//! compiled once for lists of all lengths.

use heapless::{Vec, VecView};

/// A list that begins empty.
pub trait Table<T>: Default {
    /// What is in it.
    fn list(&self) -> &VecView<T>;
    /// The same, to change it.
    fn list_mut(&mut self) -> &mut VecView<T>;
}

impl<T, const PLACES: usize> Table<T> for Vec<T, PLACES> {
    fn list(&self) -> &VecView<T> {
        self.as_view()
    }

    fn list_mut(&mut self) -> &mut VecView<T> {
        self.as_mut_view()
    }
}

/// Takes an entry out of a list; the last takes its place.
pub fn take_out<T>(list: &mut VecView<T>, index: usize) {
    if index >= list.len() {
        return;
    }
    if let Some(last) = list.pop()
        && let Some(place) = list.get_mut(index)
    {
        *place = last;
    }
}

/// Leaves only the entries that are `wanted`, in their order.
pub fn keep<T: Copy>(list: &mut VecView<T>, wanted: &mut dyn FnMut(&T) -> bool) {
    let mut kept = 0;
    for at in 0..list.len() {
        let Some(entry) = list.get(at).copied() else { break };
        if wanted(&entry) {
            if let Some(place) = list.get_mut(kept) {
                *place = entry;
            }
            kept = kept.saturating_add(1);
        }
    }
    list.truncate(kept);
}
