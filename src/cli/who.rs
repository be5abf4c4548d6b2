//! Who runs this, for locks and records.

use super::session::Session;

/// User, host and process: `ann@laptop (4711)`.
pub(super) fn who(session: &Session) -> String {
    let of = |name| session.environment.get(name);
    let user = of("USER").or_else(|| of("LOGNAME")).map(str::to_owned);
    let user = user.unwrap_or_else(user_of_process);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{} ({})", host.trim(), std::process::id())
}

/// The name that the system gives to the user of this process, or the user's number.
fn user_of_process() -> String {
    use std::os::unix::fs::MetadataExt as _;

    whoami::username().unwrap_or_else(|_| {
        let process = std::fs::metadata("/proc/self");
        process.map_or_else(
            |_| "somebody".to_owned(),
            |process| format!("uid {}", process.uid()),
        )
    })
}
