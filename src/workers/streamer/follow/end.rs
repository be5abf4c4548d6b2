//! How a file that is followed ends.

use std::fs::File;
use std::time::Instant;

use crate::model::source::PassId;
use crate::queue::Queue;

use super::super::csv::Chunk;
use super::super::piece::Piece;
use super::super::read::{Flow, Totals};
use super::super::{StreamerError, blocking};
use super::Follower;
use super::adopt::{May, sign_off_of};
use super::followed::{Followed, Found};
use super::look::{self, Looked};
use super::position::Position;

/// Files that were signed off which are remembered at most.
const MOST_ENDED: usize = 1000;

impl<Q: Queue> Follower<'_, Q> {
    /// Puts a piece into the spool, and notes how far that is.
    pub(super) async fn keep(
        &self,
        followed: &mut Followed,
        chunk: Chunk,
    ) -> Result<Flow, StreamerError> {
        let after = followed.position_after(&chunk)?;
        let piece = Piece::Stretch(chunk.range);
        let source = &followed.position.source;
        let note = self.reading.note(source, &PassId::once(), piece);
        let flow = self.reading.make_batch(note, chunk).await?;
        if flow == Flow::Finished {
            followed.position = after;
        }
        Ok(flow)
    }

    /// Signs a file off that has gone and was quiet for long enough; what its last line has no end of is
    /// its last record.
    pub(super) async fn end_if_due(&mut self, mut followed: Followed) -> Result<(), StreamerError> {
        let grace = self.settings.grace;
        let has_gone = followed.gone.is_some_and(|gone| gone.elapsed() >= grace);
        if !has_gone || followed.grew.elapsed() < grace {
            self.followed.push(followed);
            return Ok(());
        }
        followed.ended();
        while self.reading.outbox.has_room() {
            let next = blocking(move || {
                let found = followed.next();
                Ok((followed, found))
            });
            let (back, found) = next.await?;
            followed = back;
            match found {
                Ok(Found::Chunk(chunk)) => {
                    if self.keep(&mut followed, *chunk).await? == Flow::Stopped {
                        self.followed.push(followed);
                        return Ok(());
                    }
                }
                Ok(Found::Nothing | Found::Another) => {
                    return self.sign_off(followed.position).await;
                }
                Err(error) => {
                    self.tell(&followed.position.path.clone(), &error);
                    break;
                }
            }
        }
        // It goes on as one that may grow: a line without an end is no record until it is over.
        let (limits, position) = (self.reading.limits, followed.position.clone());
        match blocking(move || followed.reopened(limits)).await {
            Ok(again) => self.followed.push(again),
            Err(error) => {
                self.tell(&position.path, &error);
                self.resting.push((position, Instant::now()));
            }
        }
        Ok(())
    }

    /// Signs off what was read of a file.
    pub(super) async fn sign_off(&mut self, position: Position) -> Result<(), StreamerError> {
        let size = position.content.offset;
        if size == 0 {
            return Ok(());
        }
        let note = sign_off_of(&position.source);
        if !self.reading.outbox.holds(&note) {
            let totals = Totals {
                chunks: 0,
                rows: position.rows,
                quarantined: position.quarantined,
            };
            if self.reading.sign_off(note, size, totals).await? == Flow::Stopped {
                self.resting.push((position, Instant::now()));
                return Ok(());
            }
        }
        tracing::info!(source = %position.source, size, rows = position.rows, "signed off");
        self.ended.push(Position {
            ended: true,
            ..position
        });
        let surplus = self.ended.len().saturating_sub(MOST_ENDED);
        self.ended.drain(..surplus);
        Ok(())
    }

    /// Looks for the files of which something is remembered and that are not followed: one that was
    /// renamed is read to its end, one that is nowhere is signed off where it was read to.
    pub(super) async fn look_after_resting(
        &mut self,
        looked: &Looked,
    ) -> Result<(), StreamerError> {
        for (position, since) in std::mem::take(&mut self.resting) {
            let mut followed = self.followed.iter().map(|one| &one.position);
            if followed.any(|one| one.source == position.source) {
                continue;
            }
            let mut followed = self.followed.iter().map(|one| &one.position);
            let is_another = followed.any(|one| one.key == position.key);
            let is_there = looked.is_at(position.key, &position.path) && !is_another;
            if is_there && has_what_was_read(&position).await? {
                self.resting.push((position, Instant::now()));
                continue;
            }
            let limits = self.reading.limits;
            let found = {
                let position = position.clone();
                blocking(move || {
                    let failed = super::failed(&position.path);
                    let path = look::renamed(&position.path, position.key).map_err(failed)?;
                    let Some(path) = path else { return Ok(None) };
                    Followed::renamed(&path, &position, limits)
                })
                .await
            };
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    self.tell(&position.path, &error);
                    self.resting.push((position, since));
                    continue;
                }
            };
            if found.is_none() && since.elapsed() < self.settings.grace {
                self.resting.push((position, since));
                continue;
            }
            match (self.may_follow(&position.source).await, found) {
                (May::Ended, _) => {}
                // A sibling that follows it may end before it.
                (May::Wait, _) => self.resting.push((position, since)),
                (May::Follow, Some(followed)) => {
                    tracing::info!(source = %position.source, "its file was renamed: it is read to its end");
                    self.followed.push(followed);
                }
                (May::Follow, None) => {
                    tracing::warn!(
                        source = %position.source,
                        offset = position.content.offset,
                        "its file is not there any more: what was read of it is signed off, and what was \
                         written to it since is not known"
                    );
                    self.sign_off(position).await?;
                }
            }
        }
        Ok(())
    }
}

/// Whether the file is still the one that was read: cut off or written anew under the same inode, it is
/// another source. One that cannot be read now is taken for the same.
async fn has_what_was_read(position: &Position) -> Result<bool, StreamerError> {
    let (path, content) = (position.path.clone(), position.content.clone());
    blocking(move || {
        let is_in = File::open(&path).and_then(|file| content.is_in(&file));
        Ok(is_in.unwrap_or(true))
    })
    .await
}
