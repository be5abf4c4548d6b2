//! A real redis-server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use telectl::config::worker::{RedisServers, RedisSettings};
use telectl::model::endpoint::Endpoint;
use telectl::model::secret::Secret;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Certificates, Process, free_port, install_tls_provider, missing, program};

/// Which server is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RedisKind {
    /// The installed one: Debian's 7.0.
    #[default]
    Installed,
    /// The oldest that telectl speaks to. It comes without TLS.
    Redis62,
    /// The newest that there is a package of. It comes without TLS.
    Valkey91,
}

impl RedisKind {
    /// The path of the server; `None` after a visible note if it cannot be had, or a panic where
    /// `CI=true`.
    pub(crate) fn program(self) -> Option<PathBuf> {
        let name = match self {
            Self::Installed => return program("redis-server", &[]),
            Self::Redis62 => "redis-6.2",
            Self::Valkey91 => "valkey-9.1",
        };
        let fetched = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis/fetch.sh"))
            .arg(name)
            .output()
            .expect("there is a shell");
        let path = PathBuf::from(String::from_utf8_lossy(&fetched.stdout).trim());
        let found = (fetched.status.success() && path.is_file()).then_some(path);
        if found.is_none() {
            missing(&format!(
                "{name} ({})",
                String::from_utf8_lossy(&fetched.stderr).trim()
            ));
        }
        found
    }
}

/// How a server is started.
#[derive(Default)]
pub(crate) struct RedisOptions {
    /// Which server.
    pub(crate) kind: RedisKind,
    /// Password of the default user.
    pub(crate) password: Option<&'static str>,
    /// Speak TLS, and only TLS, with these certificates.
    pub(crate) certificates: Option<Certificates>,
    /// On which the nodes of a cluster talk to each other.
    pub(crate) bus_port: Option<u16>,
    /// More lines of configuration, as arguments.
    pub(crate) arguments: Vec<&'static str>,
}

/// A running server without persistence: a restart forgets everything.
pub(crate) struct RedisServer {
    server: PathBuf,
    folder: TempDir,
    process: Process,
    options: RedisOptions,
    port: u16,
}

impl RedisServer {
    /// A plain server; `None` if there is none on this machine.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(RedisOptions::default()).await
    }

    /// A server with options; `None` if there is none on this machine.
    pub(crate) async fn start_with(options: RedisOptions) -> Option<Self> {
        install_tls_provider();
        let server = options.kind.program()?;
        let folder = TempDir::new().expect("a temporary folder");
        if let Some(certificates) = &options.certificates {
            certificates.write_to(folder.path());
        }
        let port = free_port();
        let process = launch(&server, &folder, &options, port).await;
        Some(Self {
            server,
            folder,
            process,
            options,
            port,
        })
    }

    /// The process, for signals.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Kills it; connections are refused until [`Self::start_again`].
    pub(crate) fn stop(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port, empty.
    pub(crate) async fn start_again(&mut self) {
        self.process = launch(&self.server, &self.folder, &self.options, self.port).await;
    }

    /// Kills it and starts it again on the same port, empty.
    pub(crate) async fn restart(&mut self) {
        self.stop();
        self.start_again().await;
    }

    /// What a worker needs to reach it: two shards, takeover after 2 s.
    pub(crate) fn settings(&self) -> RedisSettings {
        RedisSettings {
            servers: RedisServers::One(self.endpoint()),
            tls: self.options.certificates.is_some(),
            client: None,
            ca_cert: self
                .options
                .certificates
                .as_ref()
                .map(|certificates| certificates.ca.clone()),
            username: None,
            password: self.options.password.map(Secret::from),
            database: 0,
            pipeline: "lab".to_owned(),
            shards: 2,
            claim_idle: Duration::from_secs(2),
        }
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new("127.0.0.1", self.port)
    }

    /// Runs one command with `redis-cli` and answers what it printed.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]);
        if let Some(password) = self.options.password {
            command.args(["--no-auth-warning", "-a", password]);
        }
        if self.options.certificates.is_some() {
            command.arg("--tls").arg("--cacert");
            command.arg(self.folder.path().join("ca.crt"));
        }
        let output = command.args(arguments).output().expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

async fn launch(server: &Path, folder: &TempDir, options: &RedisOptions, port: u16) -> Process {
    let path = folder.path();
    let mut command = Command::new(server);
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(path);
    if options.certificates.is_some() {
        command.args(["--port", "0", "--tls-port", &port.to_string()]);
        for (option, file) in [
            ("--tls-ca-cert-file", "ca.crt"),
            ("--tls-cert-file", "tls.crt"),
            ("--tls-key-file", "tls.key"),
        ] {
            command.arg(option).arg(path.join(file));
        }
        command.args(["--tls-auth-clients", "no"]);
    } else {
        command.args(["--port", &port.to_string()]);
    }
    if let Some(password) = options.password {
        command.args(["--requirepass", password]);
    }
    if let Some(port) = options.bus_port {
        command.args(["--cluster-port", &port.to_string()]);
    }
    command.args(&options.arguments);
    let mut process = Process::start(&command, &[], path);
    let plain = options.certificates.is_none();
    process
        .wait_until_ready(async || answers(port, plain).await.is_ok())
        .await;
    process
}

/// Plain: it answers PING with anything. TLS: it accepts the connection.
async fn answers(port: u16, plain: bool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    if plain {
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        if !answer.starts_with(b"+PONG") && !answer.starts_with(b"-NOAU") {
            return Err(std::io::Error::other("not ready"));
        }
    }
    Ok(())
}
