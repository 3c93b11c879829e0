//! What the disks at both ends make of a transfer: full, locked, planted with links, changing under
//! the sender, and files of every size.
#![cfg(target_os = "linux")]

mod common;

use common::{Node, events, json_lines, loopback, noise, said, signal, until, works};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Stdio};
use std::time::Instant;

/// The names in a folder as a process sees it, in order.
fn names_seen_by(child: &Child, folder: &std::path::Path) -> Vec<String> {
    let seen = format!("/proc/{}/root{}", child.id(), folder.display());
    let names = fs::read_dir(seen).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_is_told_to_the_sender_file_by_file_and_the_rest_arrives() {
    if !works("unshare", &["-m", "true"]) {
        println!("SKIPPED: a file system of its own needs root and `unshare`");
        return;
    }
    let (from, to) = (Node::new(), Node::new());
    from.file("1-small", b"small");
    from.file("2-big", &noise(3_000_000));
    from.file("3-small", &noise(10_000));
    let out = to.files.path().join("out");
    fs::create_dir(&out).unwrap();
    let mount = "mount -t tmpfs -o size=1m none out && exec \"$0\" \"$@\"";
    let wrapper = ["unshare", "-m", "sh", "-c", mount];
    let waiting = to.wait_below(&wrapper, &["recv", "--out", "out", "--log", "log"]);
    let paths = ["1-small", "2-big", "3-small"];
    let sent = from.dial(&[&["send", &waiting.ticket, "--json"][..], &paths].concat());
    assert_eq!(sent.status.code(), Some(4), "{}", said(&sent));
    let lines = json_lines(&sent);
    let refused = events(&lines, "refused");
    assert_eq!((refused.len(), &refused[0]["path"]), (1, &"2-big".into()));
    assert!(refused[0]["reason"].as_str().unwrap().contains("disk is full at the receiver"));
    assert!(said(&sent).contains("refused: 2-big: the disk is full"), "{}", said(&sent));
    assert_eq!(events(&lines, "file").len(), 2);
    waiting.until("refused");
    assert_eq!(names_seen_by(&waiting.child, &out), ["1-small", "3-small"], "no part takes room");
    // With room again the same ticket and the same command go on.
    let again = from.dial(&["send", &waiting.ticket, "3-small"]);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
}

/// What takes from root the right to ignore permissions; nothing where nobody has it.
fn obedient() -> Option<&'static [&'static str]> {
    const DROP: &[&str] = &["setpriv", "--bounding-set", "-dac_override,-dac_read_search"];
    let probe = tempfile::tempdir().unwrap();
    let locked = probe.path().join("locked");
    fs::write(&locked, "").unwrap();
    fs::set_permissions(&locked, Permissions::from_mode(0o000)).unwrap();
    let locked = locked.to_str().unwrap();
    if !works("cat", &[locked]) {
        return Some(&["env"]);
    }
    let dropped = works(DROP[0], &[&DROP[1..], &["true"]].concat())
        && !works(DROP[0], &[&DROP[1..], &["cat", locked]].concat());
    if !dropped {
        println!("SKIPPED: root may do anything, and there is no `setpriv` to change that");
    }
    dropped.then_some(DROP)
}

#[test]
fn without_permission_at_the_receiver_the_sender_is_told() {
    let Some(wrapper) = obedient() else { return };
    let (from, to) = (Node::new(), Node::new());
    from.file("top/a", b"a");
    from.file("b", b"b");
    fs::create_dir(to.files.path().join("top")).unwrap();
    fs::set_permissions(to.files.path().join("top"), Permissions::from_mode(0o500)).unwrap();
    let waiting = to.wait_below(wrapper, &["recv", "--once"]);
    let sent = from.dial(&["send", &waiting.ticket, "top", "b", "--json"]);
    assert_eq!(sent.status.code(), Some(4), "{}", said(&sent));
    let (code, received, _) = waiting.ended();
    assert_eq!(code, Some(4));
    for lines in [&json_lines(&sent), &received] {
        let refused = events(lines, "refused");
        assert_eq!((refused.len(), &refused[0]["path"]), (1, &"top/a".into()));
        assert!(refused[0]["reason"].as_str().unwrap().contains("no permission"), "{refused:?}");
    }
    assert_eq!(to.read("b").unwrap(), b"b");
    // A folder into which nothing can be written at all is refused as such.
    fs::set_permissions(to.files.path(), Permissions::from_mode(0o500)).unwrap();
    let output = to.below(wrapper, &["recv", "--out", "inbox"]).output().unwrap();
    fs::set_permissions(to.files.path(), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("inbox") && said(&output).contains("--out"));
}

