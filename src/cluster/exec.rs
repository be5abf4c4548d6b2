//! Runs a program in a container of a pod, with its three streams over the API server (`pods/exec`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, AttachedProcess};
use kube::{Client, Config};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::client::Cluster;
use super::error::ClusterError;

/// Bytes of each stream that are held at most until the other side takes them.
const BUFFER: usize = 256 * 1024;
/// A way on which nothing comes for so long is gone. The client asks every 60 s whether the other side
/// is there, so a program may be silent for as long as it likes.
const SILENCE: Duration = Duration::from_secs(150);

/// A client that may have a connection to itself for a program: the other one shares its connection
/// among all requests, which HTTP/2 does and `pods/exec` does not.
pub(super) fn client(config: &Config) -> Result<Client, kube::Error> {
    let mut config = config.clone();
    config.read_timeout = Some(SILENCE);
    Client::try_from(config)
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// Nobody knows: the connection was cut before its end was told.
    Cut,
}

/// A program that runs in a container. Dropped, its streams end.
pub struct Exec {
    process: AttachedProcess,
    ended: JoinHandle<Ended>,
    cut: CancellationToken,
}

impl std::fmt::Debug for Exec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Exec")
    }
}

/// Something that can be written to.
pub type Sink = Box<dyn AsyncWrite + Send + Unpin>;
/// Something that can be read from.
pub type Source = Box<dyn AsyncRead + Send + Unpin>;

/// A stream that fails once the connection is cut: by itself it would then be silent for ever.
struct UntilCut<T> {
    stream: T,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<T> UntilCut<T> {
    fn new(stream: T, cut: &CancellationToken) -> Self {
        Self {
            stream,
            cut: Box::pin(cut.clone().cancelled_owned()),
        }
    }

    /// What came of it; while it waits, whether it does so in vain.
    fn checked<V>(
        &mut self,
        outcome: Poll<io::Result<V>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<V>> {
        if outcome.is_pending() && self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        outcome
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for UntilCut<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.checked(outcome, context)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for UntilCut<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.checked(outcome, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.checked(outcome, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.checked(outcome, context)
    }
}

impl Exec {
    fn new(mut process: AttachedProcess) -> Self {
        let cut = CancellationToken::new();
        let (status, told) = (process.take_status(), cut.clone());
        let ended = tokio::spawn(async move {
            let status = match status {
                Some(status) => status.await,
                None => None,
            };
            status.map_or_else(
                || {
                    told.cancel();
                    Ended::Cut
                },
                |status| ended(&status),
            )
        });
        Self {
            process,
            ended,
            cut,
        }
    }

    /// Standard input, output and error; each once, and empty afterwards. They fail when the connection
    /// is cut.
    pub fn streams(&mut self) -> (Sink, Source, Source) {
        let sink: Sink = match self.process.stdin() {
            Some(stream) => Box::new(UntilCut::new(stream, &self.cut)),
            None => Box::new(tokio::io::sink()),
        };
        let source = |stream: Option<_>| -> Source {
            match stream {
                Some(stream) => Box::new(UntilCut::new(stream, &self.cut)),
                None => Box::new(tokio::io::empty()),
            }
        };
        (
            sink,
            source(self.process.stdout()),
            source(self.process.stderr()),
        )
    }

    /// Waits for the program's end. Its output has to be read meanwhile.
    pub async fn end(self) -> Ended {
        self.ended.await.unwrap_or(Ended::Cut)
    }
}

/// The API tells the exit code as the cause of a failure.
fn ended(status: &Status) -> Ended {
    if status.status.as_deref() == Some("Success") {
        return Ended::Code(0);
    }
    let causes = status
        .details
        .iter()
        .filter_map(|details| details.causes.as_ref());
    let mut causes = causes.flatten();
    let code = causes.find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.and_then(|cause| cause.message.as_ref()?.parse().ok());
    code.map_or(Ended::Cut, Ended::Code)
}

impl Cluster {
    /// Starts a program in a container. It has no terminal.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn exec(
        &self,
        (namespace, pod, container): (&str, &str, &str),
        command: &[&str],
    ) -> Result<Exec, ClusterError> {
        let action = format!("running `{}` in pod {namespace}/{pod}", command[0]);
        let client = client(self.config()).map_err(|error| self.error(&action, error))?;
        let pods: Api<Pod> = Api::namespaced(client, namespace);
        let parameters = AttachParams {
            container: Some(container.to_owned()),
            stdin: true,
            stdout: true,
            stderr: true,
            tty: false,
            max_stdin_buf_size: Some(BUFFER),
            max_stdout_buf_size: Some(BUFFER),
            max_stderr_buf_size: Some(BUFFER),
        };
        let starting = pods.exec(pod, command.iter().copied(), &parameters);
        let process = self.request(&action, starting).await?;
        Ok(Exec::new(process))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn an_exit_code_is_told_as_the_cause_of_a_failure() {
        let status = |value| serde_json::from_value::<Status>(value).unwrap();
        assert_eq!(ended(&status(json!({"status": "Success"}))), Ended::Code(0));
        let failed = json!({
            "status": "Failure", "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
        });
        assert_eq!(ended(&status(failed)), Ended::Code(3));
        let lost = json!({"status": "Failure", "message": "the container is gone"});
        assert_eq!(ended(&status(lost)), Ended::Cut);
    }

    #[tokio::test]
    async fn streams_that_wait_fail_when_the_connection_is_cut() {
        let cut = CancellationToken::new();
        let (near, _far) = tokio::io::duplex(4);
        let mut stream = UntilCut::new(near, &cut);
        stream.write_all(b"full").await.unwrap();
        cut.cancel();
        let mut one = [0];
        let read = stream.read(&mut one).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        let written = stream.write(b"more").await;
        assert_eq!(
            written.unwrap_err().kind(),
            io::ErrorKind::ConnectionAborted
        );
    }
}
