//! Counts the instructions of the core's hot paths and compares them with `tests/counts.txt`.
//!
//! ```text
//! cargo run --release -p ropewalk-tests --bin counts               exits 1 if one is 5 % dearer
//! cargo run --release -p ropewalk-tests --bin counts -- --write    records them
//! cargo run --release -p ropewalk-tests --bin counts -- --keep DIR ; callgrind_annotate DIR/open
//! ```
//!
//! It exits 2 if nothing could be counted. With another compiler than the recorded one, or on
//! another kind of machine, it compares and exits 0.

use clap::Parser;
use ropewalk_tests::counts::callgrind::count;
use ropewalk_tests::counts::figures::{Figures, Origin};
use ropewalk_tests::counts::hot::HotPath;
use ropewalk_tests::counts::world::walk;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Counts the instructions of the core's hot paths (needs valgrind).
#[derive(Parser)]
struct Args {
    /// Record what is counted in tests/counts.txt.
    #[arg(long)]
    write: bool,
    /// Leave callgrind's profiles here, each under its path's name.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Walk one path; callgrind is given this to count.
    #[arg(long, value_name = "NAME", hide = true)]
    walk: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.walk {
        Some(name) => walk_one(name).map(|()| true),
        None => compare(&args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("counts: {error}");
            ExitCode::from(2)
        }
    }
}

fn walk_one(name: &str) -> Result<(), String> {
    let path = HotPath::ALL.into_iter().find(|path| path.name() == name);
    println!("{}", walk(path.ok_or_else(|| format!("no hot path is named {name:?}"))?));
    Ok(())
}

/// Whether nothing became too dear.
fn compare(args: &Args) -> Result<bool, String> {
    if cfg!(debug_assertions) {
        return Err("the figures are those of an optimised build: cargo run --release".into());
    }
    let now = Figures { origin: origin()?, counts: count_all(args.keep.as_deref())? };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.txt");
    let failed = |error| format!("{}: {error}", file.display());
    if args.write {
        now.counts.iter().for_each(|(name, count)| println!("{name:12} {count:>7}"));
        std::fs::write(&file, now.to_string()).map_err(failed)?;
        return Ok(true);
    }
    let committed = std::fs::read_to_string(&file).map_err(failed)?;
    let committed = Figures::parse(&committed).map_err(|error| format!("counts.txt: {error}"))?;
    let comparisons = now.against(&committed);
    println!("{:12} {:>12} {:>10} {:>8}", "hot path", "instructions", "committed", "ratio");
    for (row, path) in comparisons.iter().zip(HotPath::ALL) {
        let (name, now) = (&row.name, row.now);
        let then = row.committed.map_or_else(|| "none".into(), |then| then.to_string());
        let percent = |then| 100.0 * now as f64 / then as f64;
        let ratio =
            row.committed.map_or_else(String::new, |then| format!("{:.1} %", percent(then)));
        println!("{name:12} {now:>12} {then:>10} {ratio:>8}   {}", path.meaning());
    }
    comparisons.iter().filter_map(|row| row.advice()).for_each(|line| println!("{line}"));
    if now.origin != committed.origin {
        let (here, there) = (now.origin, committed.origin);
        println!(
            "not judged: this is {} on {}, the committed figures are those of {} on {}",
            here.compiler, here.host, there.compiler, there.host
        );
        return Ok(true);
    }
    Ok(!comparisons.iter().any(|row| row.verdict().fails()))
}

fn count_all(keep: Option<&Path>) -> Result<Vec<(String, u64)>, String> {
    let failed = |error: std::io::Error| format!("a folder for the profiles: {error}");
    let scratch = std::env::temp_dir().join(format!("ropewalk-counts-{}", std::process::id()));
    let folder = keep.unwrap_or(&scratch);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let walker = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let one = |path: HotPath| {
        let instructions = count(&walker, path, &folder.join(path.name()))?;
        Ok((path.name().to_owned(), instructions))
    };
    let counts = HotPath::ALL.into_iter().map(one).collect();
    if keep.is_none() {
        std::fs::remove_dir_all(&scratch).map_err(failed)?;
    }
    counts
}

/// The compiler that cargo runs here, which is the one that built this.
fn origin() -> Result<Origin, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| format!("rustc: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    Origin::parse(&said).ok_or_else(|| format!("rustc -vV said {said:?}"))
}
