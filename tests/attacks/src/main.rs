//! `cargo run --release -p shuntyard-attacks [-- [--seconds N] [--proxies A,B] [--check] [ATTACK...]]`: attacks proxies on
//! loopback, one after the other, and prints what each attack costs each of them.

use std::process::ExitCode;
use std::time::Duration;

use shuntyard_attacks::attack::{ATTACKS, Attack};
use shuntyard_attacks::measure::{Figures, measure};
use shuntyard_attacks::origin::Origin;
use shuntyard_attacks::proxy::Kind;

const USAGE: &str = "\
usage: shuntyard-attacks [--seconds N] [--proxies mio,tokio,nghttpx,haproxy] [--check] [ATTACK...]

  --seconds N  how long an attack goes on at most (5): on mio or tokio until it is ended, if it must be, for a minute at
               most; for five seconds at least if it must not; and until as much of it has happened as must
  --proxies    whom to attack (all that are installed)
  --check      end with 1 if an attack on mio or tokio makes its memory grow by 8 MiB or more (256 KiB: upload-unread),
               ends it, or lets a request of the bystander fail; if its connection is not ended that must be, within a
               minute and by no clock (deadlines are an hour there), or is that must not; and if the attack did not
               happen. Other times are held against nobody
";

struct Wanted {
    time: Duration,
    proxies: Vec<Kind>,
    attacks: Vec<Attack>,
    check: bool,
}

fn main() -> ExitCode {
    match wanted(std::env::args().skip(1)).and_then(|wanted| run(&wanted)) {
        Ok(breaches) if breaches.is_empty() => ExitCode::SUCCESS,
        Ok(breaches) => {
            breaches.iter().for_each(|breach| eprintln!("{breach}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn wanted(mut words: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let (mut seconds, mut proxies, mut attacks, mut check) = (5, Kind::ALL.to_vec(), Vec::new(), false);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => {
                seconds = words.next().and_then(|text| text.parse().ok()).ok_or(USAGE)?;
            }
            "--proxies" => {
                let names = words.next().ok_or(USAGE)?;
                let kind = |name| Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(USAGE);
                proxies = names.split(',').map(kind).collect::<Result<_, _>>()?;
            }
            "--check" => check = true,
            name => {
                let known = ATTACKS.iter().find(|attack| attack.name == name);
                attacks.push(*known.ok_or_else(|| format!("no attack has the name {name}\n{USAGE}"))?);
            }
        }
    }
    if attacks.is_empty() {
        attacks = ATTACKS.to_vec();
    }
    Ok(Wanted { time: Duration::from_secs(seconds), proxies, attacks, check })
}

/// Says what breaks the bounds, where that is asked for.
fn run(wanted: &Wanted) -> Result<Vec<String>, String> {
    let mut breaches = Vec::new();
    let origin = Origin::start().map_err(|error| format!("the origin: {error}"))?;
    println!(
        "| {:20} | {:14} | {:8} | {:>7} | {:>8} | {:>8} | {:>7} | {:>10} | {:>9} | {:>6} |",
        "attack",
        "known as",
        "proxy",
        "origin",
        "sent KiB",
        "grew KiB",
        "CPU/s",
        "ended s",
        "worst ms",
        "failed"
    );
    println!("|{}|", ["---"; 10].join("|"));
    for attack in &wanted.attacks {
        for &kind in &wanted.proxies {
            if !kind.is_installed() {
                println!(
                    "| {:20} | {:14} | {:8} | not installed |",
                    attack.name,
                    attack.known_as,
                    kind.name()
                );
                if wanted.check && kind.is_ours() {
                    breaches.push(format!("{} on {}: it is not built", attack.name, kind.name()));
                }
                continue;
            }
            match measure(kind, attack, wanted.time, &origin) {
                Ok(figures) => {
                    line(attack, kind, &figures);
                    if wanted.check && kind.is_ours() {
                        let found = figures.breaches(attack).into_iter();
                        breaches.extend(
                            found.map(|breach| format!("{} on {}: {breach}", attack.name, kind.name())),
                        );
                    }
                }
                Err(error) => return Err(format!("{} on {}: {error}", attack.name, kind.name())),
            }
        }
    }
    Ok(breaches)
}

fn line(attack: &Attack, kind: Kind, figures: &Figures) {
    let lasted = figures.lasted.as_secs_f64();
    let ended = match (figures.alive, figures.ended) {
        (false, _) => "it died".to_owned(),
        (true, true) => format!("{lasted:.3}"),
        (true, false) => "-".to_owned(),
    };
    println!(
        "| {:20} | {:14} | {:8} | {:>7} | {:>8} | {:>8} | {:>7.2} | {:>10} | {:>9} | {:>6} |",
        attack.name,
        attack.known_as,
        kind.name(),
        figures.origin_requests,
        figures.said >> 10,
        figures.grown >> 10,
        figures.cpu.as_secs_f64() / lasted.max(0.01),
        ended,
        figures.bystander.worst.as_millis(),
        figures.bystander.failed,
    );
}
