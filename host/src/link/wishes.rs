//! What the user wants of links beside being used: `--metered`, `--quota` and `--backup-link`.

use super::interfaces::UnknownLink;
use ropewalk_core::id::CostClass;

/// The user's words on links, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// They cost money.
    pub metered: Vec<String>,
    /// So many bytes, both ways together, and not one more. Such a link counts as metered.
    pub quotas: Vec<(String, u64)>,
    /// In the mode `backup` they carry data only when the others fail.
    pub spares: Vec<String>,
}

/// Wishes that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// A name that no link has.
    #[error(transparent)]
    Unknown(#[from] UnknownLink),
    /// Which one holds?
    #[error("--quota is given twice for {0:?}; give it once")]
    TwoQuotas(String),
    /// Nothing of it would be used.
    #[error("the quota of {0:?} is too small to be of use; give it {QUOTA_MIN} bytes at least")]
    TooSmall(String),
    /// The core keeps count of so many.
    #[error("at most {WISHES_MAX} links can be named by --quota and --backup-link")]
    TooMany,
}

impl Wishes {
    /// Whether they can be met, if there are links of these names.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check<'n>(&self, known: impl Iterator<Item = &'n str> + Clone) -> Result<(), WishError> {
        let quotas = || self.quotas.iter().map(|(name, _)| name);
        for name in self.metered.iter().chain(quotas()).chain(&self.spares) {
            if !known.clone().any(|known| known == name) {
                let known = known.clone().collect::<Vec<_>>().join(", ");
                return Err(UnknownLink { name: name.clone(), known }.into());
            }
        }
        for (place, (name, bytes)) in self.quotas.iter().enumerate() {
            if quotas().skip(place + 1).any(|other| other == name) {
                return Err(WishError::TwoQuotas(name.clone()));
            }
            if *bytes < QUOTA_MIN {
                return Err(WishError::TooSmall(name.clone()));
            }
        }
        let mut named: Vec<_> = quotas().chain(&self.spares).collect();
        named.sort_unstable();
        named.dedup();
        if named.len() > WISHES_MAX { Err(WishError::TooMany) } else { Ok(()) }
    }

    /// What a link costs that would cost `class` by its nature.
    #[must_use]
    pub fn class(&self, name: &str, class: CostClass) -> CostClass {
        let costs = self.metered.iter().any(|known| known == name) || self.quota(name).is_some();
        if costs { class.max(CostClass::Metered) } else { class }
    }

    /// How many bytes a link may carry.
    #[must_use]
    pub fn quota(&self, name: &str) -> Option<u64> {
        self.quotas.iter().find(|(known, _)| known == name).map(|(_, bytes)| *bytes)
    }

    /// Whether it stands by.
    #[must_use]
    pub fn is_spare(&self, name: &str) -> bool {
        self.spares.iter().any(|known| known == name)
    }
}

/// 64 KiB are always kept in reserve.
const QUOTA_MIN: u64 = 128 * 1_024;
/// Links that the core has room for words on.
const WISHES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(given: &[(&str, u64)]) -> Wishes {
        let quotas = given.iter().map(|(name, bytes)| ((*name).into(), *bytes)).collect();
        Wishes { quotas, ..Wishes::default() }
    }

    fn check(wishes: &Wishes) -> Result<(), String> {
        wishes.check(["eth0", "wwan0"].into_iter()).map_err(|error| error.to_string())
    }

    #[test]
    fn wishes_that_cannot_be_met_are_named() {
        assert_eq!(check(&quotas(&[("wwan0", 1 << 20)])), Ok(()));
        let unknown = "there is no link \"wan0\" here; there are: eth0, wwan0".to_owned();
        assert_eq!(check(&quotas(&[("wan0", 1 << 20)])), Err(unknown.clone()));
        let metered = Wishes { metered: vec!["wan0".into()], ..Wishes::default() };
        assert_eq!(check(&metered), Err(unknown.clone()));
        let spares = Wishes { spares: vec!["wan0".into()], ..Wishes::default() };
        assert_eq!(check(&spares), Err(unknown));
        let twice = check(&quotas(&[("eth0", 1 << 20), ("eth0", 1 << 30)])).unwrap_err();
        assert!(twice.contains("twice for \"eth0\""), "{twice}");
        let small = check(&quotas(&[("eth0", 1_000)])).unwrap_err();
        assert!(small.contains("131072 bytes at least"), "{small}");
        let names: Vec<String> = (0..9).map(|n| format!("eth{n}")).collect();
        let many = Wishes { spares: names.clone(), ..Wishes::default() };
        assert_eq!(many.check(names.iter().map(String::as_str)), Err(WishError::TooMany));
    }

    #[test]
    fn what_has_a_quota_costs_money() {
        let wishes = Wishes { metered: vec!["a".into()], ..quotas(&[("b", 1 << 20)]) };
        let class = |name| wishes.class(name, CostClass::Wired);
        assert_eq!(
            [class("a"), class("b"), class("c")],
            [CostClass::Metered, CostClass::Metered, CostClass::Wired]
        );
        assert_eq!(wishes.class("a", CostClass::LastResort), CostClass::LastResort);
    }
}
