//! The socket of a process, and asking by it.

use super::{
    ANSWER_BYTES_MAX, ANSWER_TIME, ASK_TIME, ASKERS_MAX, Answer, AskError, Asked, Command, Guard,
    LINE_BYTES_MAX,
};
use crate::home::Home;
use core::time::Duration;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// What a socket that can be asked is called, after the process.
const ENDING: &str = "sock";
/// The same until it listens; no longer than that one, so that neither is too long if one is not.
const ENDING_BEFORE: &str = "new";
/// How long to wait when the system lets nobody in.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Where sockets of this node's commands may be, in the order in which they are tried.
pub(super) fn folders(home: &Home) -> Vec<PathBuf> {
    folders_in(std::env::var_os("XDG_RUNTIME_DIR"), home)
}

/// A socket's path may have some hundred bytes, which a folder of the system's for such things leaves room for.
/// It comes second: a service often has none, and whoever logs in has one.
fn folders_in(runtime: Option<OsString>, home: &Home) -> Vec<PathBuf> {
    let mut folders = vec![home.path("run")];
    if let Some(runtime) = runtime.map(PathBuf::from).filter(|path| path.is_absolute()) {
        let path = home.path("");
        let path = path.canonicalize().unwrap_or(path);
        let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
        folders.push(runtime.join(format!("ropewalk-{}", &hash[..8])));
    }
    folders
}

fn socket(folder: &Path, pid: u32) -> PathBuf {
    folder.join(format!("{pid}.{ENDING}"))
}

/// In the first of the folders that takes a socket.
pub(super) fn listen(folders: &[PathBuf]) -> io::Result<(Guard, mpsc::Receiver<Asked>)> {
    let mut first_failure = None;
    for folder in folders {
        match bind(folder) {
            Ok((listener, path)) => return Ok(begin(listener, path)),
            Err(cause) => {
                let named =
                    || io::Error::new(cause.kind(), format!("{}: {cause}", folder.display()));
                first_failure.get_or_insert_with(named);
            }
        }
    }
    Err(first_failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// It has its name only once it listens: nobody takes it for that of a process that died.
fn bind(folder: &Path) -> io::Result<(UnixListener, PathBuf)> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Of a folder that is somebody else's this fails.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let path = socket(folder, std::process::id());
    // Too long a path is one from the start, not only when it is renamed.
    std::os::unix::net::SocketAddr::from_pathname(&path)?;
    let before = path.with_extension(ENDING_BEFORE);
    // One of that name is of a process that had our number and died.
    let _ = fs::remove_file(&before);
    let listener = UnixListener::bind(&before)?;
    let named = fs::set_permissions(&before, fs::Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&before, &path));
    if let Err(cause) = named {
        let _ = fs::remove_file(&before);
        return Err(cause);
    }
    Ok((listener, path))
}

fn begin(listener: UnixListener, path: PathBuf) -> (Guard, mpsc::Receiver<Asked>) {
    let (ask, asked) = mpsc::channel(ASKERS_MAX);
    let seats = Arc::new(Semaphore::new(ASKERS_MAX));
    let task = tokio::spawn(accept(listener, ask, Arc::clone(&seats)));
    (Guard { path, task, seats }, asked)
}

async fn accept(listener: UnixListener, ask: mpsc::Sender<Asked>, seats: Arc<Semaphore>) {
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No file is left to open, say: that may pass.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let ask = ask.clone();
        tokio::spawn(async move {
            let _ = attend(stream, &ask).await;
            drop(seat);
        });
    }
}

/// Hears one question and answers it.
async fn attend(stream: UnixStream, ask: &mpsc::Sender<Asked>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(LINE_BYTES_MAX as u64));
    timeout(ASK_TIME, reader.read_until(b'\n', &mut line)).await??;
    let answer = match parse(&line) {
        Err(why) => Err(why),
        Ok((command, json)) => {
            let (answer, answered) = oneshot::channel();
            let gone = || Err("the process ends and answers nothing more".to_owned());
            match ask.send(Asked { command, json, answer }).await {
                Ok(()) => answered.await.unwrap_or_else(|_| gone()),
                Err(_) => gone(),
            }
        }
    };
    timeout(ASK_TIME, writer.write_all(&to_bytes(&answer))).await??;
    timeout(ASK_TIME, writer.shutdown()).await?
}

fn parse(line: &[u8]) -> Result<(Command, bool), String> {
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err(format!("a line ends, and has at most {LINE_BYTES_MAX} bytes"));
    };
    let line = core::str::from_utf8(line).map_err(|_| "a line is UTF-8".to_owned())?;
    let (form, command) = line.split_once(' ').unwrap_or((line, ""));
    let json = match form {
        "text" => false,
        "json" => true,
        _ => return Err("a line begins with text or json".into()),
    };
    command.parse().map(|command| (command, json)).map_err(|error| format!("{error}"))
}

