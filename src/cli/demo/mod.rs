//! `telectl demo`: the whole data path in one process, for somebody who wants to see it.

mod display;
mod view;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures::Stream;
use futures::stream::{self, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::model::exit::ExitCode;
use crate::report::Ui;
use crate::workers::demo::folder::Folder;
use crate::workers::demo::source::{self, SourceError};
use crate::workers::demo::{self, Demo, sample};
use crate::workers::runtime::logging::{self, LogFormat};
use crate::workers::runtime::signals::{Signal, signals};
use crate::workers::runtime::supervisor::{Ended, Phase};

use super::ended;
use super::error::CliError;
use super::session::Session;
use super::time::time;
use display::{Course, Display, DisplayError, Until};

/// Longest time for blocking work to end after everything else has.
const BLOCKING_LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(
    after_help = "Exits with 0 once the whole file is stored, also where Ctrl-C or a signal \
                        ends it then; with 1 where no row of it could be; with 130 or 143 where a \
                        signal ends it before."
)]
pub(super) struct DemoArgs {
    /// CSV file to stream; a real DCGM export of 247 GPUs if not given
    #[arg(long, value_name = "CSV")]
    file: Option<PathBuf>,
    /// Where the API listens: PORT or ADDRESS:PORT; a free port if not given
    #[arg(long, value_name = "[ADDRESS:]PORT", default_value = "127.0.0.1:0")]
    #[arg(hide_default_value = true, value_parser = listen_address)]
    listen: SocketAddr,
    /// Keep queue and store in this folder; a temporary one, removed at the end, if not given
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// End as soon as the file is stored
    #[arg(long)]
    once: bool,
    /// End after this time, for example 30s
    #[arg(long = "for", value_name = "TIME", value_parser = time, conflicts_with = "once")]
    lifetime: Option<Duration>,
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse()
        .map_err(|_| "expected a port, or an IP address and a port".to_owned())
}

pub(super) fn run(args: &DemoArgs, session: &Session) -> Result<ExitCode, CliError> {
    let level = if session.ui.is_verbose() {
        "info"
    } else {
        // Why the demo ends is told as its error.
        "warn,telectl=error,telectl::workers::runtime::supervisor=off"
    };
    logging::start(level, LogFormat::Text)
        .map_err(|error| CliError::from_error(ExitCode::Error, &error))?;
    let (folder, source) = prepare(args, session)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CliError::failed("cannot start the asynchronous runtime").because(error)
        })?;
    let outcome = runtime.block_on(show(args, &source, folder.path(), &session.ui));
    // The folder goes only after everything that writes into it.
    runtime.shutdown_timeout(BLOCKING_LIMIT);
    drop(folder);
    outcome
}

/// The folder to work in and the file to stream.
fn prepare(args: &DemoArgs, session: &Session) -> Result<(Folder, PathBuf), CliError> {
    let failed = |error| CliError::from_error(ExitCode::Error, &error);
    if let Some(file) = &args.file {
        check(file)?;
    }
    let folder = match &args.data_dir {
        Some(path) => Folder::given(path),
        None => {
            let parent = session.environment.get("TMPDIR").unwrap_or("/tmp");
            Folder::temporary(Path::new(parent))
        }
    }
    .map_err(failed)?;
    let source = match &args.file {
        Some(file) => file.clone(),
        None => sample::write_into(folder.path()).map_err(failed)?,
    };
    Ok((folder, source))
}

/// A file that cannot be streamed is wrong input.
fn check(file: &Path) -> Result<(), CliError> {
    source::check(file).map_err(|error| {
        let hint = match &error {
            SourceError::Unreadable { .. } => "name a file that can be read: --file CSV",
            SourceError::NoFile(_) => "a source is read twice: save it as a file and name that",
            SourceError::NoRows(_) => {
                "append rows below the header, or leave --file out to stream the sample"
            }
            _ => {
                "the first line names the columns: timestamp, metric_name, gpu_id, uuid, Hostname \
                 and value at least"
            }
        };
        CliError::from_error(ExitCode::Usage, &error).hint(hint)
    })
}

async fn show(
    args: &DemoArgs,
    source: &Path,
    folder: &Path,
    ui: &Ui,
) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    let mut signals =
        signals().map_err(|error| CliError::failed("cannot wait for signals").because(error))?;
    let demo = tokio::select! {
        demo = begin(args, source, folder) => demo?,
        Some(signal) = signals.next() => return Ok(ended::cut_short(signal)),
    };
    ui.note("The API answers at:");
    let url = format!("http://{}", demo.address);
    ui.data(&url)?;
    let (done, finished) = oneshot::channel();
    let course = Arc::new(Course::default());
    let mut supervisor = demo.supervisor;
    let mut display = Display {
        ui: ui.clone(),
        store: demo.store,
        vitals: demo.vitals,
        url,
        file: file_name(source),
        kept: args.data_dir.clone(),
        started,
        until: if args.once {
            Until::Stored
        } else {
            Until::Stopped
        },
        done: Some(done),
        course: Arc::clone(&course),
    };
    let stop = supervisor.token(Phase::Work);
    supervisor.start("display", Phase::Work, async move {
        match display.run(&stop).await {
            // Whoever read the output has seen enough.
            Err(DisplayError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                display.end();
                Ok(())
            }
            outcome => Ok(outcome?),
        }
    });
    let signals = signals.inspect(|signal| {
        course.interrupted.get_or_init(|| *signal);
    });
    let ended = supervisor.run(until_end(signals, args, finished)).await;
    match ended {
        Ended::Stopped if course.stored.get().is_none() => Ok(course
            .interrupted
            .get()
            .map_or(ExitCode::Ok, |signal| ended::cut_short(*signal))),
        Ended::Stopped if course.stored.get() == Some(&0) => Err(CliError::failed(format!(
            "no row of {} could be stored",
            source.display()
        ))),
        Ended::Failed { task, reason } => Err(CliError::failed(format!(
            "the demo's {task} failed: {reason}"
        ))),
        ended => Ok(ended::after(&ended)),
    }
}

async fn begin(args: &DemoArgs, source: &Path, folder: &Path) -> Result<Demo, CliError> {
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        CliError::failed(format!("cannot listen on {}", args.listen))
            .because(error)
            .hint("--listen 127.0.0.1:0 takes any free port")
    })?;
    demo::start(source, folder, listener)
        .await
        .map_err(|error| CliError::from_error(ExitCode::Error, &error))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Signals of the process, and one more when the time is over or the display has ended: it has
/// shown what it was asked for, or nobody looks any more.
fn until_end(
    signals: impl Stream<Item = Signal> + Unpin,
    args: &DemoArgs,
    finished: oneshot::Receiver<()>,
) -> impl Stream<Item = Signal> + Unpin {
    let lifetime = args.lifetime;
    let end = async move {
        let over = async {
            match lifetime {
                Some(lifetime) => sleep(lifetime).await,
                None => std::future::pending().await,
            }
        };
        let shown = async {
            // A display that fails ends the demo by its error.
            if finished.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = over => {}
            () = shown => {}
        }
        Signal::Terminate
    };
    stream::select(signals, Box::pin(stream::once(end)))
}
