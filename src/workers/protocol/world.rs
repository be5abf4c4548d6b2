//! Workers, servers, and what happens to them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt as _;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::model::source::StoreToken;
use crate::queue::spool::simulated::{Loses, Mounted, SimulatedDisk};
use crate::queue::{Entry, Queue as _};

use super::Beginning;
use super::action::{Action, Fate, Who};
use super::judge::{self, Held, Life, Name};
use super::line::Servers;
use super::process::Process;
use super::servers::{
    break_store, canary, empty_store, enliven, folder, hand_over, mend_store, open_queue, poison,
};
use super::source::File;

/// Longer than any pause of a worker between two attempts.
const LONG: Duration = Duration::from_secs(6);
/// In this many times [`LONG`] everything has to be quiet: a source is read again up to five minutes
/// after the last of several announcements of another store.
const QUIET_WITHIN: u32 = 150;
/// How many times in a row it has to be.
const QUIET_FOR: u32 = 5;
/// More questions than anybody asks without time going by.
const MOST_QUESTIONS: u32 = 2000;

pub(super) struct World {
    folder: TempDir,
    file: File,
    servers: Servers,
    queue_disk: (SimulatedDisk, Mounted),
    kept_queue: Option<SimulatedDisk>,
    lives: BTreeMap<StoreToken, Life>,
    store_path: PathBuf,
    kept_store: Option<PathBuf>,
    workers: Vec<Process>,
    /// What each spool has, and the state of the disk that says so.
    spools: [(BTreeMap<Name, Held>, u64); 2],
    is_stopping: bool,
    canaries: u64,
    poison: u64,
    /// Whether nothing was lost that only the queue or only the store had.
    is_lossless: bool,
}

impl World {
    pub(super) async fn begin(beginning: &Beginning) -> Self {
        let folder = folder();
        let file = File::write(folder.path(), beginning.rows);
        let disk = SimulatedDisk::default();
        let mounted = disk.mount();
        let path = folder.path().join("life-0");
        std::fs::write(&path, empty_store().await).unwrap();
        let (token, store) = enliven(&path, 0);
        let [one, other] = beginning.batches;
        let [third, fourth] = beginning.transactions;
        let mut workers: Vec<Process> = (0..4).map(Process::new).collect();
        for (worker, size) in workers.iter_mut().zip([one, other, third, fourth]) {
            worker.start(&file.path, size);
        }
        Self {
            servers: Servers {
                queue: open_queue(&mounted),
                store,
            },
            queue_disk: (disk, mounted),
            kept_queue: None,
            lives: BTreeMap::from([(token, Life::of(&path))]),
            store_path: path,
            kept_store: None,
            workers,
            spools: Default::default(),
            is_stopping: false,
            canaries: 0,
            poison: 0,
            is_lossless: true,
            folder,
            file,
        }
    }

    pub(super) async fn act(&mut self, action: &Action) -> Result<(), String> {
        match *action {
            Action::Run(times) => {
                for _ in 0..times {
                    self.serve_everybody().await?;
                }
            }
            Action::Serve {
                who,
                which,
                fate,
                reversed,
            } => {
                self.serve(who, which.into(), fate, reversed).await?;
            }
            Action::Wait(times) => {
                for _ in 0..times {
                    sleep(LONG).await;
                }
            }
            Action::Freeze(who) => self.workers[who].is_frozen = true,
            Action::Thaw(who) => self.workers[who].is_frozen = false,
            Action::Kill { who, has_effect } => self.kill(who, has_effect).await?,
            Action::PowerCut(who, loses) => self.cut(who, loses).await?,
            Action::PowerCutWithin(who, operations, loses) => {
                if self.workers[who].running.is_some() {
                    self.workers[who].loses = loses;
                    self.workers[who].disk.fail_after(Some(operations.into()));
                }
            }
            Action::Start {
                who,
                size,
                is_fresh,
            } => self.start(who, size, is_fresh),
            Action::Full(who, is_full) => self.workers[who].disk.set_full(is_full),
            Action::WipeQueue => self.replace_queue(SimulatedDisk::default()),
            Action::RestartQueue => {
                self.queue_disk.0.kill();
                self.servers.queue = open_queue(&self.queue_disk.1);
            }
            Action::KeepQueue => self.kept_queue = Some(self.queue_disk.0.copy()),
            Action::RollBackQueue => {
                if let Some(kept) = &self.kept_queue {
                    self.replace_queue(kept.copy());
                }
            }
            Action::KeepStore => self.keep_store(),
            Action::ReplaceStore => self.replace_store().await,
            Action::Canary => {
                self.canaries += 1;
                self.send(canary(self.canaries)).await?;
            }
            Action::Poison => {
                self.poison += 1;
                self.send(poison(self.poison)).await?;
            }
        }
        self.settle().await
    }