fn to_bytes(answer: &Answer) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut line = |sign: char, text: &str| {
        let text = text.replace(['\n', '\r'], " ");
        bytes.extend(format!("{sign}{text}\n").into_bytes());
    };
    match answer {
        Ok(lines) => lines.iter().for_each(|text| line('+', text)),
        Err(why) => line('-', why),
    }
    line('.', "");
    bytes
}

/// The lines; `None` if they have no end.
fn from_bytes(bytes: &[u8]) -> Option<Answer> {
    let mut lines = Vec::new();
    for line in core::str::from_utf8(bytes).ok()?.lines() {
        match line.split_at_checked(1)? {
            ("+", text) => lines.push(text.to_owned()),
            ("-", why) => return Some(Err(why.into())),
            (".", "") => return Some(Ok(lines)),
            _ => return None,
        }
    }
    None
}

pub(super) async fn running(folders: &[PathBuf]) -> io::Result<Vec<u32>> {
    let (mut pids, mut failed) = (Vec::new(), None);
    for folder in folders {
        match running_in(folder).await {
            Ok(found) => pids.extend(found),
            Err(cause) => {
                let text = format!("{}: {cause}", folder.display());
                failed.get_or_insert_with(|| io::Error::new(cause.kind(), text));
            }
        }
    }
    if let Some(failed) = failed.filter(|_| pids.is_empty()) {
        return Err(failed);
    }
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

async fn running_in(folder: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut pids = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let text =
            |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
        let Some(pid) = text(path.file_stem()).and_then(|stem| stem.parse().ok()) else { continue };
        let listens = match text(path.extension()).as_deref() {
            Some(ENDING) => true,
            Some(ENDING_BEFORE) => false,
            _ => continue,
        };
        match UnixStream::connect(&path).await {
            Ok(_) if listens => pids.push(pid),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && is_dead(pid) => {
                let _ = fs::remove_file(path);
            }
            _ => {}
        }
    }
    Ok(pids)
}

