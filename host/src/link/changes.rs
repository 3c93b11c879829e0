//! What changed between two looks at the links.

use super::interfaces::Interface;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Gone, or another interface under the same name.
    Removed(Interface),
    /// New.
    Added(Interface),
    /// Still there, with other addresses, another MTU or class.
    Changed(Interface),
}

/// How `before` became `after`. What goes comes first, so that its name is free for what comes.
/// The order of addresses means nothing.
#[must_use]
pub fn changes(before: &[Interface], after: &[Interface]) -> Vec<Change> {
    let same = |a: &Interface, b: &Interface| a.name == b.name && a.index == b.index;
    let gone = before.iter().filter(|old| !after.iter().any(|new| same(old, new)));
    let mut list: Vec<_> = gone.cloned().map(Change::Removed).collect();
    for new in after {
        match before.iter().find(|old| same(old, new)) {
            None => list.push(Change::Added(new.clone())),
            Some(old) if differs(old, new) => list.push(Change::Changed(new.clone())),
            Some(_) => {}
        }
    }
    list
}

fn differs(old: &Interface, new: &Interface) -> bool {
    let sorted = |interface: &Interface| {
        let mut addresses = interface.addresses.clone();
        addresses.sort_unstable();
        addresses
    };
    (old.mtu, old.class) != (new.mtu, new.class) || sorted(old) != sorted(new)
}

#[cfg(test)]
mod tests {
    use super::super::interfaces::Kind;
    use super::Change::{Added, Changed, Removed};
    use super::*;
    use ropewalk_core::id::CostClass;

    fn interface(name: &str, index: u32, addresses: &[&str]) -> Interface {
        Interface {
            index,
            name: name.into(),
            kind: Kind::Ethernet,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            mtu: 1_500,
            class: CostClass::Wired,
            up: true,
            carrier: true,
            populated: true,
        }
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let eth = || interface("eth0", 2, &["10.0.0.1", "fd00::1"]);
        let other = || interface("eth1", 3, &["10.1.0.1"]);
        let moved = || interface("eth0", 2, &["10.0.0.9", "fd00::1"]);
        let turned = || interface("eth0", 2, &["fd00::1", "10.0.0.1"]);
        let reborn = || interface("eth0", 9, &["10.0.0.1", "fd00::1"]);
        let narrow = || Interface { mtu: 1_280, ..eth() };
        let metered = || Interface { class: CostClass::Metered, ..eth() };
        type Row = (&'static str, Vec<Interface>, Vec<Interface>, Vec<Change>);
        let table: [Row; 9] = [
            ("nothing", vec![eth(), other()], vec![other(), eth()], vec![]),
            ("the order of addresses", vec![eth()], vec![turned()], vec![]),
            ("one came", vec![eth()], vec![eth(), other()], vec![Added(other())]),
            ("one went", vec![eth(), other()], vec![other()], vec![Removed(eth())]),
            ("all went", vec![eth()], vec![], vec![Removed(eth())]),
            ("an address", vec![eth()], vec![moved()], vec![Changed(moved())]),
            ("the MTU", vec![eth()], vec![narrow()], vec![Changed(narrow())]),
            ("the class", vec![eth()], vec![metered()], vec![Changed(metered())]),
            (
                "a new one of that name",
                vec![eth()],
                vec![reborn()],
                vec![Removed(eth()), Added(reborn())],
            ),
        ];
        for (what, before, after, expected) in table {
            assert_eq!(changes(&before, &after), expected, "{what}");
        }
    }
}
