//! Builds the bare images of `firmware/proofs` and says what they prove.
//!
//! `no-panic` links only if no panic is left in the core and no allocator is asked for; if it does
//! not link, every panic that is left is named. `size` is the core as a board links it: what it
//! takes of flash, of memory, and, where a nightly compiler tells of stack frames, of stack.
//!
//! ```text
//! cargo run -p ropewalk-tests --bin proof               exits 1 if a panic is left, or if a figure is
//!                                                       2 % above that of firmware/sizes.txt
//! cargo run -p ropewalk-tests --bin proof -- --write    records the figures
//! ```

use ropewalk_tests::proof::image::Image;
use ropewalk_tests::proof::sizes::Sizes;
use ropewalk_tests::proof::{panics, stack};
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output};

fn main() -> ExitCode {
    let write = std::env::args().nth(1).is_some_and(|argument| argument == "--write");
    match no_panic().and_then(|proved| Ok(judge(size()?, write)? && proved)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("proof: {error}");
            ExitCode::from(2)
        }
    }
}

/// Links the image; if it does not link, names what stands in the way.
fn no_panic() -> io::Result<bool> {
    if build(&["-p", "no-panic"], Compiler::Stable)?.status.success() {
        println!("no-panic: it links: no public entry of the core can panic, and none allocates");
        return Ok(true);
    }
    succeed(&build(&["-p", "no-panic", "--features", "located"], Compiler::Stable)?)?;
    let file = target(Compiler::Stable).join("thumbv7m-none-eabi/small/no-panic");
    let image = Image::read(&file)?;
    println!("no-panic: it does not link, since these panics are left:");
    for location in panics::locations(&image) {
        println!("  {location}");
    }
    println!("reached from:");
    for call in panics::calls(&image, &file)? {
        println!("  {}", call.panic);
        call.lines.iter().for_each(|line| println!("    {line}"));
    }
    Ok(false)
}

/// Prints and tells what a board's image takes.
fn size() -> io::Result<Sizes> {
    succeed(&build(&["-p", "size"], Compiler::Stable)?)?;
    let image = Image::read(&target(Compiler::Stable).join("thumbv7m-none-eabi/small/size"))?;
    println!("size: {} bytes of flash, of which", image.flash);
    for (part, bytes) in image.flash_by_part().into_iter().take(12) {
        println!("  {bytes:>7} {part}");
    }
    let static_of = |name| image.statics.get(name).copied().unwrap_or(0);
    let tables = static_of("size::MEMORY").saturating_sub(BUFFERS);
    let (connection, listener) = (static_of("size::CONNECTION"), static_of("size::LISTENER"));
    let mut sizes = Sizes::default();
    sizes.compilers.push(("compiler".into(), version(Compiler::Stable)?));
    let figures = [("flash", image.flash), ("connection", connection), ("listener", listener)];
    sizes.bytes.extend(figures.map(|(name, bytes)| (name.into(), bytes)));
    sizes.bytes.push(("tables".into(), tables));
    println!(
        "size: {} bytes of static memory: the connection {connection}, the listener {listener}, \
         the tables of paths, streams and packets {tables}; the rest are windows and buffers",
        image.ram
    );
    if !build(&["-p", "size"], Compiler::Nightly)?.status.success() {
        println!("size: no nightly compiler with thumbv7m-none-eabi here, so no word on the stack");
        return Ok(sizes);
    }
    let mut worst = 0;
    let image = Image::read(&target(Compiler::Nightly).join("thumbv7m-none-eabi/small/size"))?;
    for (name, address) in ROOTS.iter().filter_map(|name| Some((name, image.address_of(name)?))) {
        let depth = stack::deepest(&image, address);
        worst = worst.max(depth.bytes);
        println!("size: at most {} bytes of stack under `{name}`, in this chain:", depth.bytes);
        for address in depth.chain {
            let frame = image.frames.get(&address).copied().unwrap_or(0);
            let name = image.functions.get(&address).map_or("?", |function| &function.name);
            println!("  {frame:>7} {}", shorten(name));
        }
    }
    sizes.compilers.push(("frames".into(), version(Compiler::Nightly)?));
    sizes.bytes.push(("stack".into(), worst));
    Ok(sizes)
}

/// Compares the figures with the committed ones, or records them.
fn judge(now: Sizes, write: bool) -> io::Result<bool> {
    let file = firmware().join("sizes.txt");
    if write {
        std::fs::write(&file, now.to_string())?;
        return Ok(true);
    }
    let committed = Sizes::parse(&std::fs::read_to_string(&file)?).map_err(io::Error::other)?;
    for (name, bytes) in &now.bytes {
        let then = committed.of(name).map_or_else(|| "none".into(), |then| then.to_string());
        println!("size: {name:10} {bytes:>6} bytes, committed {then:>6}");
    }
    let complaints = now.complaints(&committed);
    complaints.iter().for_each(|line| println!("size: {line}"));
    Ok(complaints.is_empty())
}

/// Of the memory of `size`: 4,096 bytes of windows and 1,280 of messages, each way.
const BUFFERS: u64 = 2 * (4_096 + 1_280);

/// The functions of the image whose stack is asked for: setting up, and one turn of the loop.
const ROOTS: [&str; 4] = ["size::listen", "size::place", "size::dial", "size::step"];

/// Without the types that generic functions are made for.
fn shorten(name: &str) -> String {
    let mut depth = 0;
    let mut short = String::new();
    for sign in name.trim_start_matches('<').chars() {
        depth += i32::from(sign == '<');
        if depth == 0 {
            short.push(sign);
        }
        depth -= i32::from(sign == '>' && depth > 0);
    }
    short
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compiler {
    /// What the images are judged by.
    Stable,
    /// Says how large each function's stack frame is.
    Nightly,
}

/// As the compiler names itself.
fn version(compiler: Compiler) -> io::Result<String> {
    let mut rustc = Command::new("rustc");
    rustc.env_remove("RUSTUP_TOOLCHAIN");
    if compiler == Compiler::Nightly {
        rustc.arg("+nightly");
    }
    let output = rustc.arg("-V").current_dir(firmware()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn build(args: &[&str], compiler: Compiler) -> io::Result<Output> {
    let mut cargo = Command::new("cargo");
    // Inside `cargo run` these name the toolchain of the outer build.
    cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    if compiler == Compiler::Nightly {
        cargo.arg("+nightly").env("RUSTFLAGS", "-Z emit-stack-sizes");
    }
    cargo.args(["build", "--quiet", "--profile", "small"]).args(args);
    cargo.env("CARGO_TARGET_DIR", target(compiler)).current_dir(firmware()).output()
}

fn succeed(output: &Output) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn firmware() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../firmware")
}

fn target(compiler: Compiler) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folder = match compiler {
        Compiler::Stable => "firmware",
        Compiler::Nightly => "firmware-nightly",
    };
    target.unwrap_or_else(|| firmware().join("../target")).join(folder)
}
