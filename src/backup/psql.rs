//! A conversation with the database through `psql`, wherever that runs.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};

use crate::cluster::exec::{Sink, Source};

use super::BackupError;
use super::place::{Place, Program};

/// How it is started: no habits of the user, bare fields, and the first error ends it.
const PSQL: &str =
    "psql --no-psqlrc --quiet --no-align --tuples-only --no-password --set=ON_ERROR_STOP=1";
/// Stands in a line of its own behind every answer.
const MARK: &str = "telectl: this is the end of the answer";

/// Stands in a line of its own where a `psql` has ended of whose pipe other programs still hold the end.
const ENDED: &str = "telectl: the session has ended";

/// What every transaction begins with: no time limits, and texts of one form, so that two databases that
/// hold the same say the same.
pub(super) const SETTINGS: &str = "
    SET statement_timeout = 0;
    SET lock_timeout = '30s';
    SET idle_in_transaction_session_timeout = 0;
    SET client_min_messages = warning;
    SET search_path = public;
    SET timezone = 'UTC';
    SET datestyle = 'ISO';
    SET intervalstyle = 'postgres';
    SET bytea_output = 'hex';
    SET extra_float_digits = 1;";

/// A session that is asked one thing after another.
pub(super) struct Psql<'a> {
    place: &'a Place,
    program: Program,
    lines: Lines<BufReader<Source>>,
}

impl<'a> Psql<'a> {
    /// A session of its own.
    pub(super) async fn start(place: &'a Place) -> Result<Self, BackupError> {
        let program = place.start(&format!("exec {PSQL}")).await?;
        Ok(Self::over(place, program))
    }

    /// A program that hands what it reads to a `psql`, and what that answers back.
    pub(super) fn over(place: &'a Place, mut program: Program) -> Self {
        let nothing: Source = Box::new(tokio::io::empty());
        let output = std::mem::replace(&mut program.output, nothing);
        Self {
            place,
            program,
            lines: BufReader::new(output).lines(),
        }
    }

    /// Sends statements and gives the lines that they answer; `doing` is what they do, as a verb phrase.
    pub(super) async fn ask(
        &mut self,
        doing: &'static str,
        statements: &str,
    ) -> Result<Vec<String>, BackupError> {
        let text = format!("{statements}\n\\echo {MARK}\n");
        let input = &mut self.program.input;
        let sent = async {
            input.write_all(text.as_bytes()).await?;
            input.flush().await
        };
        // Where nobody takes it the answer says why.
        drop(sent.await);
        match self.read().await {
            Some(lines) => Ok(lines),
            None => Err(self.gone(doing).await),
        }
    }

    /// The lines up to the next mark; `None` if the session has ended.
    pub(super) async fn read(&mut self) -> Option<Vec<String>> {
        let mut answered = Vec::new();
        while let Ok(Some(line)) = self.lines.next_line().await {
            if line == MARK {
                return Some(answered);
            }
            if line == ENDED {
                break;
            }
            answered.push(line);
        }
        None
    }

    /// One answer of one line.
    pub(super) async fn one(
        &mut self,
        doing: &'static str,
        statement: &str,
    ) -> Result<String, BackupError> {
        let lines = self.ask(doing, statement).await?;
        Ok(lines.into_iter().next().unwrap_or_default())
    }

    /// Copies to what the program reads, up to an error, and reads what it answers meanwhile.
    pub(super) async fn feed<T>(
        &mut self,
        doing: &'static str,
        feeding: impl AsyncFnOnce(&mut Sink) -> Result<T, BackupError>,
    ) -> Result<T, BackupError> {
        let nowhere: Sink = Box::new(tokio::io::sink());
        let mut input = std::mem::replace(&mut self.program.input, nowhere);
        let (fed, answered) = tokio::join!(feeding(&mut input), self.read());
        self.program.input = input;
        if answered.is_none() {
            // What the program says tells more than that it takes nothing.
            return Err(self.gone(doing).await);
        }
        fed
    }

    /// Ends it; what is not committed is undone.
    pub(super) async fn end(mut self, doing: &'static str) -> Result<(), BackupError> {
        // Who has ended already takes nothing any more.
        drop(self.program.input.write_all(b"\\q\n").await);
        drop(self.program.input.flush().await);
        self.program.close().await;
        while let Ok(Some(_)) = self.lines.next_line().await {}
        self.program.finish(doing, self.place).await.map(drop)
    }

    /// Why there is no answer.
    async fn gone(&mut self, doing: &'static str) -> BackupError {
        let place = self.place;
        match self.program.finish(doing, place).await {
            Err(error) => error,
            // What stands before it in a pipe failed.
            Ok(said) => BackupError::Failed {
                doing,
                place: place.name(),
                said,
            },
        }
    }
}

/// The line that `psql` is given so that it says where it stands.
pub(super) fn mark() -> String {
    format!("\\echo {MARK}")
}

/// A `psql` behind a pipe, which tells its end: whoever fills the pipe may wait for more until then.
pub(super) fn behind_a_pipe() -> String {
    format!("{{ {PSQL}; code=$?; echo '{ENDED}'; exit $code; }}")
}
