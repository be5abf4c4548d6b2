//! What has to work while the server is at its memory limit, or nothing would ever leave it.
//!
//! There it refuses every command that may need memory, and in a transaction any command at all. A
//! script is refused only if a command that may need memory is the first that it writes with, so
//! these are scripts, and each begins with one that needs none.

use std::sync::LazyLock;

use ::redis::{Script, ScriptInvocation};

use crate::model::source::{BatchId, IncarnationId, StoreToken};

use super::{GROUP, MEMORY, Shard};

/// Removes entries. The keys are the stream, the dead list and the sets of those who are told; an
/// entry has a position, the number of its set (0: none), its sequence, and what is left of it in
/// the dead list.
static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "for at = 4, #ARGV, 4 do
           redis.call('XACK', KEYS[1], ARGV[1], ARGV[at])
           redis.call('XDEL', KEYS[1], ARGV[at])
           local told = KEYS[tonumber(ARGV[at + 1])]
           if told then
             redis.call('HSET', told, ARGV[at + 2], ARGV[3])
             redis.call('EXPIRE', told, ARGV[2])
           end
           if ARGV[at + 3] ~= '' then redis.call('RPUSH', KEYS[2], ARGV[at + 3]) end
         end",
    )
});

/// The token of a data set and what one incarnation is told, as of one moment.
static TOLD: LazyLock<Script> = LazyLock::new(|| {
    Script::new("return {redis.call('GET', KEYS[1]), redis.call('HGETALL', KEYS[2])}")
});

static REPLACE: LazyLock<Script> =
    LazyLock::new(|| Script::new("redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], ARGV[1])"));

/// Makes a group, from the beginning of the stream on: entries may have come before it. Another
/// consumer may be faster. (What never expires is not changed by PERSIST.)
static MAKE_GROUP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('PERSIST', KEYS[1])
         local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
         if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
         return {ok = 'OK'}",
    )
});

/// An entry that leaves its stream.
pub(super) struct Removal<'a> {
    pub(super) position: &'a str,
    /// Its name, where its streamer is told that the store has it.
    pub(super) told: Option<&'a BatchId>,
    /// What is left of it in the dead list; empty: nothing.
    pub(super) dead: Vec<u8>,
}

/// Removes entries of one shard, all or none; their streamers are told that `store` has them. What
/// goes to the dead list needs the memory that the entry had.
pub(super) fn remove(
    shard: &Shard,
    removals: &[Removal<'_>],
    store: Option<&StoreToken>,
) -> ScriptInvocation<'static> {
    let mut call = REMOVE.key(shard.stream());
    call.key(shard.dead());
    call.arg(GROUP).arg(MEMORY.as_secs());
    call.arg(store.map_or("", |store| &store.0));
    // The first two keys are not theirs.
    let mut keys = 2;
    let mut last: Option<(&IncarnationId, usize)> = None;
    for removal in removals {
        call.arg(removal.position);
        match (removal.told, last) {
            (None, _) => call.arg(0).arg(0),
            (Some(id), Some((incarnation, number))) if *incarnation == id.incarnation => {
                call.arg(number).arg(id.sequence)
            }
            (Some(id), _) => {
                keys += 1;
                last = Some((&id.incarnation, keys));
                call.key(shard.acknowledged(&id.incarnation));
                call.arg(keys).arg(id.sequence)
            }
        };
        call.arg(&removal.dead);
    }
    call
}

/// Tells the token of a shard's data set and what an incarnation is told there.
pub(super) fn told(shard: &Shard, incarnation: &IncarnationId) -> ScriptInvocation<'static> {
    let mut call = TOLD.key(shard.token());
    call.key(shard.acknowledged(incarnation));
    call
}

/// Sets a key to a value.
pub(super) fn replace(key: &str, value: &str) -> ScriptInvocation<'static> {
    let mut call = REPLACE.key(key);
    call.arg(value);
    call
}

/// Makes the group of a stream, if it lacks it.
pub(super) fn make_group(stream: &str) -> ScriptInvocation<'static> {
    let mut call = MAKE_GROUP.key(stream);
    call.arg(GROUP);
    call
}
