//! The command line: what can be said ([`args`]), what each command does, and how it is told.
//! Each command is a thin file over the library.

pub mod args;
pub mod bench;
pub mod callers;
pub mod ctl;
pub mod demo;
pub mod exit;
pub mod explain;
pub mod generate;
pub mod get;
mod hashing;
pub mod interrupt;
pub mod line;
pub mod links;
pub mod manifest;
mod names;
mod outside;
pub mod peers;
pub mod plot;
mod port;
pub mod progress;
pub mod provision;
pub mod recv;
pub mod report;
pub mod send;
pub mod serve;
pub mod session;
pub mod terminal;
mod values;

use crate::home::Home;
use args::{Bench, Command, CommandLine};
use exit::{Code, Failure};
use interrupt::Interrupt;
use report::Report;
use std::io::{self, IsTerminal};
use std::sync::Arc;

/// Does what the command line says, and tells how it ended.
pub fn run(line: CommandLine) -> Code {
    trace(line.verbose);
    let json = match &line.command {
        Command::Links(links) => links.json,
        Command::Recv(recv) => recv.listen.json,
        Command::Send(send) => send.json,
        Command::Get(get) => get.json,
        Command::Serve(serve) => serve.json,
        Command::Ctl(ctl) => ctl.json,
        Command::Bench(Bench::Serve(serve)) => serve.listen.json,
        Command::Bench(Bench::Bulk(bulk)) => bulk.json,
        Command::Bench(Bench::Messages(messages)) => messages.json,
        Command::Bench(Bench::Echo(echo)) => echo.json,
        Command::Manifest(manifest) => manifest.json,
        Command::Provision(provision) => provision.json,
        _ => false,
    };
    let report = match Report::new(json, line.log.as_deref()) {
        Ok(report) => Arc::new(report),
        Err(failure) => {
            Report::plain().fail(&failure);
            return failure.code;
        }
    };
    match dispatch(line.command, &report) {
        Ok(code) => code,
        Err(failure) => {
            report.fail(&failure);
            failure.code
        }
    }
}

fn dispatch(command: Command, report: &Arc<Report>) -> Result<Code, Failure> {
    match command {
        Command::Id => peers::id(&Home::from_environment()?, report)?,
        Command::Peers(command) => peers::peers(command, &Home::from_environment()?, report)?,
        Command::Links(args) => links::links(args, report)?,
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args, report)?,
        connecting => return connect(connecting, Arc::clone(report)),
    }
    Ok(Code::Done)
}

fn connect(command: Command, report: Arc<Report>) -> Result<Code, Failure> {
    let mut runtime = match command {
        // Noise costs nothing to make and goes nowhere: one thread does it all, and none wakes another
        // or waits for its lock. That is a fifth to a third of the processor time.
        Command::Bench(_) => tokio::runtime::Builder::new_current_thread(),
        // Files are read and hashed beside the packets.
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    let ended = runtime.block_on(async {
        let interrupt = Interrupt::listen();
        match command {
            Command::Demo(args) => demo::demo(args, report, interrupt).await,
            Command::Recv(args) => recv::recv(args, report, interrupt).await,
            Command::Manifest(args) => manifest::manifest(args, report, interrupt).await,
            Command::Provision(args) => provision::provision(args, &report).await,
            Command::Send(args) => send::send(args, report, interrupt).await,
            Command::Get(args) => get::get(args, report, interrupt).await,
            Command::Ctl(args) => ctl::ctl(args, &report).await,
            Command::Serve(args) => serve::serve(args, report, interrupt).await,
            Command::Bench(Bench::Serve(args)) => bench::serve(args, report, interrupt).await,
            Command::Bench(Bench::Bulk(args)) => bench::bulk(args, report, interrupt).await,
            Command::Bench(Bench::Messages(args)) => bench::messages(args, report, interrupt).await,
            Command::Bench(Bench::Echo(args)) => bench::echo(args, report, interrupt).await,
            _ => Ok(Code::Done),
        }
    });
    // A thread may wait for standard input for ever.
    runtime.shutdown_background();
    ended
}

/// `-v` tells on standard error what happens inside.
fn trace(verbose: u8) {
    use tracing::level_filters::LevelFilter;
    let level = match verbose {
        0 => return,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .finish();
    // Somebody else's subscriber is as good.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
