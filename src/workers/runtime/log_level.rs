//! The level of the logs, changed while the worker runs: `/api/v1/log-level`.
//!
//! # Who may change it
//! Whoever is in the pod, which is for the API server to decide (`pods/portforward`, `pods/exec`):
//! a request is taken only on a connection that never left this host. The gateway's token does not
//! open it: whoever reads data may not therefore fill disks with logs. Only levels are taken, no
//! directives as in `LOG_LEVEL`: at their lowest level, libraries log what they send, secrets
//! included.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::{Timestamp, Unit};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload;
use url::form_urlencoded;

use crate::config::worker::parse_duration;
use crate::model::causes::chain;

use super::http::is_from_here;
use super::logging::filter;
use super::problem::problem;

/// Every level, the quietest first.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Longest time after which a level goes back by itself.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

type Install = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

/// Changes the level of the logs of this process. Cheap to clone.
#[derive(Clone)]
pub struct LogSwitch(Arc<Inner>);

struct Inner {
    /// The level at the start, as `LOG_LEVEL` has it.
    start: String,
    install: Box<Install>,
    now: watch::Sender<Chosen>,
}

/// A level, and when it goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chosen {
    level: String,
    until: Option<Until>,
}

/// The same moment, for the timer and for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Until {
    instant: Instant,
    time: Timestamp,
}

/// What a request wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    level: &'static str,
    time: Option<Duration>,
}

impl LogSwitch {
    /// For logs that have this level now, and take others by `install`.
    pub(super) fn new(
        level: &str,
        install: impl Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync + 'static,
    ) -> Self {
        let chosen = Chosen {
            level: level.to_owned(),
            until: None,
        };
        Self(Arc::new(Inner {
            start: level.to_owned(),
            install: Box::new(install),
            now: watch::Sender::new(chosen),
        }))
    }

    /// Takes a level until another is chosen, or for a time.
    fn choose(&self, wish: Wish) -> Result<(), reload::Error> {
        let until = wish.time.map(|time| Until {
            instant: Instant::now() + time,
            time: Timestamp::now() + time,
        });
        let chosen = Chosen {
            level: wish.level.to_owned(),
            until,
        };
        let mut outcome = Ok(());
        self.0.now.send_if_modified(|now| {
            outcome = self.install(&chosen.level);
            if outcome.is_ok() {
                *now = chosen;
            }
            outcome.is_ok()
        });
        if outcome.is_ok() {
            // A warning, so that it stands in the logs of all levels but the quietest.
            let seconds = wish.time.map(|time| time.as_secs());
            tracing::warn!(level = wish.level, seconds, "the log level was changed");
        }
        outcome
    }

    fn install(&self, level: &str) -> Result<(), reload::Error> {
        // What is installed is one of the levels, or what the process started with.
        let filter = filter(level).unwrap_or_default();
        (self.0.install)(filter)
    }

    /// Until `stop`: goes back to the level at the start when a time has passed.
    pub(super) async fn follow(&self, stop: &CancellationToken) {
        let mut heard = self.0.now.subscribe();
        loop {
            let until = heard.borrow_and_update().until;
            let passed = async {
                match until {
                    Some(until) => sleep_until(until.instant).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                // The sender is in `self`, so it is not gone.
                _ = heard.changed() => {}
                () = passed => self.go_back(until),
            }
        }
    }

    /// Goes back, unless another level was chosen meanwhile.
    fn go_back(&self, until: Option<Until>) {
        let went = self.0.now.send_if_modified(|now| {
            let is_still = now.until == until;
            if is_still {
                let level = self.0.start.clone();
                // It fails only where nothing is logged any more.
                drop(self.install(&level));
                *now = Chosen { level, until: None };
            }
            is_still
        });
        if went {
            tracing::warn!(
                level = self.0.start,
                "the log level is that of the start again"
            );
        }
    }

    fn told(&self) -> Value {
        let now = self.0.now.borrow();
        json!({
            "level": now.level,
            "until": now.until.map(|until| to_the_second(until.time)),
            "at_start": self.0.start,
            "levels": LEVELS,
        })
    }
}

impl std::fmt::Debug for LogSwitch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("LogSwitch")
            .field(&*self.0.now.borrow())
            .finish()
    }
}

fn to_the_second(time: Timestamp) -> String {
    time.round(Unit::Second).unwrap_or(time).to_string()
}

/// The route.
pub(super) fn router(switch: LogSwitch) -> Router {
    Router::new()
        .route("/api/v1/log-level", get(show).put(change))
        .with_state(switch)
}

async fn show(State(switch): State<LogSwitch>) -> Json<Value> {
    Json(switch.told())
}

