//! Which command lines are understood, and which are refused.

use super::*;
use clap::CommandFactory;

fn parse(line: &str) -> Result<CommandLine, clap::Error> {
    CommandLine::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definition_holds_together() {
    CommandLine::command().debug_assert();
}

#[test]
fn every_line_of_the_manual_is_understood() {
    for line in [
        "ropewalk demo",
        "ropewalk demo FILE",
        "ropewalk id",
        "ropewalk peers list",
        "ropewalk peers trust NAME KEY",
        "ropewalk peers trust NAME KEY a:1 b:2",
        "ropewalk peers rename A B",
        "ropewalk peers remove A",
        "ropewalk peers revoke",
        "ropewalk links --json",
        "ropewalk links --serial /dev/ttyUSB0:921600",
        "ropewalk recv --serial /dev/ttyUSB0 --serial /dev/ttyACM0:9600 --link ttyUSB0",
        "ropewalk manifest PATH",
        "ropewalk manifest PATH --out F --json",
        "ropewalk provision --out F",
        "ropewalk provision --out F --force --key-file K --port 9 --ticket-file T --json",
        "ropewalk provision --out F --link dhcp --link off --link 10.0.0.5/24,via=10.0.0.1",
        "ropewalk provision --out F --peer attic --peer @T --serial-peer KEY@h:1",
        "ropewalk recv --out DIR --once --overwrite --ticket-file F --json",
        "ropewalk recv --out - --trusted",
        "ropewalk send PEER a b - --json --log L",
        "ropewalk send PEER --message TEXT",
        "ropewalk send PEER --message TEXT --mode spread --explain",
        "ropewalk get A",
        "ropewalk get A @F KEY@h:1 --pick a --pick b/c --out DIR --overwrite --no-resume --json",
        "ropewalk get A --list --json",
        "ropewalk get https://h/film s3://b/film film.ropewalk --metrics 9100",
        "ropewalk get A --max-rate 10M --give-up-after 60 --report 2.5 --link eth0",
        "ropewalk get A --root af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        "ropewalk serve film.mkv photos/ --port 9 --max-rate 10M --ticket-file F --json",
        "ropewalk serve a --metrics 9100",
        "ropewalk serve a --metrics [::1]:9100",
        "ropewalk ctl status",
        "ropewalk ctl status --json --pid 7",
        "ropewalk ctl --pid 7 --json close 2",
        "ropewalk ctl pause all",
        "ropewalk ctl resume 12",
        "ropewalk ctl quit",
        "ropewalk ctl add rope1abc",
        "ropewalk serve a --servers 3 --ports 7,8,9 --report 0.5",
        "ropewalk bench serve --once --ticket-file F --json",
        "ropewalk bench bulk PEER --bytes 100M --json",
        "ropewalk send PEER a --mode redundant",
        "ropewalk bench messages PEER --rate 9 --size 99 --seconds 9 --mode repair",
        "ropewalk send PEER a --mode backup --backup-link wlan0 --backup-link wwan0",
        "ropewalk recv --backup-link wwan0 --metered wwan0 --quota wwan0=500M --quota a=b=1G",
        "ropewalk bench bulk PEER --seconds 2.5 --plot F.svg",
        "ropewalk bench messages PEER --rate 100 --size 1000 --seconds 14 --json",
        "ropewalk bench messages PEER --rate 10000 --size 16 --seconds 0.5 --mode spread --plot F",
        "ropewalk bench echo PEER",
        "ropewalk bench echo PEER --bytes 1M --json --plot F --serial /dev/ttyACM0",
        "ropewalk bench messages PEER --rate 0.5 --size 1M --seconds 4 --link eth0",
        "ropewalk -v send PEER a --mode bulk --link eth0 --link wlan0 --not-link lo --address h:1 --port 7 --window 4M",
    ] {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "ropewalk",
        "ropewalk send",
        "ropewalk send PEER",
        "ropewalk send PEER a --message TEXT",
        "ropewalk send PEER a --explain",
        "ropewalk send PEER a --mode fastest",
        "ropewalk send PEER a --quota wwan0",
        "ropewalk send PEER a --quota =5M",
        "ropewalk send PEER a --quota wwan0=0",
        "ropewalk send PEER a --quota wwan0=lots",
        "ropewalk send PEER a --port 70000",
        "ropewalk recv --trusted --ticket-file F",
        "ropewalk get",
        "ropewalk get A --list --pick B",
        "ropewalk get A --root 12",
        "ropewalk get A --max-rate 0",
        "ropewalk serve",
        "ropewalk serve a --max-rate 0",
        "ropewalk serve a --metrics here",
        "ropewalk serve a --metrics 70000",
        "ropewalk ctl",
        "ropewalk ctl close",
        "ropewalk ctl close 0",
        "ropewalk ctl pause x",
        "ropewalk ctl --pid x status",
        "ropewalk ctl add",
        "ropewalk serve a --servers 0",
        "ropewalk serve a --servers 65",
        "ropewalk serve a --ports 7,x",
        "ropewalk serve a --ports 7 --port 8",
        "ropewalk serve a --report 0",
        "ropewalk serve a --report 0.01",
        "ropewalk bench bulk PEER",
        "ropewalk bench bulk PEER --bytes 1 --seconds 1",
        "ropewalk bench bulk PEER --bytes 0",
        "ropewalk bench bulk PEER --seconds -1",
        "ropewalk bench messages PEER --rate 0 --size 100 --seconds 1",
        "ropewalk bench messages PEER --rate -1 --size 100 --seconds 1",
        "ropewalk bench messages PEER --rate 10001 --size 100 --seconds 1",
        "ropewalk bench messages PEER --rate NaN --size 100 --seconds 1",
        "ropewalk bench messages PEER --rate 1 --size 15 --seconds 1",
        "ropewalk bench messages PEER --rate 1 --size 1048577 --seconds 1",
        "ropewalk bench messages PEER --rate 1 --size 100 --seconds 0",
        "ropewalk bench messages PEER --rate 1 --size 100",
        "ropewalk peers",
        "ropewalk links --serial /dev/ttyUSB0:1",
        "ropewalk manifest",
        "ropewalk manifest A B",
        "ropewalk provision",
        "ropewalk provision --out F --port 0",
        "ropewalk provision --out F --link 10.0.0.5",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}