    /// Waits until nobody has anything to do before somebody is answered or time goes by, and looks
    /// at what has to hold.
    pub(super) async fn settle(&mut self) -> Result<(), String> {
        // The clock moves only when every task waits.
        sleep(Duration::from_millis(1)).await;
        for who in 0..self.workers.len() {
            let worker = &mut self.workers[who];
            if worker.disk.is_off() {
                let loses = worker.loses;
                self.cut(who, loses).await?;
                continue;
            }
            if let Some(running) = &mut worker.running {
                running.listen();
                if running.task.is_finished() && !self.is_stopping {
                    let ended = (&mut running.task).now_or_never();
                    return Err(format!("worker {who} ended by itself: {ended:?}"));
                }
            }
            self.look_at_spool(who)?;
        }
        Ok(())
    }

    /// What a spool has had, it has until the store has it that its streamer knows of.
    fn look_at_spool(&mut self, who: Who) -> Result<(), String> {
        let worker = &self.workers[who];
        let changes = worker.disk.changes();
        if !worker.is_streamer() || self.spools[who].1 == changes {
            return Ok(());
        }
        let heard = worker
            .heard
            .clone()
            .or_else(|| worker.running.as_ref()?.line.heard());
        let found = judge::spool(&worker.disk)?;
        let (known, seen) = &mut self.spools[who];
        for (name, held) in known.iter() {
            let is_there = match found.get(name) {
                Some(found) if found != held => {
                    return Err(format!("{name:?} of spool {who} became another message"));
                }
                found => found.is_some(),
            };
            let life = heard.as_ref().and_then(|heard| self.lives.get(heard));
            if !is_there && !life.is_some_and(|life| life.has(&held.piece)) {
                return Err(format!(
                    "spool {who} does not have {} {} any more, and no more does store {heard:?}",
                    name.1, held.piece
                ));
            }
        }
        (*known, *seen) = (found, changes);
        Ok(())
    }

    /// Answers one of somebody's questions; `false` if there is none that can be answered.
    async fn serve(
        &mut self,
        who: Who,
        which: usize,
        fate: Fate,
        reversed: bool,
    ) -> Result<bool, String> {
        let worker = &mut self.workers[who];
        let is_frozen = worker.is_frozen;
        let Some(running) = worker.running.as_mut().filter(|_| !is_frozen) else {
            return Ok(false);
        };
        let count = running.waiting.len();
        for offset in 0..count {
            let request = running.waiting.remove((which + offset) % count);
            let is_broken = fate == Fate::Midway && request.what.0 == "store";
            let fate = match fate {
                Fate::Midway if !is_broken => Fate::Refused,
                fate => fate,
            };
            if is_broken {
                break_store(&self.store_path);
            }
            let unserved = hand_over(&self.servers, request, fate, reversed).await;
            if is_broken {
                mend_store(&self.store_path);
            }
            let Some(unserved) = unserved else {
                self.settle().await?;
                return Ok(true);
            };
            running.waiting.push(unserved);
            running.listen();
        }
        Ok(false)
    }

    /// One question of each; `false` if nobody has one.
    async fn serve_everybody(&mut self) -> Result<bool, String> {
        let mut is_any = false;
        for who in 0..self.workers.len() {
            is_any |= self.serve(who, 0, Fate::Answered, false).await?;
        }
        Ok(is_any)
    }

    async fn serve_all(&mut self) -> Result<(), String> {
        for _ in 0..MOST_QUESTIONS {
            if !self.serve_everybody().await? {
                return Ok(());
            }
        }
        Err("somebody asks without end".to_owned())
    }

    fn start(&mut self, who: Who, size: usize, is_fresh: bool) {
        let worker = &mut self.workers[who];
        if worker.running.is_some() {
            return;
        }
        if is_fresh {
            worker.replace_disk();
            if let Some(spool) = self.spools.get_mut(who) {
                *spool = Default::default();
            }
        }
        worker.start(&self.file.path, size);
    }

    async fn kill(&mut self, who: Who, has_effect: bool) -> Result<(), String> {
        for request in self.workers[who].kill().await {
            if has_effect {
                drop(hand_over(&self.servers, request, Fate::AnswerLost, false).await);
            }
        }
        self.look_at_spool(who)
    }

