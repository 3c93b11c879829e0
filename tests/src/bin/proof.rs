//! Builds bare images, those of `firmware/proofs` and those of boards, and says what they prove.
//!
//! `no-panic` links only if no panic is left in the core and no allocator is asked for; if it does
//! not link, every panic that is left is named. `size` is the core as a board links it: what it
//! takes of flash, of memory, and, where a nightly compiler tells of stack frames, of stack.
//! A board's image proves that it links, and tells its flash and its static memory.
//!
//! ```text
//! proof                      exits 1 if a panic is left, or if a figure is 2 % above that of
//!                            firmware/sizes.txt
//! proof --boards             the boards, beside firmware/boards/sizes.txt: minutes, the first time
//! proof [--boards] --write   records the figures
//! ```

use ropewalk_tests::proof::compiler::{Compiler, firmware};
use ropewalk_tests::proof::image::Image;
use ropewalk_tests::proof::sizes::Sizes;
use ropewalk_tests::proof::{panics, stack};
use std::io;
use std::process::{ExitCode, Output};

fn main() -> ExitCode {
    let asked = |word| std::env::args().skip(1).any(|argument| argument == word);
    let write = asked("--write");
    let proved = if asked("--boards") {
        boards().and_then(|sizes| judge(sizes, "boards/sizes.txt", write))
    } else {
        no_panic().and_then(|proved| Ok(judge(size()?, "sizes.txt", write)? && proved))
    };
    match proved {
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
    if small(Compiler::Stable, &["-p", "no-panic"])?.status.success() {
        println!("no-panic: it links: no public entry of the core can panic, and none allocates");
        return Ok(true);
    }
    succeed(&small(Compiler::Stable, &["-p", "no-panic", "--features", "located"])?)?;
    let file = Compiler::Stable.image(CORTEX_M3, "small", "no-panic");
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
    succeed(&small(Compiler::Stable, &["-p", "size"])?)?;
    let image = Image::read(&Compiler::Stable.image(CORTEX_M3, "small", "size"))?;
    println!("size: {} bytes of flash, of which", image.flash);
    for (part, bytes) in image.flash_by_part().into_iter().take(12) {
        println!("  {bytes:>7} {part}");
    }
    let static_of = |name| image.statics.get(name).copied().unwrap_or(0);
    let tables = static_of("size::MEMORY").saturating_sub(BUFFERS);
    let (connection, listener) = (static_of("size::CONNECTION"), static_of("size::LISTENER"));
    let mut sizes = Sizes::default();
    sizes.compilers.push(("compiler".into(), Compiler::Stable.version(CORTEX_M3)?));
    let figures = [("flash", image.flash), ("connection", connection), ("listener", listener)];
    sizes.bytes.extend(figures.map(|(name, bytes)| (name.into(), bytes)));
    sizes.bytes.push(("tables".into(), tables));
    println!(
        "size: {} bytes of static memory: the connection {connection}, the listener {listener}, \
         the tables of paths, streams and packets {tables}; the rest are windows and buffers",
        image.ram
    );
    if !small(Compiler::Nightly, &["-p", "size"])?.status.success() {
        println!("size: no nightly compiler with {CORTEX_M3} here, so no word on the stack");
        return Ok(sizes);
    }
    let mut worst = 0;
    let image = Image::read(&Compiler::Nightly.image(CORTEX_M3, "small", "size"))?;
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
    sizes.compilers.push(("frames".into(), Compiler::Nightly.version(CORTEX_M3)?));
    sizes.bytes.push(("stack".into(), worst));
    Ok(sizes)
}

/// Links each board's image and tells what it takes.
fn boards() -> io::Result<Sizes> {
    let mut sizes = Sizes::default();
    let compiler = Compiler::Stable;
    sizes.compilers.push(("compiler".into(), compiler.version(CORTEX_M3)?));
    for (board, target) in BOARDS {
        succeed(&compiler.build(&format!("boards/{board}"), target, &["--release"])?)?;
        println!("size: {board} links");
        let image = Image::read(&compiler.image(target, "release", board))?;
        let figures = [("flash", image.flash), ("memory", image.ram)];
        sizes.bytes.extend(figures.map(|(name, bytes)| (format!("{board}.{name}"), bytes)));
    }
    Ok(sizes)
}

/// Compares the figures with the committed ones, or records them.
fn judge(mut now: Sizes, file: &str, write: bool) -> io::Result<bool> {
    let file = firmware().join(file);
    let committed = Sizes::parse(&std::fs::read_to_string(&file)?).map_err(io::Error::other)?;
    now.compilers.iter().for_each(|(what, compiler)| println!("size: {what} {compiler}"));
    for (name, bytes) in &now.bytes {
        let then = committed.of(name).map_or_else(|| "none".into(), |then| then.to_string());
        println!("size: {name:22} {bytes:>6} bytes, committed {then:>6}");
    }
    if write {
        now.head = committed.head;
        std::fs::write(&file, now.to_string())?;
        return Ok(true);
    }
    let complaints = now.complaints(&committed);
    complaints.iter().for_each(|line| println!("size: {line}"));
    Ok(complaints.is_empty())
}

/// Boards, and their targets.
const BOARDS: [(&str, &str); 5] = [
    ("qemu-mps2", CORTEX_M3),
    ("qemu-riscv", "riscv32imac-unknown-none-elf"),
    ("nucleo-h743zi", "thumbv7em-none-eabihf"),
    ("w5500-evb-pico", "thumbv6m-none-eabi"),
    ("w5500-evb-pico2", "thumbv8m.main-none-eabihf"),
];

/// What the core's own images are built for.
const CORTEX_M3: &str = "thumbv7m-none-eabi";

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

/// Builds some of `firmware/proofs`, with as little flash as can be had.
fn small(compiler: Compiler, args: &[&str]) -> io::Result<Output> {
    compiler.build("", CORTEX_M3, &[&["--profile", "small"], args].concat())
}

fn succeed(output: &Output) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}
