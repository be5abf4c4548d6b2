//! The real binary, as a person or a kubelet runs it.

use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest time for the program to say or do what is expected: a debug build on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A running `telectl`. It is killed when it is dropped and dies with the test.
pub(crate) struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
    said: String,
    /// Reads standard error all the time: a full pipe would stop the program.
    errors: JoinHandle<String>,
}

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_telectl")])
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    timeout(LIMIT, command(arguments, environment).output())
        .await
        .expect("the program ends in time")
        .expect("the program starts")
}

/// Runs it to its end with a standard output whose reader is gone, as after `| head`.
pub(crate) async fn run_unread(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let (reader, writer) = std::io::pipe().expect("there are pipes");
    drop(reader);
    let mut command = command(arguments, environment);
    let child = command.stdout(writer).spawn().expect("the program starts");
    timeout(LIMIT, child.wait_with_output())
        .await
        .expect("the program ends in time")
        .expect("it can be waited for")
}

impl Program {
    /// Starts it with nothing but these variables.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = command(arguments, environment)
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("its output is piped");
        let mut stderr = child.stderr.take().expect("its errors are piped");
        let errors = tokio::spawn(async move {
            let mut errors = String::new();
            let read = stderr.read_to_string(&mut errors).await;
            read.expect("its errors are text");
            errors
        });
        Self {
            child,
            stdout: BufReader::new(stdout),
            said: String::new(),
            errors,
        }
    }

    /// Reads standard output up to and including the first line that `is_it` takes.
    pub(crate) async fn line(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        let found = timeout(LIMIT, async {
            loop {
                let mut line = String::new();
                let read = self.stdout.read_line(&mut line).await;
                if read.expect("its output can be read") == 0 {
                    return None;
                }
                self.said.push_str(&line);
                if is_it(line.trim_end()) {
                    return Some(line.trim_end().to_owned());
                }
            }
        })
        .await;
        match found {
            Ok(Some(line)) => line,
            other => panic!(
                "the line does not come ({other:?}); it said:\n{}",
                self.said
            ),
        }
    }

    /// Sends a signal by name, such as `TERM` or `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().expect("it still runs").to_string();
        let status = std::process::Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .expect("`kill` runs");
        assert!(status.success(), "cannot send {name}");
    }

    /// Reads nothing more of its standard output, and waits for its end as [`Self::end`] does.
    pub(crate) async fn end_unread(self) -> (ExitStatus, String) {
        let Self {
            child,
            stdout,
            errors,
            ..
        } = self;
        drop(stdout);
        end(child, errors).await
    }

    /// Waits for its end; answers how it ended and what it wrote to standard error.
    pub(crate) async fn end(self) -> (ExitStatus, String) {
        let Self {
            child,
            stdout,
            errors,
            ..
        } = self;
        let ended = end(child, errors).await;
        drop(stdout);
        ended
    }
}

async fn end(mut child: Child, errors: JoinHandle<String>) -> (ExitStatus, String) {
    timeout(LIMIT, async {
        let errors = errors.await.expect("its errors can be read");
        let ended = child.wait().await.expect("it can be waited for");
        (ended, errors)
    })
    .await
    .expect("the program ends in time")
}
