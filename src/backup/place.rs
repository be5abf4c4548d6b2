//! Where PostgreSQL's own programs run: in the pod of the database, or on this machine.

use std::io;
use std::process::Stdio;

use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::cluster::exec::{Ended, Exec, Sink, Source};
use crate::cluster::{Cluster, pod};
use crate::config::worker::{DatabaseSettings, SslMode};
use crate::model::component::Component;
use crate::model::labels::{COMPONENT, SERVING};
use crate::model::secret::Secret;

use super::BackupError;

/// Bytes of a program's complaints that are kept.
const COMPLAINTS: u64 = 64 * 1024;
/// What the shell says with this code: there is no such program.
const NOT_FOUND: i32 = 127;

/// Before every script: user and database as the server's image has them, where nothing else says them,
/// and texts that mean the same everywhere.
const PREAMBLE: &str = "\
export LC_ALL=C PGTZ=UTC PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=20 PGAPPNAME='telectl backup'
export PGUSER=\"${PGUSER:-$POSTGRES_USER}\" PGDATABASE=\"${PGDATABASE:-$POSTGRES_DB}\"
";

/// A place where the programs run and reach the database.
#[derive(Debug)]
pub enum Place {
    /// In a container of the database's pod, as whoever is inside.
    Pod(Box<PodPlace>),
    /// On this machine, over the network.
    Local(LocalPlace),
}

/// A container of the database's pod.
#[derive(Debug)]
pub struct PodPlace {
    cluster: Cluster,
    namespace: String,
    pod: String,
    container: String,
}

/// This machine.
#[derive(Debug)]
pub struct LocalPlace {
    address: String,
    variables: Vec<(&'static str, String)>,
    password: Option<Secret<String>>,
    /// libpq reads the authority from a file.
    _authority: Option<NamedTempFile>,
}

/// A program that runs.
pub(super) struct Program {
    /// What it reads.
    pub(super) input: Sink,
    /// What it writes.
    pub(super) output: Source,
    complaints: Option<JoinHandle<String>>,
    running: Option<Running>,
}

enum Running {
    Pod(Exec),
    Local(Child),
}

impl Place {
    /// The pod of a namespace that runs PostgreSQL.
    ///
    /// # Errors
    /// When there is none that is ready, or the API server cannot be asked.
    pub async fn in_cluster(cluster: &Cluster, namespace: &str) -> Result<Self, BackupError> {
        let labels = format!("{COMPONENT}={}", Component::Postgresql.name());
        let pods = cluster.pods(namespace, &labels).await?;
        let serves = |one: &&Value| pod::is_ready(one) && !pod::is_going(one);
        let Some(found) = pods.iter().find(serves) else {
            return Err(match pods.first() {
                Some(unwell) => BackupError::NotReady {
                    pod: name(unwell),
                    why: pod::not_ready(unwell),
                },
                None => BackupError::NoPod {
                    cluster: cluster.name().to_owned(),
                    namespace: namespace.to_owned(),
                },
            });
        };
        let container = pod::main_container(found)["name"].as_str();
        Ok(Self::Pod(Box::new(PodPlace {
            cluster: cluster.clone(),
            namespace: namespace.to_owned(),
            pod: name(found),
            container: container.unwrap_or_default().to_owned(),
        })))
    }

    /// This machine, for a database that the workers' variables name.
    ///
    /// # Errors
    /// When the authority cannot be written where libpq finds it.
    pub fn local(settings: &DatabaseSettings) -> Result<Self, BackupError> {
        let authority = settings.ca_cert.as_deref().map(written).transpose();
        let authority = authority.map_err(BackupError::Temporary)?;
        let mode = match settings.ssl_mode {
            SslMode::Disable => "disable",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        };
        let mut variables = vec![
            ("PGHOST", settings.endpoint.host.clone()),
            ("PGPORT", settings.endpoint.port.to_string()),
            ("PGDATABASE", settings.name.clone()),
            ("PGUSER", settings.user.clone()),
            ("PGSSLMODE", mode.to_owned()),
        ];
        if let Some(file) = &authority {
            variables.push(("PGSSLROOTCERT", file.path().display().to_string()));
        }
        Ok(Self::Local(LocalPlace {
            address: settings.endpoint.to_string(),
            variables,
            password: settings.password.clone(),
            _authority: authority,
        }))
    }

    /// Refuses to go on while a cluster runs collectors, whether they have found the database or not.
    ///
    /// # Errors
    /// When there are some, or the API server cannot be asked.
    pub async fn refuse_collectors(&self) -> Result<(), BackupError> {
        let Self::Pod(place) = self else {
            return Ok(());
        };
        // A probe in a collector's place stores nothing.
        let labels = format!("{COMPONENT}={},{SERVING}=true", Component::Collector.name());
        let pods = place.cluster.pods(&place.namespace, &labels).await?;
        let is_over = |pod: &Value| {
            let phase = pod["status"]["phase"].as_str();
            matches!(phase, Some("Succeeded" | "Failed"))
        };
        let run = pods.iter().filter(|pod| !is_over(pod));
        let pods: Vec<String> = run.map(name).collect();
        if pods.is_empty() {
            return Ok(());
        }
        Err(BackupError::CollectorsRun {
            cluster: place.cluster.name().to_owned(),
            namespace: place.namespace.clone(),
            pods,
        })
    }