    async fn cut(&mut self, who: Who, loses: Loses) -> Result<(), String> {
        drop(self.workers[who].kill().await);
        self.workers[who].disk.cut(loses);
        self.look_at_spool(who)
    }

    fn replace_queue(&mut self, disk: SimulatedDisk) {
        let mounted = disk.mount();
        self.servers.queue = open_queue(&mounted);
        self.queue_disk = (disk, mounted);
        self.is_lossless = false;
    }

    fn keep_store(&mut self) {
        let path = self
            .folder
            .path()
            .join(format!("kept-{}", self.lives.len()));
        if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
        let present = Connection::open(&self.store_path).unwrap();
        let copy = path.display().to_string();
        present.execute("VACUUM INTO ?1", [copy]).unwrap();
        self.kept_store = Some(path);
    }

    async fn replace_store(&mut self) {
        let number = self.lives.len();
        self.store_path = self.folder.path().join(format!("life-{number}"));
        match &self.kept_store {
            Some(kept) => drop(std::fs::copy(kept, &self.store_path).unwrap()),
            None => std::fs::write(&self.store_path, empty_store().await).unwrap(),
        }
        let (token, store) = enliven(&self.store_path, number);
        self.lives.insert(token, Life::of(&self.store_path));
        self.servers.store = store;
        self.is_lossless = false;
    }

    async fn send(&mut self, entry: Entry) -> Result<(), String> {
        let sent = self.servers.queue.publish(entry).await;
        sent.map(drop).map_err(|error| error.to_string())
    }

    /// Everything runs on undisturbed; then it has to be quiet, and everything in its place.
    pub(super) async fn calm(&mut self) -> Result<(), String> {
        for who in 0..self.workers.len() {
            let worker = &mut self.workers[who];
            worker.is_frozen = false;
            worker.disk.set_full(false);
            worker.disk.fail_after(None);
            self.start(who, 3, false);
        }
        // Another store is heard of late, and then read for again: quiet once is not quiet.
        let (mut quiet, mut why) = (0, String::new());
        for _ in 0..QUIET_WITHIN {
            self.serve_all().await?;
            match self.is_quiet().await {
                Ok(()) => quiet += 1,
                Err(reason) => (quiet, why) = (0, reason),
            }
            if quiet == QUIET_FOR {
                break;
            }
            sleep(LONG).await;
            self.settle().await?;
        }
        if quiet < QUIET_FOR {
            return Err(format!("it does not come to an end: {why}"));
        }
        self.look_at_strays()?;
        self.stop().await
    }

    fn present(&self) -> &Life {
        let (_, life) = self.lives.iter().next_back().unwrap();
        life
    }

    async fn is_quiet(&self) -> Result<(), String> {
        self.present().is_complete(&self.file)?;
        let depth = self.servers.queue.depth().await;
        let entries = depth.map_err(|error| error.to_string())?.entries;
        if entries > 0 {
            return Err(format!("{entries} entries are in the queue"));
        }
        for worker in self.workers.iter().filter(|worker| worker.is_streamer()) {
            let running = worker.running.as_ref();
            let undrained = running.and_then(|running| running.undrained());
            if undrained != Some(0) {
                let who = worker.who;
                return Err(format!("{undrained:?} messages are in spool {who}"));
            }
        }
        Ok(())
    }

    fn look_at_strays(&self) -> Result<(), String> {
        let (dead, canaries) = self.present().strays();
        let is_right = dead.iter().copied().eq(1..=self.poison)
            && u64::try_from(canaries) == Ok(self.canaries);
        if self.is_lossless && !is_right {
            return Err(format!(
                "the store has dead letters {dead:?} of {} and {canaries} of {} canaries",
                self.poison, self.canaries
            ));
        }
        Ok(())
    }

    /// Everybody is told to end, and does it without an error and with an empty spool.
    async fn stop(&mut self) -> Result<(), String> {
        self.is_stopping = true;
        for running in self
            .workers
            .iter()
            .filter_map(|worker| worker.running.as_ref())
        {
            running.stop();
        }
        self.settle().await?;
        self.serve_all().await?;
        sleep(LONG).await;
        self.settle().await?;
        for worker in &mut self.workers {
            let who = worker.who;
            if let Some(running) = &mut worker.running {
                match (&mut running.task).now_or_never() {
                    Some(Ok(Ok(()))) => {}
                    ended => return Err(format!("worker {who} does not end well: {ended:?}")),
                }
            }
            worker.running = None;
            if worker.is_streamer() && !judge::spool(&worker.disk)?.is_empty() {
                return Err(format!("spool {who} is not empty"));
            }
        }
        Ok(())
    }
}
