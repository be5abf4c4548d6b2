//! Tells whether the process that holds a lock still runs, where that can be known: on the same
//! machine, since the same boot, among the same processes.

use std::path::Path;
use std::time::{Duration, Instant};

/// What tells a process from every other one: boot, process namespace, id and start, all as the
/// system writes them. `None` where the system does not say.
pub(super) fn mark() -> Option<String> {
    let id = std::process::id().to_string();
    Some(format!("{} {id} {}", surroundings()?, started(&id)?))
}

/// Whether a process is known to have ended. One of another machine, of an earlier boot or in
/// another container is not known.
pub(super) fn has_ended(mark: &str) -> bool {
    let words: Vec<&str> = mark.split(' ').collect();
    let [boot, namespace, id, start] = words[..] else {
        return false;
    };
    let here = surroundings().is_some_and(|here| here == format!("{boot} {namespace}"));
    here && id.parse::<u32>().is_ok() && started(id).is_none_or(|found| found != start)
}

/// The boot and the process namespace.
fn surroundings() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// When a process started, in ticks since the boot; `None` if there is none of this id.
fn started(id: &str) -> Option<String> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id).join("stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    // A zombie runs no more.
    let start = fields.nth(18)?;
    (state != "Z").then(|| start.to_owned())
}

/// Time since the boot, that of sleep included: a laptop that slept must not think that its lock is
/// still held. Where the system does not say, time since the first call.
pub(super) fn boot_time() -> Duration {
    static FIRST: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let uptime = std::fs::read_to_string("/proc/uptime").ok();
    let seconds = uptime.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    seconds.map_or_else(|| FIRST.elapsed(), Duration::from_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_has_not_ended_and_one_that_was_killed_has() {
        let own = mark().unwrap();
        assert!(!has_ended(&own));
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let id = child.id().to_string();
        let of_child = format!("{} {id} {}", surroundings().unwrap(), started(&id).unwrap());
        assert!(!has_ended(&of_child));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_ended(&of_child));
    }

    #[test]
    fn nothing_is_known_of_processes_elsewhere() {
        let own = mark().unwrap();
        let words: Vec<&str> = own.split(' ').collect();
        let elsewhere = format!("another-boot {} 999999999 1", words[1]);
        assert!(!has_ended(&elsewhere));
        let in_a_container = format!("{} pid:[1] 999999999 1", words[0]);
        assert!(!has_ended(&in_a_container));
        let recycled = format!("{} {} {} 1", words[0], words[1], words[2]);
        assert!(
            has_ended(&recycled),
            "the id belongs to another process now"
        );
        assert!(!has_ended("nonsense"));
    }

    #[test]
    fn boot_time_goes_on() {
        assert!(boot_time() > Duration::ZERO);
    }
}
