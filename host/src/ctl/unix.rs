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

const ENDING: &str = "sock";
/// How long to wait when the system lets nobody in.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Where the sockets of this node's commands are.
pub(super) fn folder(home: &Home) -> PathBuf {
    folder_in(std::env::var_os("XDG_RUNTIME_DIR"), home)
}

/// A socket's path may have some hundred bytes, which a folder of the system's for such things leaves room for.
fn folder_in(runtime: Option<OsString>, home: &Home) -> PathBuf {
    match runtime.map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(runtime) => {
            let path = home.path("");
            let path = path.canonicalize().unwrap_or(path);
            let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
            runtime.join(format!("ropewalk-{}", &hash[..8]))
        }
        None => home.path("run"),
    }
}

fn socket(folder: &Path, pid: u32) -> PathBuf {
    folder.join(format!("{pid}.{ENDING}"))
}

pub(super) fn listen(folder: &Path) -> io::Result<(Guard, mpsc::Receiver<Asked>)> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Of a folder that is somebody else's this fails.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let path = socket(folder, std::process::id());
    // One of that name is of a process that had our number and died.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let (ask, asked) = mpsc::channel(ASKERS_MAX);
    let seats = Arc::new(Semaphore::new(ASKERS_MAX));
    let task = tokio::spawn(accept(listener, ask, Arc::clone(&seats)));
    Ok((Guard { path, task, seats }, asked))
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

fn from_bytes(bytes: &[u8]) -> Result<Vec<String>, AskError> {
    let mut lines = Vec::new();
    for line in core::str::from_utf8(bytes).map_err(|_| AskError::Cut)?.lines() {
        match line.split_at_checked(1) {
            Some(("+", text)) => lines.push(text.to_owned()),
            Some(("-", why)) => return Err(AskError::Refused(why.into())),
            Some((".", "")) => return Ok(lines),
            _ => return Err(AskError::Cut),
        }
    }
    Err(AskError::Cut)
}

pub(super) async fn running(folder: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut pids = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let Some(pid) = stem.and_then(|stem| stem.parse().ok()) else { continue };
        match UnixStream::connect(socket(folder, pid)).await {
            Ok(_) => pids.push(pid),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let _ = fs::remove_file(path);
            }
            Err(_) => {}
        }
    }
    pids.sort_unstable();
    Ok(pids)
}

pub(super) async fn ask(
    folder: &Path,
    pid: u32,
    command: &Command,
    json: bool,
) -> Result<Vec<String>, AskError> {
    let failed = |cause| AskError::Unreachable { pid, cause };
    let mut stream = UnixStream::connect(socket(folder, pid)).await.map_err(failed)?;
    let form = if json { "json" } else { "text" };
    stream.write_all(format!("{form} {command}\n").as_bytes()).await.map_err(failed)?;
    let mut bytes = Vec::new();
    let mut answer = stream.take(ANSWER_BYTES_MAX as u64);
    match timeout(ANSWER_TIME, answer.read_to_end(&mut bytes)).await {
        Ok(Ok(_)) => from_bytes(&bytes),
        Ok(Err(_)) => Err(AskError::Cut),
        Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
    }
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
        let (guard, mut asked) = listen(&folder).unwrap();
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
        assert_eq!(running(&folder).await.unwrap(), [pid]);
        let lines = ask(&folder, pid, &Command::Status, true).await.unwrap();
        assert_eq!(lines, ["one", "two lines"]);
        let refused = ask(&folder, pid, &Command::Close(Which::One(7)), false).await;
        assert!(matches!(refused, Err(AskError::Refused(why)) if why == "there is no server 7"));
        let unanswered = ask(&folder, pid, &Command::Quit, false).await;
        assert!(matches!(unanswered, Err(AskError::Refused(_))), "{unanswered:?}");
        process.await.unwrap();
        drop(guard);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        let gone = ask(&folder, pid, &Command::Status, false).await;
        assert!(matches!(gone, Err(AskError::Unreachable { .. })), "{gone:?}");
    }

    #[tokio::test]
    async fn sockets_of_the_dead_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(socket(folder.path(), 1)).unwrap());
        fs::write(folder.path().join("notes"), "not ours").unwrap();
        assert!(running(folder.path()).await.unwrap().is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "what is not ours stays");
        assert!(running(&folder.path().join("nowhere")).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn lines_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_guard, _asked) = listen(folder.path()).unwrap();
        let path = socket(folder.path(), std::process::id());
        let long = [b'a'; LINE_BYTES_MAX + 1];
        for bytes in [&b"text fly\n"[..], b"html status\n", b"text \xff\n", &long] {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            // What is too long is not read to its end, and then the socket may break.
            let _ = stream.read_to_end(&mut answer).await;
            let heard = from_bytes(&answer);
            assert!(matches!(heard, Err(AskError::Refused(_) | AskError::Cut)), "{heard:?}");
        }
    }

    #[test]
    fn each_node_has_a_folder_of_its_own() {
        let runtime = || Some(OsString::from("/run/user/7"));
        let [one, two] = ["/a", "/b"].map(|home| folder_in(runtime(), &Home::at(home)));
        assert!(one != two && one.starts_with("/run/user/7") && two.starts_with("/run/user/7"));
        for none in [None, Some("relative".into())] {
            assert_eq!(folder_in(none, &Home::at("/a")), Path::new("/a/run"));
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_as_it_is_written(lines in prop::collection::vec("[^\n\r]{0,40}", 0..5)) {
            prop_assert_eq!(from_bytes(&to_bytes(&Ok(lines.clone()))).unwrap(), lines);
        }

        #[test]
        fn any_bytes_are_a_line_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = (parse(&bytes), from_bytes(&bytes));
        }
    }
}
