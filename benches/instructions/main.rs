//! Work for counting instructions: the whole gateway in memory, and its codecs alone.
//!
//! Nothing is timed here. `benches/callgrind` runs this program under valgrind and divides what happens inside of the
//! functions of [`measured`] by the requests; run by itself it does the same work and checks that every request was
//! answered whole.
//!
//! `instructions [--requests N] [--warm-up N] [WORK...]`

mod carry;
mod codec;
mod http1;
mod measured;
mod work;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        eprintln!("usage: instructions [--requests N] [--warm-up N] [WORK...]\nwork: {}", names().join(" "));
        return ExitCode::from(2);
    };
    for (name, run) in all() {
        if arguments.names.is_empty() || arguments.names.iter().any(|wanted| wanted == name) {
            println!("{name}: {}", run(arguments.warm_up, arguments.requests));
        }
    }
    ExitCode::SUCCESS
}

/// Does so much work that does not count, then so much that does, and says what was done.
type Run = Box<dyn Fn(usize, usize) -> String>;

fn all() -> Vec<(&'static str, Run)> {
    let works =
        work::ALL.iter().map(|work| (work.name, Box::new(|warm, n| world::run(work, warm, n)) as Run));
    let codecs = codec::ALL.iter().map(|&(name, run)| (name, Box::new(run) as Run));
    works.chain(codecs).collect()
}

fn names() -> Vec<&'static str> {
    all().iter().map(|&(name, _)| name).collect()
}

struct Arguments {
    requests: usize,
    warm_up: usize,
    names: Vec<String>,
}

impl Arguments {
    /// Cargo adds `--bench`, which means nothing here.
    fn parse(mut given: impl Iterator<Item = String>) -> Option<Self> {
        let mut arguments = Self { requests: 1000, warm_up: 1000, names: Vec::new() };
        let known = names();
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--bench" => {}
                "--requests" => arguments.requests = given.next()?.parse().ok()?,
                "--warm-up" => arguments.warm_up = given.next()?.parse().ok()?,
                name if known.contains(&name) => arguments.names.push(argument),
                _ => return None,
            }
        }
        Some(arguments)
    }
}