#[test]
fn without_permission_at_the_sender_the_file_is_named_and_the_rest_arrives() {
    let Some(wrapper) = obedient() else { return };
    let (from, to) = (Node::new(), Node::new());
    for name in ["top/a", "top/locked", "top/z"] {
        from.file(name, b"x");
    }
    fs::set_permissions(from.files.path().join("top/locked"), Permissions::from_mode(0o000))
        .unwrap();
    let waiting = to.wait_for_peers(&["recv", "--once"]);
    let send = ["send", &waiting.ticket, "top", "--json", "--link", &loopback()];
    let sent = from.below(wrapper, &send).output().unwrap();
    assert_eq!(sent.status.code(), Some(1), "{}", said(&sent));
    let lines = json_lines(&sent);
    let left_out = events(&lines, "left_out");
    assert!(left_out[0]["path"].as_str().unwrap().ends_with("top/locked"), "{left_out:?}");
    assert!(left_out[0]["reason"].as_str().unwrap().contains("ermission"), "{left_out:?}");
    assert_eq!(waiting.ended().0, Some(0));
    assert!(to.read("top/a").is_some() && to.read("top/z").is_some());
    assert!(to.read("top/locked").is_none());
}

#[test]
fn links_planted_in_the_output_folder_lead_nowhere() {
    let (from, to, outside) = (Node::new(), Node::new(), tempfile::tempdir().unwrap());
    from.file("planted/evil", b"evil");
    from.file("alias", b"evil");
    from.file("good", b"good");
    let victim = outside.path().join("victim");
    fs::write(&victim, "old").unwrap();
    symlink(outside.path(), to.files.path().join("planted")).unwrap();
    symlink(&victim, to.files.path().join("alias")).unwrap();
    let waiting = to.wait_for_peers(&["recv", "--once", "--overwrite"]);
    let sent = from.dial(&["send", &waiting.ticket, "planted", "alias", "good", "--json"]);
    assert_eq!(sent.status.code(), Some(4), "{}", said(&sent));
    assert_eq!(waiting.ended().0, Some(4));
    let lines = json_lines(&sent);
    let mut refused: Vec<_> =
        events(&lines, "refused").iter().map(|line| line["path"].as_str().unwrap()).collect();
    refused.sort_unstable();
    assert_eq!(refused, ["alias", "planted", "planted/evil"]);
    assert!(said(&sent).contains("symbolic link"), "{}", said(&sent));
    assert_eq!(to.read("good").unwrap(), b"good");
    assert_eq!(fs::read(&victim).unwrap(), b"old");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn names_that_cannot_be_sent_are_said_and_the_longest_that_can_arrives() {
    use std::os::unix::ffi::OsStrExt;
    let (from, to) = (Node::new(), Node::new());
    let longest = "n".repeat(255);
    from.file(&format!("top/{longest}"), b"long");
    let odd = std::ffi::OsStr::from_bytes(b"odd-\xff");
    fs::write(from.files.path().join("top").join(odd), b"odd").unwrap();
    // Deeper than any path may be long.
    let authority = cap_std::ambient_authority();
    let mut folder =
        cap_std::fs::Dir::open_ambient_dir(from.files.path().join("top"), authority).unwrap();
    for _ in 0..20 {
        let name = "d".repeat(250);
        folder.create_dir(&name).unwrap();
        folder = folder.open_dir(&name).unwrap();
    }
    folder.write("buried", b"x").unwrap();
    let waiting = to.wait_for_peers(&["recv", "--once"]);
    let sent = from.dial(&["send", &waiting.ticket, "top", "--json"]);
    assert_eq!(sent.status.code(), Some(1), "{}", said(&sent));
    assert_eq!(waiting.ended().0, Some(0));
    let lines = json_lines(&sent);
    let reasons: Vec<_> = events(&lines, "left_out");
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons.iter().any(|line| line["reason"].as_str().unwrap().contains("UTF-8")));
    assert!(reasons.iter().any(|line| line["reason"].as_str().unwrap().contains("too long")));
    assert_eq!(to.read(&format!("top/{longest}")).unwrap(), b"long");
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_fails_at_both_ends_and_the_rest_arrives() {
    let (from, to) = (Node::new(), Node::new());
    let path = from.file("shrinks", b"");
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(8 << 30).unwrap();
    from.file("whole", b"whole");
    let waiting = to.wait_for_peers(&["recv", "--once"]);
    let send = ["send", &waiting.ticket, "shrinks", "whole", "--json", "--link", &loopback()];
    let mut sending = from.command(&send);
    let sending = sending.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("some of it arrives", || !to.names().is_empty());
    signal(&sending, "STOP");
    file.set_len(1_000).unwrap();
    signal(&sending, "CONT");
    let sent = sending.wait_with_output().unwrap();
    assert_eq!(sent.status.code(), Some(1), "{}", said(&sent));
    let (code, received, words) = waiting.ended();
    assert_eq!(code, Some(1), "{words}");
    for lines in [&json_lines(&sent), &received] {
        let failed = events(lines, "failed");
        assert_eq!((failed.len(), &failed[0]["path"]), (1, &"shrinks".into()));
        assert!(failed[0]["reason"].as_str().unwrap().contains("shrank"), "{failed:?}");
    }
    assert_eq!(to.names(), ["whole"]);
}

#[test]
fn a_file_that_exists_is_replaced_with_overwrite() {
    let (from, to) = (Node::new(), Node::new());
    from.file("file", b"new");
    to.file("file", b"old and longer");
    let waiting = to.wait_for_peers(&["recv", "--once", "--overwrite"]);
    let sent = from.dial(&["send", &waiting.ticket, "file"]);
    assert_eq!((sent.status.code(), waiting.ended().0), (Some(0), Some(0)), "{}", said(&sent));
    assert_eq!(to.read("file").unwrap(), b"new");
    assert_eq!(to.names(), ["file"]);
}

#[test]
fn five_hundred_small_files_in_folders_arrive_with_modes_and_times() {
    use std::os::unix::fs::MetadataExt;
    let (from, to) = (Node::new(), Node::new());
    for number in 0..500_u32 {
        let path = from.file(&format!("top/{}/{number}", number % 20), &number.to_le_bytes());
        let mode = if number % 2 == 0 { 0o640 } else { 0o755 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let time = std::time::UNIX_EPOCH + core::time::Duration::from_secs(u64::from(number));
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }
    let waiting = to.wait_for_peers(&["recv", "--once"]);
    let sent = from.dial(&["send", &waiting.ticket, "top", "--json"]);
    let (code, received, words) = waiting.ended();
    assert_eq!((sent.status.code(), code), (Some(0), Some(0)), "{}{words}", said(&sent));
    assert_eq!(events(&received, "file").len(), 500);
    assert_eq!(events(&json_lines(&sent), "file").len(), 500);
    for number in 0..500_u32 {
        let name = format!("top/{}/{number}", number % 20);
        assert_eq!(to.read(&name).unwrap(), number.to_le_bytes());
        let metadata = fs::metadata(to.files.path().join(name)).unwrap();
        let mode = if number % 2 == 0 { 0o640 } else { 0o755 };
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (mode, i64::from(number)));
    }
}

/// Minutes on a slow disk: run by `ci.sh full`, or with `--ignored`.
#[test]
#[ignore = "takes five gigabytes of disk and a minute"]
fn a_file_of_five_gibibytes_arrives_in_little_memory() {
    const BYTES: u64 = 5 << 30;
    let (from, to) = (Node::new(), Node::new());
    let path = from.file("huge", &noise(1_000_000));
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(BYTES).unwrap();
    let waiting = to.wait_for_peers(&["recv", "--once"]);
    let send = ["send", &waiting.ticket, "huge", "--json", "--link", &loopback()];
    let begin = Instant::now();
    let mut sending = from.command(&send);
    let mut sending = sending.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut peaks = [0, 0];
    while sending.try_wait().unwrap().is_none() {
        for (peak, child) in peaks.iter_mut().zip([&sending, &waiting.child]) {
            *peak = memory_kib(child).max(*peak);
        }
        std::thread::sleep(core::time::Duration::from_millis(50));
    }
    let sent = sending.wait_with_output().unwrap();
    let (code, received, words) = waiting.ended();
    assert_eq!((sent.status.code(), code), (Some(0), Some(0)), "{}{words}", said(&sent));
    println!("{:.1} s; peaks of sender and receiver {peaks:?} KiB", begin.elapsed().as_secs_f64());
    assert!(peaks.iter().all(|peak| (1..64 << 10).contains(peak)), "{peaks:?} KiB");
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(to.files.path().join("huge")).unwrap()).unwrap();
    let file = events(&received, "file")[0];
    assert_eq!(file["bytes"], BYTES);
    assert_eq!(file["blake3"], hasher.finalize().to_hex().as_str());
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(from.files.path().join("huge")).unwrap()).unwrap();
    assert_eq!(file["blake3"], hasher.finalize().to_hex().as_str());
}

/// The most memory that a process ever held.
fn memory_kib(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
}
