//! `telectl registry watch`: what is there, then one line per change.

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::{Timestamp, Unit};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::signal;
use crate::cli::time::time;
use crate::model::exit::ExitCode;
use crate::registry::entries::Entry;
use crate::registry::watch::changes::{Change, FieldChange, Seen};
use crate::registry::watch::{Follower, News};
use crate::report::visible_in_line;

use super::access::{AccessArgs, advised, is_for_good};
use super::filter::FilterArgs;
use super::list::nothing;
use super::view::{RegistrationView, SCHEMA_VERSION, table};

/// The form of the changes
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WatchForm {
    /// A table at first, then a line per change
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Debug, Args)]
#[command(
    after_help = "While the registry is away it is asked again and again, at the beginning for as long \
                  as --timeout says; afterwards what has changed meanwhile is told. An entry that is \
                  gone was deregistered or its lease ran out: etcd does not tell which. Ends with 130 on \
                  Ctrl-C."
)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// The form of the changes
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: WatchForm,
    /// How long to wait for a registry that is away at the beginning (exit code 7)
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    timeout: Duration,
}

pub(super) fn run(args: &WatchArgs, session: &Session) -> Result<ExitCode, CliError> {
    let access = args.access.open(&session.environment)?;
    let paper = Paper {
        args,
        session,
        place: &access.place,
    };
    let mut follower = Follower::new(access.registry.clone());
    crate::cli::block_on(async {
        let mut signal = std::pin::pin!(signal::received());
        let mut beginning = Beginning::of(args.timeout);
        loop {
            let news = tokio::select! {
                code = &mut signal => return Ok(code),
                () = beginning.passed() => return Err(beginning.too_long(&access.place)),
                news = follower.next() => news,
            };
            beginning.note(&news)?;
            paper.tell(&news, Timestamp::now())?;
        }
    })
}

/// The time until the registry has answered for the first time.
struct Beginning {
    limit: Duration,
    /// `None` once it has answered.
    deadline: Option<Instant>,
    /// Why it has not yet.
    reason: String,
}

impl Beginning {
    fn of(limit: Duration) -> Self {
        Self {
            limit,
            deadline: Some(Instant::now() + limit),
            reason: "no answer yet".to_owned(),
        }
    }

    /// Returns when it has taken too long.
    async fn passed(&self) {
        match self.deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }

    /// Takes note of news.
    ///
    /// # Errors
    /// When the registry refuses for a reason that waiting does not mend.
    fn note(&mut self, news: &News) -> Result<(), CliError> {
        match news {
            News::Began(_) => self.deadline = None,
            News::Away(reason) if self.deadline.is_some() && is_for_good(reason) => {
                return Err(advised(CliError::failed(reason.clone()), reason));
            }
            News::Away(reason) => self.reason.clone_from(reason),
            News::Changed(_) | News::Back => {}
        }
        Ok(())
    }

    fn too_long(&self, place: &str) -> CliError {
        let Self { limit, reason, .. } = self;
        let message = format!(
            "the registry at {place} was waited for {} s: {reason}",
            limit.as_secs()
        );
        advised(CliError::with_code(ExitCode::Timeout, message), reason)
    }
}

/// Where it is written.
struct Paper<'a> {
    args: &'a WatchArgs,
    session: &'a Session,
    place: &'a str,
}

