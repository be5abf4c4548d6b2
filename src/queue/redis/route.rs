//! Which server has a key: the one that is configured, the one that sentinels name, or the node of
//! a cluster that owns the key's slot.
//!
//! It is asked for anew with every connection. Nothing of it is kept: who was right a moment ago
//! may be the one that has just failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{RedisResult, Value, cmd, pipe};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rand::seq::SliceRandom as _;
use tokio::time::timeout;

use crate::config::worker::{RedisServers, RedisSettings, SentinelSettings};
use crate::model::causes::chain;
use crate::model::endpoint::Endpoint;
use crate::queue::QueueError;

use super::connection::{CONNECT_LIMIT, Connection, Dialer, Server};
use super::failure::{Failure, FailureKind, Redirection, Trouble};

/// Longest time for one sentinel or one node to say where a key is. Others are asked, too.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// Makes connections to whoever has a key. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    servers: RedisServers,
    dialer: Dialer,
    /// Towards sentinels.
    sentinel: Dialer,
}

impl Connector {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, QueueError> {
        let misconfigured = |reason| QueueError::Misconfigured {
            address: settings.servers.to_string(),
            reason,
        };
        if matches!(settings.servers, RedisServers::Cluster(_)) && settings.database != 0 {
            return Err(misconfigured(
                "a Redis Cluster has no database but number 0",
            ));
        }
        let dialer = Dialer::new(settings).map_err(misconfigured)?;
        let sentinel = match &settings.servers {
            RedisServers::Sentinel(sentinel) => {
                dialer.with_login(sentinel.username.as_deref(), sentinel.password.as_ref())
            }
            _ => dialer.with_login(None, None),
        };
        Ok(Self(Arc::new(Inner {
            servers: settings.servers.clone(),
            dialer,
            sentinel,
        })))
    }

