//! Identities of the data path. Four different things, never one "epoch".

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is read: a file with fixed content, in a cluster, under a name.
///
/// Two streamers that see the same bytes under the same name in the same cluster see one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId {
    /// The cluster whose streamers read it (`CLUSTER_ID`).
    pub cluster: String,
    /// The file's name without folders.
    pub name: String,
    /// SHA-256 of the content, 64 hexadecimal digits.
    pub digest: String,
}

impl fmt::Display for SourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}@{}", self.cluster, self.name, self.digest)
    }
}

/// One reading of a source: [`PassId::ONCE`] always in once mode, a fresh random one per round in
/// loop mode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PassId(pub String);

impl PassId {
    /// The pass of once mode: whoever reads the source again reads the same pass.
    pub const ONCE: &'static str = "once";

    /// The pass of once mode.
    pub fn once() -> Self {
        Self(Self::ONCE.to_owned())
    }
}

/// One spool: a random id (32 hexadecimal digits), made when the spool is made. A spool that was
/// wiped gets another, so that a counter that starts again never repeats a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncarnationId(pub String);

/// Which life of the store's data: changes when the store is another one, or may have lost what was
/// committed to it. Work that was done into another life is offered again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreToken(pub String);

/// The name of a batch: which spool it came from and its number there, from 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchId {
    /// The spool.
    pub incarnation: IncarnationId,
    /// The number within the spool.
    pub sequence: u64,
}

impl fmt::Display for BatchId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#{}", self.incarnation.0, self.sequence)
    }
}

/// Half-open range of bytes of a source. The ranges of all batches of a pass tile the source: the
/// first one starts at 0 (so it covers the header), each next one where the last one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}
