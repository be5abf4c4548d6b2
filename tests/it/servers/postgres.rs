//! A real PostgreSQL.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use telectl::config::worker::{DatabaseSettings, SslMode};
use telectl::model::endpoint::Endpoint;
use telectl::model::secret::Secret;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{Certificates, Process, free_port, install_tls_provider, missing, program};

/// Where Debian keeps the server's programs.
pub(crate) const FOLDERS: [&str; 3] = [
    "/usr/lib/postgresql/15/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/17/bin",
];
/// Superuser of the test servers, named as in the manifests.
const USER: &str = "telemetry";
/// Their password.
const PASSWORD: &str = "postgres-canary-5b1e";
/// User and group `nobody`: the server refuses to run as root.
const NOBODY: u32 = 65_534;

/// A running server.
pub(crate) struct PostgresServer {
    /// Folder of the server's programs.
    programs: PathBuf,
    /// Folder of `psql` and `pg_isready`.
    clients: PathBuf,
    folder: TempDir,
    process: Option<Process>,
    port: u16,
    certificates: Option<Certificates>,
    databases: AtomicU32,
}

impl PostgresServer {
    /// One server for all tests that run at the same time; `None` if there is none on this
    /// machine. It stops when the last of them ends.
    pub(crate) async fn shared() -> Option<Arc<Self>> {
        Self::shared_of(None).await
    }

    /// The same of a major version that is not the installed one.
    pub(crate) async fn shared_of(major: Option<u32>) -> Option<Arc<Self>> {
        type Servers = BTreeMap<Option<u32>, Weak<PostgresServer>>;
        static SHARED: Mutex<Servers> = Mutex::const_new(BTreeMap::new());
        let mut shared = SHARED.lock().await;
        if let Some(server) = shared.get(&major).and_then(Weak::upgrade) {
            return Some(server);
        }
        let server = match major {
            None => Self::start(None).await?,
            Some(major) => Self::start_major(major).await?,
        };
        let server = Arc::new(server);
        shared.insert(major, Arc::downgrade(&server));
        Some(server)
    }

    /// A server of its own, with TLS if there are certificates.
    pub(crate) async fn start(certificates: Option<Certificates>) -> Option<Self> {
        let programs = installed()?;
        let folder = TempDir::new().expect("a temporary folder");
        Some(Self::begin(programs.clone(), programs, folder, certificates).await)
    }

    /// A server of its own, of a major version that is not the installed one.
    pub(crate) async fn start_major(major: u32) -> Option<Self> {
        let clients = installed()?;
        let archive = fetched(major)?;
        let folder = TempDir::new().expect("a temporary folder");
        let unpacked = Command::new("tar")
            .args(["--no-same-owner", "-xJf"])
            .arg(&archive)
            .arg("-C")
            .arg(folder.path())
            .status();
        assert!(unpacked.expect("tar runs").success(), "{archive:?}");
        let programs = folder.path().join("bin");
        Some(Self::begin(programs, clients, folder, None).await)
    }

    async fn begin(
        programs: PathBuf,
        clients: PathBuf,
        folder: TempDir,
        certificates: Option<Certificates>,
    ) -> Self {
        install_tls_provider();
        std::fs::write(folder.path().join("password"), PASSWORD).expect("a file");
        give_away(folder.path());
        give_away(&folder.path().join("password"));
        initialise(&programs, folder.path());
        if let Some(certificates) = &certificates {
            certificates.write_to(folder.path());
            let key = folder.path().join("tls.key");
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("mode");
            give_away(&key);
        }
        let mut server = Self {
            programs,
            clients,
            folder,
            process: None,
            port: free_port(),
            certificates,
            databases: AtomicU32::new(0),
        };
        server.start_again().await;
        server
    }

