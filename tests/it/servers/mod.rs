//! Real servers for the tests: on free loopback ports, in temporary folders, gone with the test.
//!
//! A server that is not installed is a visible skip on a person's machine (`start` answers `None`)
//! and a failure where `CI=true`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, Once, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use telectl::config::environment::Environment;

pub(crate) mod etcd;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod redis_cluster;
pub(crate) mod sentinels;

/// Longest time that a server may take to answer for the first time.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(20);

/// A loopback port that nobody listens on and that this process has not handed out before.
///
/// Below the range that the kernel takes ports of outgoing connections from.
pub(crate) fn free_port() -> u16 {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1000 {
        let port = rand::random_range(15_000..32_000);
        if !taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.insert(port);
            return port;
        }
    }
    panic!("no free loopback port");
}

/// The path of a program on `PATH` or in one of `folders`. If it is missing: `None` after a visible
/// note, or a panic where `CI=true`.
pub(crate) fn program(name: &str, folders: &[&str]) -> Option<PathBuf> {
    let environment = Environment::of_process();
    let found = environment
        .get("PATH")
        .unwrap_or_default()
        .split(':')
        .chain(folders.iter().copied())
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        missing(&format!("`{name}`"));
    }
    found
}

/// Notes visibly that a test is skipped because of what is not installed; panics where `CI=true`.
fn missing(what: &str) {
    assert!(
        Environment::of_process().get("CI") != Some("true"),
        "{what} is not installed, and CI=true forbids to skip"
    );
    let test = std::thread::current();
    // Not eprintln!: the test harness hides that for a test that passes.
    writeln!(
        std::io::stderr(),
        "SKIPPED {}: {what} is not installed",
        test.name().unwrap_or("a test")
    )
    .expect("standard error is open");
}

/// Polls until there is an answer; panics at the deadline, naming what it waited for.
pub(crate) async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut poll: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = poll().await {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "still waiting for {what} after {limit:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A child process that is killed when it is dropped and that dies with the test process.
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `folder/log`.
    ///
    /// The command runs under `setpriv --pdeathsig KILL`; pass further options of `setpriv` (such
    /// as `--reuid`) in `privileges`.
    pub(crate) fn start(command: &Command, privileges: &[&str], folder: &Path) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = folder.join("log");
        let output = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("the server's log can be opened");
        let errors = output.try_clone().expect("the log's handle can be shared");
        let mut wrapped = Command::new("setpriv");
        wrapped
            .args(["--pdeathsig", "KILL"])
            .args(privileges)
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(variable, value),
                None => wrapped.env_remove(variable),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            wrapped.current_dir(folder);
        }
        let child = spawn(wrapped).unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { child, name, log }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Polls until the server answers; panics with its log if it exits or the time passes.
    pub(crate) async fn wait_until_ready(&mut self, mut answers: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + START_LIMIT;
        while !answers().await {
            let exited = self.child.try_wait().expect("the child can be waited for");
            assert!(
                exited.is_none() && Instant::now() < deadline,
                "{} does not answer (exit: {exited:?}); its log:\n{}",
                self.name,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal by name, such as `TERM`, `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status()
            .expect("`kill` runs");
        assert!(status.success(), "cannot send {name} to {}", self.name);
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // Fails only if it is gone already, which is what was asked for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Spawns from one thread that lives as long as the process: the death signal is sent when the
/// spawning *thread* ends, and a test's thread ends before a server that tests share.
fn spawn(command: Command) -> std::io::Result<Child> {
    type Request = (Command, Sender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, inbox) = channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                drop(answer.send(command.spawn()));
            }
        });
        Mutex::new(requests)
    });
    let (answer, child) = channel();
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .expect("the spawner lives as long as the process");
    child.recv().expect("the spawner answers")
}

/// Installs the TLS provider, as `main` does.
pub(crate) fn install_tls_provider() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // A library that a test used before may have chosen already: there is only one to choose.
        let chosen = rustls::crypto::ring::default_provider().install_default();
        assert!(chosen.is_ok() || rustls::crypto::CryptoProvider::get_default().is_some());
    });
}

/// A request over HTTP. The client wants a TLS provider, whatever the URL.
pub(crate) async fn get(url: impl reqwest::IntoUrl) -> reqwest::Result<reqwest::Response> {
    install_tls_provider();
    reqwest::get(url).await
}

/// A client that trusts an authority (PEM) and nobody else, and keeps no connection.
pub(crate) fn https_client(authority: &str) -> reqwest::Client {
    install_tls_provider();
    let authority = reqwest::Certificate::from_pem(authority.as_bytes()).expect("an authority");
    reqwest::Client::builder()
        .tls_certs_only([authority])
        .pool_max_idle_per_host(0)
        .no_proxy()
        .build()
        .expect("a client")
}

/// A private authority and a server certificate that it signed, all PEM.
pub(crate) struct Certificates {
    /// The authority's certificate.
    pub(crate) ca: String,
    /// The server's certificate.
    pub(crate) certificate: String,
    /// The server's key.
    pub(crate) key: String,
}

impl Certificates {
    /// A new authority and a certificate for these names and addresses.
    pub(crate) fn for_names(names: &[&str]) -> Self {
        let ca_key = rcgen::KeyPair::generate().expect("a key");
        let mut ca = rcgen::CertificateParams::default();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        ca.distinguished_name
            .push(rcgen::DnType::CommonName, "telectl test authority");
        ca.key_usages = vec![
            rcgen::KeyUsagePurpose::KeyCertSign,
            rcgen::KeyUsagePurpose::CrlSign,
        ];
        let ca_certificate = ca.self_signed(&ca_key).expect("a self-signed certificate");
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut server = rcgen::CertificateParams::new(names).expect("valid names");
        server.extended_key_usages = vec![
            rcgen::ExtendedKeyUsagePurpose::ServerAuth,
            rcgen::ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = server.signed_by(&key, &issuer).expect("a certificate");
        Self {
            ca: ca_certificate.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// Writes `ca.crt`, `tls.crt` and `tls.key` into a folder.
    pub(crate) fn write_to(&self, folder: &Path) {
        for (name, text) in [
            ("ca.crt", &self.ca),
            ("tls.crt", &self.certificate),
            ("tls.key", &self.key),
        ] {
            std::fs::write(folder.join(name), text).expect("the certificate can be written");
        }
    }
}