async fn change(State(switch): State<LogSwitch>, request: Request) -> Response {
    if !is_from_here(&request) {
        return problem(
            StatusCode::FORBIDDEN,
            "the log level is changed only from within the pod: `kubectl port-forward` leads there",
        );
    }
    let wish = match wish(request.uri().query().unwrap_or_default()) {
        Ok(wish) => wish,
        Err(detail) => return problem(StatusCode::BAD_REQUEST, &detail),
    };
    match switch.choose(wish) {
        Ok(()) => Json(switch.told()).into_response(),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &chain(&error)),
    }
}

/// What a query wishes, or what is wrong with it.
fn wish(query: &str) -> Result<Wish, String> {
    let (mut level, mut time) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "level" => level = Some(known_level(&value)?),
            "for" => time = Some(known_time(&value)?),
            other => {
                return Err(format!(
                    "no parameter `{other}`: there are `level` and `for`"
                ));
            }
        }
    }
    let level = level.ok_or_else(|| format!("`level` must be {}", levels()))?;
    Ok(Wish { level, time })
}

fn known_level(text: &str) -> Result<&'static str, String> {
    let found = LEVELS
        .into_iter()
        .find(|level| level.eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        format!(
            "`level` must be {}, not `{}`",
            levels(),
            text.escape_default()
        )
    })
}

fn levels() -> String {
    let [most @ .., last] = LEVELS;
    format!("{} or {last}", most.join(", "))
}

fn known_time(text: &str) -> Result<Duration, String> {
    let found = parse_duration(text).filter(|time| !time.is_zero() && *time <= LONGEST);
    found.ok_or_else(|| "`for` must be a time such as 90s or 10m, at most 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A switch, and what was installed by it.
    fn switch() -> (LogSwitch, Arc<Mutex<Vec<String>>>) {
        let installed = Arc::<Mutex<Vec<String>>>::default();
        let list = Arc::clone(&installed);
        let switch = LogSwitch::new("info", move |filter| {
            list.lock().unwrap().push(filter.to_string());
            Ok(())
        });
        (switch, installed)
    }

    #[test]
    fn o12_a_wish_is_a_level_and_at_most_a_time() {
        let taken = |query| wish(query).unwrap();
        let debug = Wish {
            level: "debug",
            time: None,
        };
        assert_eq!(taken("level=DEBUG"), debug);
        let time = Some(Duration::from_secs(600));
        assert_eq!(taken("level=debug&for=10m"), Wish { time, ..debug });
        for refused in ["", "for=10m", "level=loud", "level=h2%3Dtrace", "level="] {
            let said = wish(refused).unwrap_err();
            assert!(said.contains("error, warn, info, debug or trace"), "{said}");
        }
        for refused in ["for=0s", "for=25h", "for=10", "for=-1s"] {
            let said = wish(&format!("level=debug&{refused}")).unwrap_err();
            assert!(said.starts_with("`for` must be a time"), "{said}");
        }
        assert!(wish("level=debug&until=1").unwrap_err().contains("`until`"));
    }

    #[test]
    fn o12_a_time_that_has_passed_does_not_end_the_level_that_was_chosen_after_it() {
        let (switch, _) = switch();
        let time = Some(Duration::from_secs(10));
        let wish = |level, time| Wish { level, time };
        switch.choose(wish("debug", time)).unwrap();
        let until = switch.0.now.borrow().until;
        switch.choose(wish("trace", None)).unwrap();
        switch.go_back(until);
        assert_eq!(switch.told()["level"], "trace");
    }

    #[tokio::test(start_paused = true)]
    async fn o12_a_level_for_a_time_goes_back_unless_another_was_chosen() {
        let (switch, installed) = switch();
        let stop = CancellationToken::new();
        let following = {
            let (switch, stop) = (switch.clone(), stop.clone());
            tokio::spawn(async move { switch.follow(&stop).await })
        };
        let wish = |level, seconds: Option<u64>| Wish {
            level,
            time: seconds.map(Duration::from_secs),
        };
        let at = async |seconds| tokio::time::sleep(Duration::from_secs(seconds)).await;
        switch.choose(wish("debug", Some(10))).unwrap();
        at(9).await;
        assert_eq!(switch.told()["level"], "debug");
        at(2).await;
        assert_eq!(switch.told()["level"], "info");
        assert_eq!(switch.told()["until"], Value::Null);
        switch.choose(wish("trace", Some(10))).unwrap();
        at(5).await;
        switch.choose(wish("debug", None)).unwrap();
        at(60).await;
        assert_eq!(switch.told()["level"], "debug");
        stop.cancel();
        following.await.unwrap();
        let installed = installed.lock().unwrap().join(" ");
        let [info, debug, trace] =
            ["info", "debug", "trace"].map(|level| format!("telectl={level},warn"));
        assert_eq!(installed, format!("{debug} {info} {trace} {debug}"));
    }
}
