//! Plays drawn scenarios, one seed after the other, until the given simulated time has passed.
//!
//! ```text
//! cargo run --profile sim -p ropewalk-tests --bin sim -- --seed 7 --minutes 60
//! cargo run --profile sim -p ropewalk-tests --bin sim -- --seed 12345 --trace     one scenario, each datagram
//! ```

use clap::Parser;
use core::panic::AssertUnwindSafe;
use core::time::Duration;
use ropewalk_tests::sim::swarm::Scenario;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

/// Plays drawn scenarios on a virtual clock.
#[derive(Parser)]
struct Args {
    /// The first scenario's seed: a number, or a commit's hash.
    #[arg(long)]
    seed: String,
    /// Simulated minutes to play; without it, one scenario.
    #[arg(long)]
    minutes: Option<u64>,
    /// Print every datagram.
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let Some(mut seed) = parse_seed(&args.seed) else {
        eprintln!("sim: --seed takes a number or a commit's hash, not {:?}", args.seed);
        return ExitCode::from(2);
    };
    let target = Duration::from_secs(60 * args.minutes.unwrap_or(0));
    let (mut played, mut scenarios, began) = (Duration::ZERO, 0_u64, Instant::now());
    loop {
        let scenario = Scenario::draw(seed);
        let outcome = catch_unwind(AssertUnwindSafe(|| scenario.play(args.trace)));
        let failure = match outcome {
            Ok(Ok((report, time))) => {
                played += Duration::from_micros(time.as_micros());
                if args.minutes.is_none() {
                    println!("{scenario:#?}\n{report:#?}");
                }
                None
            }
            Ok(Err(line)) => Some(line),
            Err(_) => Some("it panicked (above)".into()),
        };
        if let Some(line) = failure {
            if args.minutes.is_none() {
                println!("{scenario:#?}");
            }
            println!("FAILED seed {seed}: {line}");
            println!(
                "replay: cargo run --profile sim -p ropewalk-tests --bin sim -- --seed {seed} --trace"
            );
            return ExitCode::FAILURE;
        }
        scenarios += 1;
        if played >= target {
            break;
        }
        seed = seed.wrapping_add(1);
    }
    let seconds = played.as_secs();
    let real = began.elapsed().as_secs_f64().max(0.001);
    println!(
        "{scenarios} scenarios, {seconds} simulated seconds in {real:.1} real ones ({:.0} times as fast), no failure",
        seconds as f64 / real
    );
    ExitCode::SUCCESS
}

/// Decimal, or up to 16 hexadecimal digits of a commit's hash.
fn parse_seed(text: &str) -> Option<u64> {
    let hex = text.get(..16).unwrap_or(text);
    text.parse().ok().or_else(|| u64::from_str_radix(hex, 16).ok())
}