    /// Whether keys may be on different servers.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.0.servers, RedisServers::Cluster(_))
    }

    /// A new connection to whoever has `key`. It waits for an answer at most for `answer_limit`, or
    /// for ever: then the caller has a deadline.
    pub(super) async fn connect(
        &self,
        key: &str,
        answer_limit: Option<Duration>,
    ) -> Result<Connection, Trouble> {
        let server = self.locate(key).await?;
        let connection = self.0.dialer.dial(&server, answer_limit).await?;
        match &self.0.servers {
            RedisServers::Sentinel(settings) => checked(connection, &settings.master).await,
            RedisServers::One(_) | RedisServers::Cluster(_) => Ok(connection),
        }
    }

    /// Who has `key`.
    pub(super) async fn locate(&self, key: &str) -> Result<Server, Trouble> {
        match &self.0.servers {
            RedisServers::One(endpoint) => Ok(server(endpoint)),
            RedisServers::Sentinel(settings) => self.master(settings).await,
            RedisServers::Cluster(nodes) => self.owner(nodes, key).await,
        }
    }

    /// A new connection to where a server says that a key is.
    pub(super) async fn follow(
        &self,
        redirection: &Redirection,
        from: &Server,
        answer_limit: Option<Duration>,
    ) -> Result<Connection, Trouble> {
        let (endpoint, word) = match redirection {
            Redirection::Moved(endpoint) => (endpoint, "moved"),
            Redirection::Ask(endpoint) => (endpoint, "moving"),
        };
        let host = match endpoint.host.as_str() {
            // The node does not know under which name its neighbour is reached: as itself.
            "" | "?" => from.endpoint.host.clone(),
            host => host.to_owned(),
        };
        let server = Server {
            endpoint: Endpoint::new(host, endpoint.port),
            learnt: Some(format!("the slot is {word} there, says {}", from.endpoint).into()),
        };
        let connection = self.0.dialer.dial(&server, answer_limit).await?;
        Ok(match redirection {
            Redirection::Moved(_) => connection,
            Redirection::Ask(_) => connection.asking(),
        })
    }

    /// The master that most sentinels name, at once if more than half of all do.
    async fn master(&self, settings: &SentinelSettings) -> Result<Server, Trouble> {
        let name = &settings.master;
        let sentinels = settings.sentinels.iter();
        let mut asked: FuturesUnordered<_> = sentinels
            .map(|sentinel| async move { (sentinel, self.named(sentinel, name).await) })
            .collect();
        let mut votes: BTreeMap<Endpoint, Vec<&Endpoint>> = BTreeMap::new();
        let mut refusals = Vec::new();
        while let Some((sentinel, answer)) = asked.next().await {
            match answer {
                Ok(master) => {
                    let voters = votes.entry(master).or_default();
                    voters.push(sentinel);
                    if voters.len() * 2 > settings.sentinels.len() {
                        break;
                    }
                }
                Err(failure) => refusals.push(format!("{sentinel}: {}", chain(&failure))),
            }
        }
        let most = votes.into_iter().max_by_key(|(_, voters)| voters.len());
        let Some((endpoint, voters)) = most else {
            let says = format!(
                "no sentinel names a master `{name}`: {}",
                refusals.join("; ")
            );
            return Err(Trouble {
                address: self.0.servers.to_string(),
                failure: Failure::told(FailureKind::NoMaster, says),
            });
        };
        let voters: Vec<String> = voters.into_iter().map(Endpoint::to_string).collect();
        Ok(Server {
            endpoint,
            learnt: Some(format!("`{name}`, says sentinel {}", voters.join(", ")).into()),
        })
    }

    /// Whom one sentinel names.
    async fn named(&self, sentinel: &Endpoint, name: &str) -> Result<Endpoint, Failure> {
        let asking = async {
            let dialling = self.0.sentinel.dial(&server(sentinel), None).await;
            let mut connection = dialling.map_err(|trouble| trouble.failure)?;
            let mut command = cmd("SENTINEL");
            command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
            let answer: RedisResult<Option<(String, u16)>> =
                command.query_async(&mut connection.ready().await?).await;
            let unknown = || {
                let says = format!("it knows no master `{name}` (REDIS_MASTER_NAME)");
                Failure::told(FailureKind::NoMaster, says)
            };
            let (host, port) = answer?.ok_or_else(unknown)?;
            Ok(Endpoint::new(host, port))
        };
        let answer = timeout(ASK_LIMIT, asking).await;
        answer.unwrap_or_else(|_| Err(Failure::timed_out()))
    }

    /// The node that has the slot of a key, as the first node that answers says.
    async fn owner(&self, nodes: &[Endpoint], key: &str) -> Result<Server, Trouble> {
        let mut nodes = nodes.to_vec();
        // The load of looking is everybody's, and a node that is gone does not hold all up.
        nodes.shuffle(&mut rand::rng());
        let mut refusals = Vec::new();
        for node in &nodes {
            match self.owner_by(node, key).await {
                Ok(endpoint) => {
                    return Ok(Server {
                        endpoint,
                        learnt: Some(format!("the owner of `{key}`, says {node}").into()),
                    });
                }
                Err(failure) => refusals.push((node, failure)),
            }
        }
        let says = |(node, failure): &(&Endpoint, Failure)| format!("{node}: {}", chain(failure));
        let all: Vec<String> = refusals.iter().map(says).collect();
        // Where all say the same, that is it.
        let kinds = refusals.iter().map(|(_, failure)| failure.kind);
        let first = kinds.clone().next().unwrap_or(FailureKind::Other);
        let kind = if kinds.clone().all(|kind| kind == first) {
            first
        } else {
            FailureKind::NoMaster
        };
        let says = format!("no node tells who has `{key}`: {}", all.join("; "));
        Err(Trouble {
            address: self.0.servers.to_string(),
            failure: Failure::told(kind, says),
        })
    }

    async fn owner_by(&self, node: &Endpoint, key: &str) -> Result<Endpoint, Failure> {
        let asking = async {
            let dialling = self.0.dialer.dial(&server(node), None).await;
            let mut connection = dialling.map_err(|trouble| trouble.failure)?;
            let mut questions = pipe();
            questions.cmd("CLUSTER").arg("KEYSLOT").arg(key);
            questions.cmd("CLUSTER").arg("SLOTS");
            let (slot, slots): (u16, Vec<Value>) = questions
                .query_async(&mut connection.ready().await?)
                .await?;
            owner_in(slots, slot, node).ok_or_else(|| {
                let says = format!("nobody has slot {slot}");
                Failure::told(FailureKind::NoMaster, says)
            })
        };
        let answer = timeout(ASK_LIMIT, asking).await;
        answer.unwrap_or_else(|_| Err(Failure::timed_out()))
    }
}

