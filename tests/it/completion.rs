//! Completion as somebody types it: the real shells, driven.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::hands::kubeconfig;

/// A shell, or a visible skip.
fn shell(name: &str) -> Option<PathBuf> {
    let found = ["/usr/bin", "/bin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists());
    if found.is_none() {
        let test = std::thread::current();
        // Not eprintln!: the test harness hides that for a test that passes.
        writeln!(
            std::io::stderr(),
            "SKIPPED {}: {name} is not installed",
            test.name().unwrap_or("a test")
        )
        .expect("standard error is open");
    }
    found
}

/// A folder with a kubeconfig, and a command with nothing else to see.
fn command(folder: &TempDir, program: &Path) -> Command {
    let telectl = Path::new(env!("CARGO_BIN_EXE_telectl"));
    let own = telectl.parent().expect("it lies in a folder");
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", own.display()))
        .env("HOME", folder.path())
        .env("TERM", "dumb")
        .env("KUBECONFIG", kubeconfig(folder))
        .current_dir(folder.path());
    command
}

/// What is on the line after the keys were typed: `echo` is put before it and it is run. Without
/// `echo` the line would be run itself.
fn typed(shell: &Path, arguments: &[&str], setup: &str, keys: &str) -> String {
    let folder = TempDir::new().expect("a folder");
    let line = format!("{} {}", shell.display(), arguments.join(" "));
    let script = Path::new("/usr/bin/script");
    let mut child = command(&folder, script)
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a terminal can be made");
    let mut terminal = child.stdin.take().expect("it is piped");
    // Control-A goes to the beginning of the line.
    let all = format!("{setup}\n{keys}\u{1}echo LINE=\nexit\n");
    terminal.write_all(all.as_bytes()).expect("it is typed");
    let output = child.wait_with_output().expect("the shell ends");
    drop(terminal);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = shown.lines().map(|line| line.trim_end());
    let mut found = lines.filter_map(|line| line.strip_prefix("LINE="));
    let last = found.next_back().map(str::to_owned);
    last.unwrap_or_else(|| panic!("nothing was echoed:\n{shown}"))
}

#[test]
fn bash_completes_contexts_commands_and_flags() {
    let Some(bash) = shell("bash") else { return };
    let completed = |keys: &str| {
        let arguments = ["--norc", "--noprofile", "-i"];
        typed(
            &bash,
            &arguments,
            "source <(telectl completions bash)",
            keys,
        )
    };
    assert_eq!(
        completed("telectl status -e kind-e\t"),
        "telectl status -e kind-edge"
    );
    assert_eq!(
        completed("telectl deploy-a\t-c kind-c\t"),
        "telectl deploy-all -c kind-central"
    );
    assert_eq!(
        completed("telectl status --edge-context=kind-e\t"),
        "telectl status --edge-context=kind-edge"
    );
    // bash parts words at the colons of such a name.
    assert_eq!(
        completed("telectl plan -e arn:aws:e\t"),
        "telectl plan -e arn:aws:eks:eu-1:123:cluster/far"
    );
    assert_eq!(
        completed("telectl render edge -f la\t"),
        "telectl render edge -f lab"
    );
    assert_eq!(
        completed("telectl render edge --set image.ta\tx"),
        "telectl render edge --set image.tag=x"
    );
    assert_eq!(
        completed("telectl status --read\t"),
        "telectl status --read-only"
    );
}

#[test]
fn zsh_completes_contexts_commands_and_flags() {
    let Some(zsh) = shell("zsh") else { return };
    let setup = "PS1='> '; autoload -U compinit; compinit -u -D; bindkey -e; \
                 source <(telectl completions zsh)";
    let completed = |keys: &str| typed(&zsh, &["-f", "-i"], setup, keys);
    assert_eq!(
        completed("telectl status -e kind-e\t"),
        "telectl status -e kind-edge"
    );
    assert_eq!(
        completed("telectl deploy-a\t-c kind-c\t"),
        "telectl deploy-all -c kind-central"
    );
    assert_eq!(
        completed("telectl render edge -f la\t"),
        "telectl render edge -f lab"
    );
}

#[test]
fn fish_completes_contexts_commands_and_flags() {
    let Some(fish) = shell("fish") else { return };
    let completed = |line: &str| {
        let folder = TempDir::new().expect("a folder");
        let script = format!("telectl completions fish | source; complete -C '{line}'");
        let output = command(&folder, &fish)
            .args(["--no-config", "-c", &script])
            .output()
            .expect("fish can be started");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let values = shown
            .lines()
            .map(|line| line.split('\t').next().unwrap_or(line));
        let mut values: Vec<String> = values.map(str::to_owned).collect();
        values.sort();
        values
    };
    assert_eq!(
        completed("telectl status -e kind-"),
        ["kind-central", "kind-edge"]
    );
    assert_eq!(completed("telectl deploy-"), ["deploy-all"]);
    assert_eq!(completed("telectl render edge -f la"), ["lab"]);
    assert_eq!(completed("telectl man --output-d"), ["--output-dir"]);
}