    /// The process, for signals.
    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().expect("it was started")
    }

    /// Stops it as a crash would; connections are refused until [`Self::start_again`].
    pub(crate) fn stop(&mut self) {
        stop(&self.programs, self.folder.path());
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    /// Starts it again with its data.
    pub(crate) async fn start_again(&mut self) {
        let tls = self.certificates.is_some();
        let mut process = launch(&self.programs, self.folder.path(), self.port, tls);
        let ready = self.clients.join("pg_isready");
        let port = self.port.to_string();
        process
            .wait_until_ready(async || {
                Command::new(&ready)
                    .args(["-q", "-h", "127.0.0.1", "-p", &port])
                    .status()
                    .is_ok_and(|status| status.success())
            })
            .await;
        self.process = Some(process);
    }

    /// Lets a stopped server start as a standby, which waits to be promoted.
    pub(crate) fn be_standby(&self) {
        let signal = self.folder.path().join("data").join("standby.signal");
        std::fs::write(&signal, "").expect("a file");
        give_away(&signal);
    }

    /// From now on, lets nobody in who does not speak TLS.
    pub(crate) fn refuse_plaintext(&self) {
        let rules = self.folder.path().join("data").join("pg_hba.conf");
        std::fs::write(&rules, "hostssl all all all scram-sha-256\n").expect("a file");
        give_away(&rules);
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// A new, empty database, and how a worker reaches it.
    pub(crate) fn database(&self) -> DatabaseSettings {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        DatabaseSettings {
            endpoint: Endpoint::new("127.0.0.1", self.port),
            name,
            user: USER.to_owned(),
            password: Some(Secret::from(PASSWORD)),
            ssl_mode: match self.certificates {
                Some(_) => SslMode::VerifyFull,
                None => SslMode::Disable,
            },
            ca_cert: self
                .certificates
                .as_ref()
                .map(|certificates| certificates.ca.clone()),
        }
    }

    /// Runs statements as superuser; answers the fields of the result, unaligned.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> String {
        let output = self.psql(database, statements).output();
        let output = output.expect("psql runs");
        assert!(
            output.status.success(),
            "{statements}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The same beside whatever else is done.
    pub(crate) fn session(&self, database: &str, statements: &str) -> Child {
        let mut command = self.psql(database, statements);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("psql runs")
    }

    fn psql(&self, database: &str, statements: &str) -> Command {
        let mut command = Command::new(self.clients.join("psql"));
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", USER, "-d", database, "-c", statements])
            .env("PGPASSWORD", PASSWORD);
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Not only killed: a killed server leaves shared memory behind.
        stop(&self.programs, self.folder.path());
    }
}

/// The folder of the installed server's programs.
fn installed() -> Option<PathBuf> {
    // What is on PATH may be a link; its neighbours are beside what it points to.
    let server = program("postgres", &FOLDERS)?;
    let server = server.canonicalize().expect("the program exists");
    Some(server.parent()?.to_owned())
}

/// An archive with a server that is not the installed one.
fn fetched(major: u32) -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/fetch.sh");
    let fetched = Command::new(script).arg(major.to_string()).output();
    let fetched = fetched.expect("there is a shell");
    let path = PathBuf::from(String::from_utf8_lossy(&fetched.stdout).trim());
    let found = (fetched.status.success() && path.is_file()).then_some(path);
    if found.is_none() {
        let why = String::from_utf8_lossy(&fetched.stderr);
        missing(&format!("PostgreSQL {major} ({})", why.trim()));
    }
    found
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Makes a file or folder the server's.
fn give_away(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
    }
}

/// Options of `setpriv` that make a command run as the server's user.
fn privileges() -> &'static [&'static str] {
    if is_root() {
        &["--reuid", "65534", "--regid", "65534", "--clear-groups"]
    } else {
        &[]
    }
}

fn run(program: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new("setpriv")
        .args(privileges())
        .arg("--")
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("setpriv runs")
}

fn initialise(programs: &Path, folder: &Path) {
    let data = folder.join("data").display().to_string();
    let password = folder.join("password").display().to_string();
    let arguments = [
        "-D",
        &data,
        "-U",
        USER,
        "--pwfile",
        &password,
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale",
        "C",
        "--no-sync",
    ];
    let output = run(&programs.join("initdb"), &arguments);
    assert!(
        output.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn launch(programs: &Path, folder: &Path, port: u16, tls: bool) -> Process {
    let mut command = Command::new(programs.join("postgres"));
    command.arg("-D").arg(folder.join("data"));
    command.arg("-k").arg(folder);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    for setting in [
        "fsync=off",
        "shared_buffers=32MB",
        "dynamic_shared_memory_type=mmap",
    ] {
        command.args(["-c", setting]);
    }
    if tls {
        command.args(["-c", "ssl=on"]);
        for (setting, file) in [("ssl_cert_file", "tls.crt"), ("ssl_key_file", "tls.key")] {
            let path = folder.join(file);
            command
                .arg("-c")
                .arg(format!("{setting}={}", path.display()));
        }
    }
    Process::start(&command, privileges(), folder)
}

fn stop(programs: &Path, folder: &Path) {
    let data = folder.join("data").display().to_string();
    // Fails if it is not running, which is what was asked for.
    drop(run(
        &programs.join("pg_ctl"),
        &["-D", &data, "-m", "immediate", "-t", "10", "stop"],
    ));
}
