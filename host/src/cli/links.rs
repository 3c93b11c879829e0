//! `ropewalk links`: what it would use, and what it leaves out, with the reason.

use super::args;
use super::exit::Failure;
use super::report::{Line, LinkLine, Report};
use crate::link::interfaces::{Filter, Interface, Reason, interfaces};
use crate::link::serial::{SerialConfig, probe};
use ropewalk_core::id::CostClass;

/// `ropewalk links`.
///
/// # Errors
/// When an option names a link that is not there.
pub fn links(args: args::Links, report: &Report) -> Result<(), Failure> {
    let filter = Filter { only: args.choice.only, not: args.choice.not };
    let found = interfaces();
    let mut names: Vec<String> = found.iter().map(|link| link.name.clone()).collect();
    names.extend(args.choice.serial.iter().map(SerialConfig::name));
    filter.check(&names).map_err(Failure::usage)?;
    let survey = filter.survey(found);
    let used = survey.used.iter().map(|interface| line(interface, None));
    let left_out = survey.left_out.iter().map(|(interface, reason)| line(interface, Some(reason)));
    let serial = args.choice.serial.iter().map(|line| serial_line(line, &filter));
    let lines: Vec<LinkLine> = used.chain(serial).chain(left_out).collect();
    lines.iter().for_each(|link| report.line(&Line::Link(link)));
    report.show(table(&lines).trim_end());
    Ok(())
}

fn line(interface: &Interface, reason: Option<&Reason>) -> LinkLine {
    LinkLine {
        name: interface.name.clone(),
        kind: interface.kind.to_string(),
        addresses: interface.addresses.iter().map(ToString::to_string).collect(),
        mtu: interface.mtu,
        class: class_name(interface.class).into(),
        carrier: interface.carrier,
        used: reason.is_none(),
        reason: reason.map(ToString::to_string),
    }
}

fn serial_line(line: &SerialConfig, filter: &Filter) -> LinkLine {
    let missing = probe(line).err().map(|error| error.to_string());
    let carrier = missing.is_none();
    let excluded = filter.not.contains(&line.name()).then(|| Reason::Excluded.to_string());
    let reason = missing.or(excluded);
    LinkLine {
        name: line.name(),
        kind: "serial".into(),
        addresses: vec![line.to_string()],
        mtu: line.mtu().into(),
        class: class_name(CostClass::Wired).into(),
        carrier,
        used: reason.is_none(),
        reason,
    }
}

const fn class_name(class: CostClass) -> &'static str {
    match class {
        CostClass::Wired => "wired",
        CostClass::Wireless => "wireless",
        CostClass::Metered => "metered",
        CostClass::LastResort => "last resort",
    }
}

fn table(lines: &[LinkLine]) -> String {
    let mut rows =
        vec![["link", "kind", "class", "mtu", "carrier", "addresses", ""].map(String::from)];
    rows.extend(lines.iter().map(|link| {
        [
            link.name.clone(),
            link.kind.clone(),
            link.class.clone(),
            link.mtu.to_string(),
            if link.carrier { "yes" } else { "no" }.into(),
            link.addresses.join(" "),
            link.reason
                .as_ref()
                .map_or_else(|| "used".into(), |reason| format!("left out: {reason}")),
        ]
    }));
    crate::human::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::interfaces::Kind;

    #[test]
    fn a_row_says_what_a_link_is_and_whether_it_is_used() {
        let interface = Interface {
            index: 2,
            name: "wlan0".into(),
            kind: Kind::Wifi,
            addresses: vec!["10.0.0.1".parse().unwrap(), "fe80::1".parse().unwrap()],
            mtu: 1_500,
            class: CostClass::Wireless,
            up: true,
            carrier: false,
            populated: true,
        };
        let lines = [line(&interface, None), line(&interface, Some(&Reason::NoCarrier))];
        let table = table(&lines);
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows[1], "wlan0  wifi  wireless  1500  no       10.0.0.1 fe80::1  used");
        assert!(rows[2].ends_with("left out: nothing is plugged in (no carrier)"), "{table}");
        let json = serde_json::to_value(Line::Link(&lines[1])).unwrap();
        assert_eq!((json["event"].as_str(), json["used"].as_bool()), (Some("link"), Some(false)));
        assert_eq!(json["addresses"][1], "fe80::1");
    }
}
