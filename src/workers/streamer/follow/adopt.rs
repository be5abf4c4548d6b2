//! Which files are followed by this streamer, and from where.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::model::growing;
use crate::model::source::{PassId, SourceId};
use crate::queue::{Claim, Queue};

use super::super::piece::{Note, Piece};
use super::super::reconcile::CLAIM_TIME;
use super::super::{StreamerError, blocking};
use super::Follower;
use super::followed::Candidate;
use super::look::{Looked, Seen};
use super::position::{Content, Position};

/// Claims are renewed three times within their life, and what a sibling follows is asked for as often.
const RENEW_INTERVAL: Duration = Duration::from_secs(5);

/// Whether a source may be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    /// By this streamer.
    Follow,
    /// A sibling follows it, or is about to.
    Wait,
    /// It was signed off.
    Ended,
}

/// What became of a file that was not followed.
enum Adopted {
    Yes,
    /// It is looked at again when it is another one, or then.
    No(Option<Instant>),
}

pub(super) fn sign_off_of(source: &SourceId) -> Note {
    Note {
        source: source.clone(),
        pass: PassId::once(),
        piece: Piece::SignOff,
    }
}

impl<Q: Queue> Follower<'_, Q> {
    /// Keeps siblings from following the same files. What one has taken meanwhile is its own.
    pub(super) async fn renew_claims(&mut self) {
        if self.renewed.elapsed() < RENEW_INTERVAL {
            return;
        }
        self.renewed = Instant::now();
        for followed in std::mem::take(&mut self.followed) {
            let source = &followed.position.source;
            if self.claim(source).await == Some(Claim::Theirs) {
                tracing::warn!(%source, "another streamer follows it now");
                self.resting.push((followed.position, Instant::now()));
            } else {
                self.followed.push(followed);
            }
        }
    }

    /// Claims a source; `None` if the queue does not answer.
    async fn claim(&self, source: &SourceId) -> Option<Claim> {
        self.claim_key(&format!("follow/{source}")).await
    }

    async fn claim_key(&self, key: &str) -> Option<Claim> {
        let reading = &self.reading;
        if !reading.health.is_ok() {
            return None;
        }
        let store = reading.announced.current();
        let claim = reading
            .queue
            .claim(key, reading.streamer, CLAIM_TIME, store.as_ref());
        reading.health.note(claim.await).ok()
    }

    /// Whether a source may be followed. If the queue does not answer it may: what a sibling reads, too,
    /// is stored once.
    pub(super) async fn may_follow(&self, source: &SourceId) -> May {
        let end = sign_off_of(source);
        let is_ended = self.ended.iter().any(|one| one.source == *source);
        if is_ended || self.reading.outbox.holds(&end) {
            return May::Ended;
        }
        match self.claim(source).await {
            Some(Claim::Theirs) => return May::Wait,
            Some(Claim::Mine | Claim::Completed) => {}
            None => return May::Follow,
        }
        // Only whoever has the source asks for its end.
        match self.claim_key(&end.key()).await {
            Some(Claim::Completed) => May::Ended,
            Some(Claim::Theirs) => May::Wait,
            Some(Claim::Mine) | None => May::Follow,
        }
    }

    /// Takes note of what is there, and what is not any more.
    pub(super) fn take_note(&mut self, looked: &Looked) {
        for path in &looked.packed {
            if self.packed.insert(path.clone()) {
                tracing::info!(path = %path.display(), "packed files are not read");
            }
        }
        let keys: BTreeSet<_> = looked.files.iter().map(|seen| seen.key).collect();
        self.skipped.retain(|key, _| keys.contains(key));
        let paths: BTreeSet<_> = looked.files.iter().map(|seen| &seen.path).collect();
        self.set_aside.retain(|path, _| paths.contains(path));
        for (path, why) in &looked.unreadable {
            let error = StreamerError::Source {
                path: path.clone(),
                source: std::io::Error::other(why.clone()),
            };
            self.tell(path, &error);
        }
        for followed in &mut self.followed {
            let Position {
                key, path, source, ..
            } = &followed.position;
            if looked.is_at(*key, path) {
                followed.gone = None;
            } else if followed.gone.is_none() {
                tracing::info!(%source, "its file has gone: it is read to its end");
                followed.gone = Some(Instant::now());
            }
        }
    }

    /// Begins to follow what is there and nobody follows.
    pub(super) async fn adopt(&mut self, looked: &Looked) -> Result<(), StreamerError> {
        let followed = self.followed.iter().map(|one| one.position.key);
        let mut followed: BTreeSet<_> = followed.collect();
        for seen in &looked.files {
            if followed.contains(&seen.key) || self.is_skipped(seen) {
                continue;
            }
            let again = match self.try_adopt(seen).await {
                Ok(Adopted::Yes) => {
                    followed.insert(seen.key);
                    self.skipped.remove(&seen.key);
                    self.set_aside.remove(&seen.path);
                    continue;
                }
                Ok(Adopted::No(again)) => again,
                Err(error) if error.is_of_source() => {
                    self.tell(&seen.path, &error);
                    let later = Instant::now() + RENEW_INTERVAL;
                    error.may_pass().then_some(later)
                }
                Err(error) => return Err(error),
            };
            self.skipped.insert(seen.key, (seen.stamp, again));
        }
        Ok(())
    }

    /// Whether a file need not be looked at.
    fn is_skipped(&self, seen: &Seen) -> bool {
        let skipped = self.skipped.get(&seen.key);
        skipped.is_some_and(|(stamp, again)| {
            *stamp == seen.stamp && again.is_none_or(|again| again > Instant::now())
        })
    }

    async fn try_adopt(&mut self, seen: &Seen) -> Result<Adopted, StreamerError> {
        let opened = {
            let seen = seen.clone();
            blocking(move || Candidate::open(&seen)).await?
        };
        let Some(candidate) = opened else {
            return Ok(Adopted::No(None));
        };
        let (candidate, known) = self.known(candidate).await?;
        let position = match known {
            // It was renamed, and is read to its end under its old name, or was.
            Some(known) if known.path.file_name() != seen.path.file_name() => {
                return Ok(Adopted::No(None));
            }
            Some(known) if known.ended => {
                return if known.content.offset == seen.stamp.size {
                    Ok(Adopted::No(None))
                } else {
                    Err(StreamerError::Grew(seen.path.clone()))
                };
            }
            Some(known) => match self.may_follow(&known.source).await {
                May::Follow => Some(Position {
                    path: seen.path.clone(),
                    key: seen.key,
                    ..known
                }),
                May::Wait => None,
                May::Ended => self.begin(&candidate).await,
            },
            None => self.begin(&candidate).await,
        };
        let Some(position) = position else {
            return Ok(Adopted::No(Some(
                Instant::now() + self.settings.grace.min(RENEW_INTERVAL),
            )));
        };
        let (source, limits) = (position.source.clone(), self.reading.limits);
        let offset = position.content.offset;
        let followed = blocking(move || candidate.follow(position, limits)).await?;
        tracing::info!(%source, offset, "following");
        self.reading
            .tell_ignored(&source, followed.ignored_columns());
        self.resting.retain(|(one, _)| one.source != source);
        self.followed.push(followed);
        Ok(Adopted::Yes)
    }

    /// What is remembered of a file: that under its name, or that of the same file.
    async fn known(
        &self,
        candidate: Candidate,
    ) -> Result<(Candidate, Option<Position>), StreamerError> {
        let head = growing::digest(&candidate.head, 0);
        let resting = self.resting.iter().map(|(position, _)| position);
        let (name, key) = (candidate.path.file_name(), candidate.key);
        let kin = resting.chain(&self.ended).filter(|one| {
            one.content.head == head && (one.path.file_name() == name || one.key == key)
        });
        let kin: Vec<Position> = kin.cloned().collect();
        blocking(move || {
            for position in kin {
                if candidate.has(&position)? {
                    return Ok((candidate, Some(position)));
                }
            }
            Ok((candidate, None))
        })
        .await
    }

    fn is_known(&self, source: &SourceId) -> bool {
        let followed = self.followed.iter().map(|one| &one.position);
        let resting = self.resting.iter().map(|(position, _)| position);
        followed.chain(resting).any(|one| one.source == *source)
    }

    /// The beginning of a file of which nothing is remembered; `None` if a sibling follows it.
    async fn begin(&self, candidate: &Candidate) -> Option<Position> {
        let name = candidate.path.file_name().unwrap_or_default();
        for generation in 0.. {
            let source = SourceId {
                cluster: self.cluster.to_owned(),
                name: name.to_string_lossy().into_owned(),
                digest: growing::digest(&candidate.head, generation),
            };
            if self.is_known(&source) {
                // That one is still read to its end, or about to be signed off.
                return None;
            }
            match self.may_follow(&source).await {
                // That one began alike and is not there any more.
                May::Ended => {}
                May::Wait => return None,
                May::Follow => {
                    return Some(Position {
                        path: candidate.path.clone(),
                        key: candidate.key,
                        source,
                        content: Content::beginning(&candidate.head),
                        line: 1,
                        rows: 0,
                        quarantined: 0,
                        ended: false,
                    });
                }
            }
        }
        None
    }
}
