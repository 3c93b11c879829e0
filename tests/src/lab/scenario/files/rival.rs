//! aria2, which fetches from many servers too, and nginx, which serves it: neither encrypts.
//!
//! Its best flags for this (tried: more connections to each server, which are no faster, and other ways
//! to make room on the disk): one connection to each server, whose address is its own since aria2 counts by
//! host name; parts as small as it has them, so that a server that is done takes from the others.

use super::super::super::fleet::Fleet;
use super::{LIMIT, Process, Stage};
use core::time::Duration;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Why it cannot take part, if so.
pub(super) fn missing() -> Option<String> {
    let there = |program: &str, arg: &str| Command::new(program).arg(arg).output().is_ok();
    if !there("aria2c", "--version") {
        return Some("aria2c is not installed (Debian: aria2)".into());
    }
    (!there("nginx", "-v")).then(|| "nginx is not installed (Debian: nginx-light)".into())
}

impl Stage {
    /// Starts nginx as server number `index`, for the folder of `file`.
    pub(super) fn nginx(&self, fleet: &Fleet, index: usize, file: &Path) -> io::Result<Process> {
        let own = self.folder.join(format!("nginx{index}"));
        std::fs::create_dir_all(&own)?;
        let (at, own_path) = (fleet.address(index), own.display());
        let root = file.parent().unwrap_or(file).display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {own_path}; "))
            .concat();
        let text = format!(
            "daemon off; master_process off; pid {own_path}/pid; error_log {own_path}/err;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; sendfile on; {temporary}\n\
             server {{ listen {at}:{PORT}; root {root}; }} }}\n"
        );
        let config = own.join("conf");
        std::fs::write(&config, text)?;
        let config = config.to_string_lossy();
        let errors = own.join("err");
        let args = ["-c", &config, "-e", &errors.to_string_lossy()];
        let process =
            self.launch(fleet.server(index).command("nginx"), &format!("nginx{index}"), &args)?;
        let deadline = Instant::now() + Duration::from_secs(5);
        let listens = || std::net::TcpStream::connect((at, PORT)).is_ok();
        while !fleet.server(index).inside(listens)? {
            if Instant::now() > deadline {
                return Err(io::Error::other("nginx does not listen"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(process)
    }

    /// Fetches `file` from `servers` such servers into `out`, to the end.
    pub(super) fn aria2(
        &self,
        fleet: &Fleet,
        servers: usize,
        file: &Path,
        out: &Path,
        more: &[&str],
    ) -> io::Result<Process> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let url = |index| format!("http://{}:{PORT}/{name}", fleet.address(index));
        let urls: Vec<String> = (0..servers).map(url).collect();
        let (out, split) = (out.to_string_lossy(), format!("-s{servers}"));
        let mut args = vec!["-q", "--no-conf", "-d", &out, "-x1", &split, "-j1", "-k1M"];
        args.extend(["--file-allocation=none", "--allow-overwrite=true"]);
        args.extend(more);
        args.extend(urls.iter().map(String::as_str));
        let mut process = self.launch(fleet.client().command("aria2c"), "aria2", &args)?;
        process.finish_closely(LIMIT)?;
        Ok(process)
    }
}

const PORT: u16 = 8080;