impl Paper<'_> {
    fn tell(&self, news: &News, now: Timestamp) -> Result<(), CliError> {
        match self.args.output {
            WatchForm::Text => self.text(news, now),
            WatchForm::Json => self.json(news, now),
        }
    }

    fn wanted<'a>(&'a self, changes: &'a [Change]) -> impl Iterator<Item = &'a Change> {
        let filter = &self.args.filter;
        changes
            .iter()
            .filter(move |change| filter.takes_change(change))
    }

    fn views(&self, entries: &[Entry], now: Timestamp) -> Vec<RegistrationView> {
        let wanted = entries.iter().filter(|entry| self.args.filter.takes(entry));
        wanted
            .map(|entry| RegistrationView::of(entry, now))
            .collect()
    }

    fn text(&self, news: &News, now: Timestamp) -> Result<(), CliError> {
        let (ui, place) = (&self.session.ui, self.place);
        match news {
            News::Began(entries) => {
                let views = self.views(entries, now);
                if views.is_empty() {
                    ui.note(&nothing(&self.args.filter, entries.len(), place));
                } else {
                    ui.table(&table(&views, ui.table_columns()))?;
                }
            }
            News::Changed(changes) => {
                for change in self.wanted(changes) {
                    let line = line(change, now);
                    ui.data(&format!("{} {}", at(now), visible_in_line(&line)))?;
                }
            }
            News::Away(reason) => ui.warn(&format!("{} no news: {reason}; still trying", at(now))),
            News::Back => ui.note(&format!("{} {place} answers again", at(now))),
        }
        Ok(())
    }

    fn json(&self, news: &News, now: Timestamp) -> Result<(), CliError> {
        let mut lines = Vec::new();
        match news {
            News::Began(entries) => lines.push(EventView {
                registrations: Some(self.views(entries, now)),
                ..EventView::new("listed", now)
            }),
            News::Changed(changes) => {
                lines.extend(self.wanted(changes).map(|change| changed(change, now)));
            }
            News::Away(reason) => lines.push(EventView {
                reason: Some(reason.clone()),
                ..EventView::new("away", now)
            }),
            News::Back => lines.push(EventView::new("back", now)),
        }
        for line in lines {
            let line = serde_json::to_string(&line)
                .map_err(|error| CliError::failed("cannot write a change").because(error))?;
            self.session.ui.data(&line)?;
        }
        Ok(())
    }
}

/// One line of the JSON form.
#[derive(Debug, Serialize)]
struct EventView {
    schema_version: u32,
    /// RFC 3339: when it was told, by the clock of here.
    at: String,
    /// `listed`, `registered`, `changed`, `gone`, `away` or `back`.
    event: &'static str,
    /// With `listed`: everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    registrations: Option<Vec<RegistrationView>>,
    /// What it is now; with `gone`, what it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    registration: Option<RegistrationView>,
    /// With `changed`: what differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<FieldChange>>,
    /// With `away`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl EventView {
    fn new(event: &'static str, now: Timestamp) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            at: at(now),
            event,
            registrations: None,
            registration: None,
            fields: None,
            reason: None,
        }
    }
}

fn at(now: Timestamp) -> String {
    now.round(Unit::Second).unwrap_or(now).to_string()
}

fn changed(change: &Change, now: Timestamp) -> EventView {
    let (event, side, fields) = parts(change);
    EventView {
        registration: Some(RegistrationView::seen(change.key(), side, now)),
        fields: fields.map(<[FieldChange]>::to_vec),
        ..EventView::new(event, now)
    }
}

/// The word for it, the side that is left to show, and what differs.
fn parts(change: &Change) -> (&'static str, &Seen, Option<&[FieldChange]>) {
    match change {
        Change::Registered { now, .. } => ("registered", now, None),
        Change::Changed { now, fields, .. } => ("changed", now, Some(fields)),
        Change::Gone { before, .. } => ("gone", before, None),
    }
}

fn line(change: &Change, now: Timestamp) -> String {
    let (event, side, fields) = parts(change);
    let view = RegistrationView::seen(change.key(), side, now);
    let (name, facts) = (view.name(), view.facts());
    match fields {
        Some(fields) => {
            let fields: Vec<String> = fields.iter().map(field).collect();
            format!("{name} {event}: {}", fields.join(", "))
        }
        None if event != "gone" => format!("{name} {event}: {facts}"),
        // Without a lease, none can have run out.
        None if side.lease.is_none() => format!("{name} gone: deleted"),
        None => format!("{name} gone: deregistered, or its lease ran out"),
    }
}

fn field(change: &FieldChange) -> String {
    let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let (before, now) = (side(&change.before), side(&change.now));
    match change.field.as_str() {
        "instance_uid" => format!("another process ({before} -> {now})"),
        "registered_at" => format!("registered again ({now})"),
        "lease" if change.now.is_none() => format!("lease {before} -> none, nobody keeps it alive"),
        name => format!("{name} {before} -> {now}"),
    }
}