/// Whether there is no process of this number.
fn is_dead(pid: u32) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Of a process that is somebody else's it says that it may not be killed.
    pid.is_none_or(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

pub(super) async fn ask(
    folders: &[PathBuf],
    pid: u32,
    command: &Command,
    json: bool,
) -> Result<Vec<String>, AskError> {
    let failed = |cause| AskError::Unreachable { pid, places: folders.into(), cause };
    let mut stream = connect(folders, pid).await.map_err(failed)?;
    let form = if json { "json" } else { "text" };
    stream.write_all(format!("{form} {command}\n").as_bytes()).await.map_err(failed)?;
    let mut bytes = Vec::new();
    let mut answer = stream.take(ANSWER_BYTES_MAX as u64);
    match timeout(ANSWER_TIME, answer.read_to_end(&mut bytes)).await {
        Ok(Ok(_)) => match from_bytes(&bytes) {
            Some(answer) => answer.map_err(AskError::Refused),
            None => Err(AskError::Cut { pid }),
        },
        Ok(Err(_)) => Err(AskError::Cut { pid }),
        Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
    }
}

async fn connect(folders: &[PathBuf], pid: u32) -> io::Result<UnixStream> {
    let mut failure = io::ErrorKind::NotFound.into();
    for folder in folders {
        match UnixStream::connect(socket(folder, pid)).await {
            Ok(stream) => return Ok(stream),
            // A socket that is there and refuses says more than one that is not there.
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => failure = cause,
            Err(_) => {}
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::super::Which;
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn what_is_asked_is_answered_and_the_socket_goes_with_the_process() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("run");
        let folders = [folder.clone()];
        let (guard, mut asked) = listen(&folders).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let pid = std::process::id();
        assert_eq!((mode(&folder), mode(&socket(&folder, pid))), (0o700, 0o600));
        let process = tokio::spawn(async move {
            let first = asked.recv().await.unwrap();
            assert_eq!((&first.command, first.json), (&Command::Status, true));
            first.answer(vec!["one".into(), "two\nlines".into()]);
            let second = asked.recv().await.unwrap();
            assert_eq!(second.command, Command::Close(Which::One(7)));
            second.refuse("there is no server 7");
            drop(asked.recv().await.unwrap());
        });
        assert_eq!(running(&folders).await.unwrap(), [pid]);
        let unreadable = parent.path().join("file");
        fs::write(&unreadable, "").unwrap();
        assert_eq!(running(&[unreadable.clone(), folder.clone()]).await.unwrap(), [pid]);
        assert!(running(&[unreadable]).await.is_err());
        let lines = ask(&folders, pid, &Command::Status, true).await.unwrap();
        assert_eq!(lines, ["one", "two lines"]);
        let refused = ask(&folders, pid, &Command::Close(Which::One(7)), false).await;
        assert!(matches!(refused, Err(AskError::Refused(why)) if why == "there is no server 7"));
        let unanswered = ask(&folders, pid, &Command::Quit, false).await;
        assert!(matches!(unanswered, Err(AskError::Refused(_))), "{unanswered:?}");
        process.await.unwrap();
        drop(guard);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        let gone = ask(&folders, pid, &Command::Status, false).await;
        assert!(matches!(gone, Err(AskError::Unreachable { .. })), "{gone:?}");
    }

    /// A number that no process has.
    fn dead() -> u32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[tokio::test]
    async fn sockets_of_the_dead_are_removed_and_no_others() {
        use std::os::unix::net::UnixListener;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: String| folder.path().join(name);
        drop(UnixListener::bind(socket(folder.path(), dead())).unwrap());
        drop(UnixListener::bind(at(format!("{}.{ENDING_BEFORE}", dead()))).unwrap());
        fs::write(at("notes".into()), "not ours").unwrap();
        fs::write(at(format!("{}.txt", dead())), "not ours").unwrap();
        // Of processes that live and do not listen yet, as one does between its bind and its listen.
        let ours = socket(folder.path(), std::process::id());
        drop(UnixListener::bind(&ours).unwrap());
        drop(UnixListener::bind(ours.with_extension(ENDING_BEFORE)).unwrap());
        drop(UnixListener::bind(socket(folder.path(), 1)).unwrap());
        let folders = [folder.path().into(), folder.path().join("nowhere")];
        assert!(running(&folders).await.unwrap().is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
        // And its number can be had again.
        let (guard, _asked) = listen(&folders).unwrap();
        assert_eq!(running(&folders).await.unwrap(), [std::process::id()]);
        drop(guard);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    /// As many begin and end, whoever looks finds each of them or nothing, and takes none of them away.
    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_who_looks_takes_away_a_socket_that_is_being_made() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_path_buf()];
        let looking = tokio::spawn({
            let folders = folders.clone();
            async move {
                loop {
                    running(&folders).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        for _ in 0..200 {
            let (_guard, _asked) = listen(&folders).unwrap();
            tokio::task::yield_now().await;
            assert_eq!(running(&folders).await.unwrap(), [std::process::id()]);
        }
        looking.abort();
    }

    #[tokio::test]
    async fn lines_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_guard, _asked) = listen(&[folder.path().into()]).unwrap();
        let path = socket(folder.path(), std::process::id());
        let long = [b'a'; LINE_BYTES_MAX + 1];
        for bytes in [&b"text fly\n"[..], b"html status\n", b"text \xff\n", &long] {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            // What is too long is not read to its end, and then the socket may break.
            let _ = stream.read_to_end(&mut answer).await;
            let heard = from_bytes(&answer);
            assert!(matches!(heard, None | Some(Err(_))), "{heard:?}");
        }
    }

    #[test]
    fn each_node_has_a_folder_of_its_own() {
        let runtime = || Some(OsString::from("/run/user/7"));
        let [one, two] = ["/a", "/b"].map(|home| folders_in(runtime(), &Home::at(home)));
        assert_eq!([&one[0], &two[0]], [Path::new("/a/run"), Path::new("/b/run")]);
        assert!(one[1] != two[1]);
        assert!([&one[1], &two[1]].iter().all(|path| path.starts_with("/run/user/7")));
        for none in [None, Some("relative".into())] {
            assert_eq!(folders_in(none, &Home::at("/a")), [Path::new("/a/run")]);
        }
    }

    /// A service and a shell differ in what the environment says; and a path may be too long.
    #[tokio::test]
    async fn it_is_found_wherever_it_had_to_listen() {
        let parent = tempfile::tempdir().unwrap();
        let (near, long) = (parent.path().join("near"), parent.path().join("x".repeat(120)));
        let service = [near.clone()];
        let (guard, _asked) = listen(&service).unwrap();
        let shell = [near.clone(), parent.path().join("runtime")];
        assert_eq!(running(&shell).await.unwrap(), [std::process::id()]);
        drop(guard);
        let (_guard, _asked) = listen(&[long.clone(), near.clone()]).unwrap();
        assert!(socket(&near, std::process::id()).exists());
        assert_eq!(running(&[long.clone(), near]).await.unwrap(), [std::process::id()]);
        let refused = listen(&[long]).unwrap_err().to_string();
        assert!(refused.contains("xxx: "), "{refused}");
        let nobody = ask(&shell[1..], 1, &Command::Status, false).await.unwrap_err().to_string();
        assert!(nobody.contains("runtime"), "{nobody}");
    }

    proptest! {
        #[test]
        fn any_answer_is_read_as_it_is_written(lines in prop::collection::vec("[^\n\r]{0,40}", 0..5)) {
            prop_assert_eq!(from_bytes(&to_bytes(&Ok(lines.clone()))), Some(Ok(lines)));
        }

        #[test]
        fn any_bytes_are_a_line_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = (parse(&bytes), from_bytes(&bytes));
        }
    }
}
