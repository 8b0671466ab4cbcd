//! What the system knows of this process. Linux tells it in /proc; where that is not there, nothing is told.

use std::fs;

/// The kernel counts processor time in hundredths of a second for programs, whatever its own tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// Numbers of the process, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) open_descriptors: Option<u64>,
    pub(super) max_descriptors: Option<u64>,
}

impl Process {
    pub(super) fn look() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(number * 1024)
        };
        Self {
            cpu_seconds: fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds),
            resident_bytes: kilobytes("VmRSS:"),
            virtual_bytes: kilobytes("VmSize:"),
            open_descriptors: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            max_descriptors: fs::read_to_string("/proc/self/limits")
                .ok()
                .as_deref()
                .and_then(max_descriptors),
        }
    }
}

/// User and system time: the 14th and 15th field, counted from behind the program's name, which may have spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = |n: usize| fields.split_whitespace().nth(n)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND)
}

fn max_descriptors(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 8 9 10";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(max_descriptors("Limit  Soft\nMax open files            1024  4096  files\n"), Some(1024));
        assert_eq!((cpu_seconds(""), max_descriptors("")), (None, None));
    }
}
