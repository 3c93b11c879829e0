//! The lab by hand: lists and runs the scenarios, or holds links for whatever one likes to try.
//!
//! ```text
//! lab list
//! lab run NAME... | all       the program is $ROPEWALK, or `ropewalk` beside this binary
//! lab hold RATE/DELAY/QUEUE.. links in Mbit/s, ms one way and KiB, until standard input ends
//! ```
//!
//! `run` prints a table, writes `results.json`, and exits 0 only if every check held.

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
    use ropewalk_tests::lab::scenario::{ALL, Scenario};
    use ropewalk_tests::lab::{self, Lab, LinkSpec, Node};
    use serde_json::{Value, json};
    use std::path::PathBuf;
    use std::process::ExitCode;

    pub(super) fn main() -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let outcome = match arguments.as_slice() {
            ["list"] => Ok(list()),
            ["run", names @ ..] if !names.is_empty() => run(names),
            ["hold", links @ ..] if !links.is_empty() => hold(links),
            _ => Err("usage: lab list | run NAME... | run all | hold RATE/DELAY/QUEUE...".into()),
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
            println!("{:<16} {}", scenario.name, scenario.about);
        }
        true
    }

    fn run(names: &[&str]) -> Result<bool, String> {
        let chosen: Vec<&Scenario> = if names == ["all"] {
            ALL.iter().collect()
        } else {
            let find = |name: &&str| {
                let found = ALL.iter().find(|scenario| scenario.name == *name);
                found.ok_or_else(|| format!("no scenario is called {name}; see `lab list`"))
            };
            names.iter().map(find).collect::<Result<_, _>>()?
        };
        lab::check_requirements().map_err(|error| error.to_string())?;
        let program = program()?;
        let mut checks = Vec::new();
        for scenario in chosen {
            println!("--- {}: {}", scenario.name, scenario.about);
            checks.extend(scenario.run(&program));
        }
        println!("\n--- all");
        checks.iter().for_each(|check| println!("{check}"));
        let passed = checks.iter().all(|check| check.passed);
        let rows: Vec<Value> = checks.iter().map(lab::scenario::Check::to_json).collect();
        let results = json!({ "passed": passed, "checks": rows });
        std::fs::write("results.json", format!("{results:#}\n"))
            .map_err(|error| format!("results.json cannot be written: {error}"))?;
        Ok(passed)
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

    fn hold(links: &[&str]) -> Result<bool, String> {
        let specs: Vec<LinkSpec> =
            links.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
        let lab = Lab::new(&specs).map_err(|error| error.to_string())?;
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

    fn parse(text: &str) -> Result<LinkSpec, String> {
        let numbers: Result<Vec<u32>, _> = text.split('/').map(str::parse).collect();
        match numbers.as_deref() {
            Ok([rate, delay, queue]) => {
                Ok(LinkSpec::new(u64::from(*rate), u64::from(*delay), *queue as usize))
            }
            _ => Err(format!("{text} is not RATE/DELAY/QUEUE, as 100/10/256")),
        }
    }
}
