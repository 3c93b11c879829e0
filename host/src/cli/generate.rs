//! `ropewalk completions` and `ropewalk man`: made from what the command line itself declares.

use super::args::{CommandLine, Completions, Man};
use super::exit::{Code, Failure};
use super::report::Report;
use clap::CommandFactory as _;
use std::fs;
use std::io;

/// `ropewalk completions`.
pub fn completions(args: &Completions) {
    let mut command = CommandLine::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut io::stdout());
}

/// `ropewalk man`: a page for the program and one for each command.
///
/// # Errors
/// When the folder cannot be written.
pub fn man(args: &Man, report: &Report) -> Result<(), Failure> {
    let cannot = |cause: io::Error| {
        let folder = args.out.display();
        let text = format!(
            "cannot write man pages into {folder}: {cause}; name another folder with --out"
        );
        Failure::new(Code::Failed, text)
    };
    fs::create_dir_all(&args.out).map_err(cannot)?;
    clap_mangen::generate_to(CommandLine::command(), &args.out).map_err(cannot)?;
    let folder = args.out.display();
    report.say(&format!("man pages are in {folder}; read one: man {folder}/ropewalk.1"));
    Ok(())
}
