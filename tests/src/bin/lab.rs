//! The lab by hand: lists and runs the scenarios, or holds links for whatever one likes to try.
//!
//! The program that is measured is `$ROPEWALK`, or `ropewalk` beside this binary. Every run prints
//! tables, writes `results.json` and plots into the folder of `--out`, and exits 0 only if every
//! check held, 1 if one did not, 2 if nothing could be run.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("the lab needs Linux (network namespaces and TAP devices)");
    std::process::ExitCode::from(2)
}

#[cfg(target_os = "linux")]
mod linux {
    use clap::{Args, Parser, Subcommand};
    use ropewalk_tests::lab::peer::{Job, node, socket};
    use ropewalk_tests::lab::results::Results;
    use ropewalk_tests::lab::scenario::{ALL, Options, QUICK, Scenario};
    use ropewalk_tests::lab::{self, Lab, LinkSpec, Node};
    use std::path::PathBuf;
    use std::process::ExitCode;

    /// Runs ropewalk, and other transports beside it, over links that are emulated. Needs root.
    #[derive(Parser)]
    #[command(name = "lab")]
    struct Cli {
        #[command(subcommand)]
        what: What,
    }

    #[derive(Subcommand)]
    enum What {
        /// Name every scenario.
        List,
        /// Run these scenarios, in this order.
        Run {
            /// Names, as `lab list` prints them, or what several begin with: files, matrix.
            #[arg(required = true)]
            names: Vec<String>,
            #[command(flatten)]
            how: How,
        },
        /// Run all scenarios (over an hour).
        All {
            #[command(flatten)]
            how: How,
        },
        /// A few scenarios in under five minutes, with loose bounds: that it works, not how well.
        Quick {
            #[command(flatten)]
            how: How,
        },
        /// Hold links, for trying by hand, until standard input ends.
        Hold {
            /// Mbit/s, ms one way and KiB of queue, as 100/10/256; one for each link.
            #[arg(required = true, value_parser = parse_link)]
            links: Vec<LinkSpec>,
        },
        /// One side of a measurement by TCP, MPTCP or the library; the lab runs itself so.
        #[command(hide = true)]
        Peer {
            /// See `peer::Job` and `peer::node`.
            job: Vec<String>,
        },
    }

    #[derive(Args)]
    struct How {
        /// Where results.json and the plots go.
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
        /// Make each comparison so many times.
        #[arg(long, value_name = "N", default_value_t = 1)]
        runs: usize,
        /// Leave the other transports out.
        #[arg(long)]
        alone: bool,
        /// Less of everything, with loose bounds, as `quick` does.
        #[arg(long)]
        quick: bool,
    }

    pub(super) fn main() -> ExitCode {
        let outcome = match Cli::parse().what {
            What::List => Ok(list()),
            What::Run { names, how } => {
                find(&names).and_then(|chosen| run(&chosen, &how, how.quick))
            }
            What::All { how } => run(&ALL.iter().collect::<Vec<_>>(), &how, how.quick),
            What::Quick { how } => {
                let names: Vec<String> = QUICK.iter().map(|name| (*name).to_owned()).collect();
                find(&names).and_then(|chosen| run(&chosen, &how, true))
            }
            What::Hold { links } => hold(&links),
            What::Peer { job } => peer(&job),
        };
        match outcome {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("lab: {error}");
                ExitCode::from(2)
            }
        }
    }

    fn list() -> bool {
        for scenario in ALL {
            let quick = if QUICK.contains(&scenario.name) { "quick" } else { "" };
            println!("{:<16} {quick:<6} {}", scenario.name, scenario.about);
        }
        true
    }

    fn find(names: &[String]) -> Result<Vec<&'static Scenario>, String> {
        let mut chosen = Vec::new();
        for name in names {
            // A family's name stands for all of it: `files` for `files-speed` and the others.
            let is_meant = |scenario: &&Scenario| {
                let rest = scenario.name.strip_prefix(name.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            };
            let before = chosen.len();
            chosen.extend(ALL.iter().filter(is_meant));
            if chosen.len() == before {
                return Err(format!("no scenario is called {name}; see `lab list`"));
            }
        }
        Ok(chosen)
    }

    fn run(chosen: &[&Scenario], how: &How, quick: bool) -> Result<bool, String> {
        lab::check_requirements().map_err(|error| error.to_string())?;
        let options = Options { runs: how.runs, quick, peers: !how.alone, program: program()? };
        let mut results = Results::default();
        let command = std::env::args().skip(1).fold("lab".to_owned(), |all, arg| all + " " + &arg);
        for scenario in chosen {
            println!("--- {}: {}", scenario.name, scenario.about);
            results.append(scenario.run(&options));
            // After each one, so that an hour of work survives whatever the next one does.
            results
                .write(&how.out, &command)
                .map_err(|error| format!("{} cannot be written: {error}", how.out.display()))?;
        }
        println!("\n--- all");
        results.checks.iter().for_each(|check| println!("{check}"));
        results.skipped.iter().for_each(|word| println!("SKIPPED {word}"));
        print!("{}", results.tables());
        println!("\nwritten to {}", how.out.join("results.json").display());
        Ok(results.passed())
    }

    fn program() -> Result<PathBuf, String> {
        let program = std::env::var_os("ROPEWALK").map_or_else(
            || std::env::current_exe().map(|path| path.with_file_name("ropewalk")),
            |path| Ok(PathBuf::from(path)),
        );
        match program {
            Ok(program) if program.exists() => Ok(program),
            Ok(program) => Err(format!(
                "{} is not there; build it (`cargo build --release -p ropewalk`) or set $ROPEWALK",
                program.display()
            )),
            Err(error) => Err(error.to_string()),
        }
    }

    fn peer(job: &[String]) -> Result<bool, String> {
        let words: Vec<&str> = job.iter().map(String::as_str).collect();
        if let ["node", words @ ..] = words.as_slice() {
            return node::play(words).map(|()| true).map_err(|error| error.to_string());
        }
        let job = Job::from_args(&words)
            .ok_or("usage: lab peer sink|source tcp|mptcp CONGESTION ADDRESS:PORT WORKLOAD...")?;
        socket::play(&job).map(|()| true).map_err(|error| error.to_string())
    }

    fn hold(specs: &[LinkSpec]) -> Result<bool, String> {
        let lab = Lab::new(specs).map_err(|error| error.to_string())?;
        for node in [Node::A, Node::B] {
            println!("{node:?}: ip netns exec {} ...", lab.namespace(node));
            for link in lab.links() {
                let index = link.index();
                let (four, six) = (lab::ipv4(index, node), lab::ipv6(index, node));
                println!("   {}: {four} {six}", lab::interface(index));
            }
        }
        println!("until standard input ends");
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
            .map_err(|error| error.to_string())?;
        Ok(true)
    }

    fn parse_link(text: &str) -> Result<LinkSpec, String> {
        let numbers: Result<Vec<u32>, _> = text.split('/').map(str::parse).collect();
        match numbers.as_deref() {
            Ok([rate, delay, queue]) => {
                Ok(LinkSpec::new(u64::from(*rate), u64::from(*delay), *queue as usize))
            }
            _ => Err(format!("{text} is not RATE/DELAY/QUEUE, as 100/10/256")),
        }
    }
}
