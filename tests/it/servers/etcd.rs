//! A real etcd.

use std::process::Command;
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use telectl::config::worker::EtcdSettings;
use telectl::model::secret::Secret;
use telectl::registry::etcd::EtcdRegistry;
use tempfile::TempDir;

use super::{Certificates, Process, free_port, install_tls_provider, program};

/// User and password where the server asks for them.
pub(crate) const LOGIN: (&str, &str) = ("root", "canary-7d20-etcd");

/// How a server is started.
#[derive(Default)]
pub(crate) struct EtcdOptions {
    /// Speak TLS, and only to clients with a certificate of the same authority.
    pub(crate) certificates: Option<Certificates>,
    /// Ask for [`LOGIN`].
    pub(crate) authentication: bool,
}

/// What a restart finds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// What was there before.
    Kept,
    /// Nothing.
    Lost,
}

/// A running server.
pub(crate) struct EtcdServer {
    folder: TempDir,
    process: Process,
    options: EtcdOptions,
    port: u16,
    peer_port: u16,
}

impl EtcdServer {
    /// A plain server; `None` if there is none on this machine.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(EtcdOptions::default()).await
    }

    /// A server with options; `None` if there is none on this machine.
    pub(crate) async fn start_with(options: EtcdOptions) -> Option<Self> {
        install_tls_provider();
        program("etcd", &[])?;
        let folder = TempDir::new().expect("a temporary folder");
        if let Some(certificates) = &options.certificates {
            certificates.write_to(folder.path());
        }
        let (port, peer_port) = (free_port(), free_port());
        let process = launch(&folder, &options, port, peer_port);
        let mut server = Self {
            folder,
            process,
            options,
            port,
            peer_port,
        };
        server.wait(None).await;
        if server.options.authentication {
            server.enable_authentication().await;
        }
        Some(server)
    }

    /// The process, for signals.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Kills it; connections are refused until [`Self::start_again`].
    pub(crate) fn stop(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port.
    pub(crate) async fn start_again(&mut self, data: Data) {
        if data == Data::Lost {
            std::fs::remove_dir_all(self.folder.path().join("data")).expect("the data can go");
        }
        self.process = launch(&self.folder, &self.options, self.port, self.peer_port);
        let login = (self.options.authentication && data == Data::Kept).then_some(LOGIN);
        self.wait(login).await;
    }

    /// What a worker needs to reach it.
    pub(crate) fn settings(&self) -> EtcdSettings {
        let certificates = self.options.certificates.as_ref();
        EtcdSettings {
            endpoints: vec![self.url()],
            ca_cert: certificates.map(|certificates| certificates.ca.clone()),
            client: certificates.map(|certificates| {
                let key = Secret::new(certificates.key.clone());
                (certificates.certificate.clone(), key)
            }),
            login: self
                .options
                .authentication
                .then(|| (LOGIN.0.to_owned(), Secret::from(LOGIN.1))),
            lease_ttl: Duration::from_secs(3),
        }
    }

    /// The registry in it.
    pub(crate) fn registry(&self) -> EtcdRegistry {
        EtcdRegistry::new(self.settings())
    }

    /// A client of its own, to look behind the registry's back.
    pub(crate) async fn client(&self) -> Client {
        let login = self.options.authentication.then_some(LOGIN);
        connect(self.port, &self.options, login)
            .await
            .expect("etcd answers")
    }

    fn url(&self) -> String {
        url(self.port, &self.options)
    }

    async fn wait(&mut self, login: Option<(&str, &str)>) {
        let (port, options) = (self.port, &self.options);
        self.process
            .wait_until_ready(async || answers(port, options, login).await.is_ok())
            .await;
    }

    async fn enable_authentication(&self) {
        let mut client = connect(self.port, &self.options, None)
            .await
            .expect("etcd answers");
        let (user, password) = LOGIN;
        client.user_add(user, password, None).await.expect("a user");
        client.user_grant_role(user, "root").await.expect("a role");
        client.auth_enable().await.expect("authentication");
    }
}

fn launch(folder: &TempDir, options: &EtcdOptions, port: u16, peer_port: u16) -> Process {
    let path = folder.path();
    let url = url(port, options);
    let peer_url = format!("http://127.0.0.1:{peer_port}");
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(path.join("data"));
    command.args(["--name", "test", "--logger", "zap", "--log-level", "warn"]);
    command.args([
        "--listen-client-urls",
        &url,
        "--advertise-client-urls",
        &url,
    ]);
    command.args(["--listen-peer-urls", &peer_url]);
    command.args(["--initial-advertise-peer-urls", &peer_url]);
    command.args(["--initial-cluster", &format!("test={peer_url}")]);
    if options.certificates.is_some() {
        for (option, file) in [
            ("--trusted-ca-file", "ca.crt"),
            ("--cert-file", "tls.crt"),
            ("--key-file", "tls.key"),
        ] {
            command.arg(option).arg(path.join(file));
        }
        command.arg("--client-cert-auth");
    }
    Process::start(&command, &[], path)
}

fn url(port: u16, options: &EtcdOptions) -> String {
    match options.certificates {
        Some(_) => format!("https://127.0.0.1:{port}"),
        None => format!("http://127.0.0.1:{port}"),
    }
}

async fn connect(
    port: u16,
    options: &EtcdOptions,
    login: Option<(&str, &str)>,
) -> Result<Client, etcd_client::Error> {
    let mut connect = ConnectOptions::new()
        .with_connect_timeout(Duration::from_secs(1))
        .with_timeout(Duration::from_secs(2));
    if let Some((user, password)) = login {
        connect = connect.with_user(user, password);
    }
    if let Some(certificates) = &options.certificates {
        let identity = Identity::from_pem(&certificates.certificate, &certificates.key);
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(&certificates.ca))
            .identity(identity);
        connect = connect.with_tls(tls);
    }
    Client::connect([url(port, options)], Some(connect)).await
}

async fn answers(
    port: u16,
    options: &EtcdOptions,
    login: Option<(&str, &str)>,
) -> Result<(), etcd_client::Error> {
    let mut client = connect(port, options, login).await?;
    client.get("ready", None).await.map(drop)
}