fn server(endpoint: &Endpoint) -> Server {
    Server {
        endpoint: endpoint.clone(),
        learnt: None,
    }
}

/// A connection to a master; sentinels may name one that is none any more.
async fn checked(mut connection: Connection, name: &str) -> Result<Connection, Trouble> {
    let command = cmd("ROLE");
    let asked = async {
        let role: RedisResult<Vec<Value>> =
            command.query_async(&mut connection.ready().await?).await;
        role
    };
    let failure = match timeout(CONNECT_LIMIT, asked).await {
        Ok(Ok(role)) => match role.first() {
            Some(Value::BulkString(role)) if role != b"master" => {
                let role = String::from_utf8_lossy(role);
                let says = format!("its role is {role}, and the master of `{name}` is looked for");
                Failure::told(FailureKind::ReadOnly, says)
            }
            _ => return Ok(connection),
        },
        // A user that may not ask may still do its work.
        Ok(Err(error)) if error.code() == Some("NOPERM") => return Ok(connection),
        Ok(Err(error)) => error.into(),
        Err(_) => Failure::timed_out(),
    };
    Err(connection.server().trouble(failure))
}

/// The owner of a slot in the answer to CLUSTER SLOTS by `node`.
fn owner_in(slots: Vec<Value>, slot: u16, node: &Endpoint) -> Option<Endpoint> {
    let range = |range: Value| -> Option<(i64, i64, Value)> {
        let mut parts = array(range)?.into_iter();
        let (Value::Int(first), Value::Int(last)) = (parts.next()?, parts.next()?) else {
            return None;
        };
        Some((first, last, parts.next()?))
    };
    let slot = i64::from(slot);
    let mut ranges = slots.into_iter().filter_map(range);
    let (.., owner) = ranges.find(|(first, last, _)| (*first..=*last).contains(&slot))?;
    let mut owner = array(owner)?.into_iter();
    let host = match owner.next()? {
        Value::BulkString(host) => String::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        _ => String::new(),
    };
    let Value::Int(port) = owner.next()? else {
        return None;
    };
    let host = match host.as_str() {
        // It does not know under which name its neighbour is reached: as itself.
        "" | "?" => node.host.clone(),
        _ => host,
    };
    Some(Endpoint::new(host, u16::try_from(port).ok()?))
}

fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ::redis::Value;

    use super::owner_in;
    use crate::model::endpoint::Endpoint;

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let owner = Value::Array(vec![
            host,
            Value::Int(port),
            Value::BulkString(b"id".to_vec()),
        ]);
        Value::Array(vec![Value::Int(first), Value::Int(last), owner])
    }

    #[test]
    fn the_owner_of_a_slot_is_that_of_its_range() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let slots = vec![
            range(0, 99, text("redis-0.example"), 6379),
            range(100, 100, text("fd00::1"), 7000),
            range(101, 200, Value::Nil, 7001),
            range(201, 300, text("?"), 7002),
        ];
        let node = Endpoint::new("asked", 6379);
        for (slot, owner) in [
            (0, Some("redis-0.example:6379")),
            (100, Some("[fd00::1]:7000")),
            (150, Some("asked:7001")),
            (300, Some("asked:7002")),
            (301, None),
        ] {
            let found = owner_in(slots.clone(), slot, &node);
            let found = found.map(|endpoint| endpoint.to_string());
            assert_eq!(found.as_deref(), owner, "{slot}");
        }
    }
}