    /// As it is named in messages.
    pub fn name(&self) -> String {
        match self {
            Self::Pod(place) => format!(
                "pod {}/{} of cluster {}",
                place.namespace,
                place.pod,
                place.cluster.name()
            ),
            Self::Local(place) => format!("the database at {}", place.address),
        }
    }

    /// Starts a script of the shell.
    pub(super) async fn start(&self, script: &str) -> Result<Program, BackupError> {
        let script = format!("{PREAMBLE}{script}");
        match self {
            Self::Pod(place) => {
                let container = (&*place.namespace, &*place.pod, &*place.container);
                let command = ["sh", "-c", &script];
                let mut exec = place.cluster.exec(container, &command).await?;
                let (input, output, errors) = exec.streams();
                Ok(Program::new(input, output, errors, Running::Pod(exec)))
            }
            Self::Local(place) => {
                let mut child = place.spawn(&script).map_err(BackupError::Start)?;
                let input = taken(child.stdin.take())?;
                let (output, errors) = (taken(child.stdout.take())?, taken(child.stderr.take())?);
                let running = Running::Local(child);
                Ok(Program::new(
                    Box::new(input),
                    Box::new(output),
                    Box::new(errors),
                    running,
                ))
            }
        }
    }
}

fn name(pod: &Value) -> String {
    let name = pod["metadata"]["name"].as_str();
    name.unwrap_or_default().to_owned()
}

fn written(text: &str) -> io::Result<NamedTempFile> {
    let file = NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    Ok(file)
}

fn taken<T>(stream: Option<T>) -> Result<T, BackupError> {
    stream.ok_or_else(|| BackupError::Start(io::Error::other("a stream is missing")))
}

/// Variables of PostgreSQL's clients that the settings have no counterpart of.
const FOREIGN: [&str; 18] = [
    "PGCHANNELBINDING",
    "PGCLIENTENCODING",
    "PGCONNECT_TIMEOUT",
    "PGGSSENCMODE",
    "PGHOSTADDR",
    "PGLOADBALANCEHOSTS",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGREQUIREAUTH",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLCERTMODE",
    "PGSSLCRL",
    "PGSSLKEY",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLNEGOTIATION",
    "PGTARGETSESSIONATTRS",
];

impl LocalPlace {
    fn spawn(&self, script: &str) -> io::Result<Child> {
        let mut command = Command::new("sh");
        // What the user's shell has for other databases would say other things than the settings.
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .args(["-c", script])
            .envs(self.variables.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password.expose());
        }
        command.spawn()
    }
}

impl Program {
    fn new(input: Sink, output: Source, errors: Source, running: Running) -> Self {
        Self {
            input,
            output,
            complaints: Some(tokio::spawn(heard(errors))),
            running: Some(running),
        }
    }

    /// Ends what it reads. A pipe ends when it is dropped, a stream when that is said.
    pub(super) async fn close(&mut self) {
        drop(self.input.shutdown().await);
        self.input = Box::new(tokio::io::sink());
    }

    /// Ends what it reads, reads its output to the end and waits for its own; `doing` is what it did, as
    /// a verb phrase.
    ///
    /// # Errors
    /// With its complaints if it failed, and when the connection was cut before its end; without an
    /// error, its complaints are the answer.
    pub(super) async fn finish(
        &mut self,
        doing: &'static str,
        place: &Place,
    ) -> Result<String, BackupError> {
        self.close().await;
        // A program that is not read from would wait for that.
        drop(tokio::io::copy(&mut self.output, &mut tokio::io::sink()).await);
        let ended = match self.running.take() {
            Some(Running::Pod(exec)) => exec.end().await,
            Some(Running::Local(mut child)) => {
                let status = child.wait().await.map_err(BackupError::Start)?;
                status.code().map_or(Ended::Cut, Ended::Code)
            }
            None => Ended::Cut,
        };
        let said = match self.complaints.take() {
            Some(complaints) => complaints.await.unwrap_or_default(),
            None => String::new(),
        };
        let place = place.name();
        match ended {
            Ended::Code(0) => Ok(said),
            Ended::Code(NOT_FOUND) => Err(BackupError::NoPrograms { place, said }),
            Ended::Code(_) => Err(BackupError::Failed { doing, place, said }),
            Ended::Cut => Err(BackupError::Cut { doing, place, said }),
        }
    }
}

/// Reads complaints to their end, so that nobody waits to be rid of them, and keeps the first ones.
async fn heard(mut errors: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let reading = (&mut errors).take(COMPLAINTS).read_to_end(&mut kept).await;
    if reading.is_ok() {
        let rest = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
        drop(rest);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}
