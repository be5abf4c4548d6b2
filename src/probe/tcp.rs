//! A TCP connection to whichever address of a name accepts one.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::course::{Failure, Reached, cause_of_io};
use super::result::Cause;

/// Longest time for one address; all are tried at once.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// No more addresses than this are tried.
const ADDRESS_LIMIT: usize = 8;

/// Connects to the first address, in the given order, that accepts.
pub(super) async fn connect(
    addresses: Vec<IpAddr>,
    port: u16,
) -> Result<Reached<TcpStream>, Failure> {
    let tries = addresses
        .into_iter()
        .take(ADDRESS_LIMIT)
        .map(|address| try_one(SocketAddr::new(address, port)));
    let mut failures = Vec::new();
    for tried in join_all(tries).await {
        match tried {
            Ok(reached) => return Ok(reached),
            Err(failure) => failures.push(failure),
        }
    }
    Err(summary(failures))
}

async fn try_one(address: SocketAddr) -> Result<Reached<TcpStream>, Failure> {
    match timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(Reached {
            value: stream,
            address: Some(address.to_string()),
        }),
        Ok(Err(error)) => {
            Err(Failure::new(cause_of_io(&error), error.to_string()).at(address.to_string()))
        }
        Err(_) => Err(Failure::new(Cause::TimedOut, "no answer").at(address.to_string())),
    }
}

/// The first failure speaks; that an address of a family without a route fails, too, says little.
fn summary(failures: Vec<Failure>) -> Failure {
    let mut failures = failures;
    failures.sort_by_key(|failure| failure.cause == Cause::Unreachable);
    failures
        .into_iter()
        .next()
        .unwrap_or_else(|| Failure::new(Cause::NameNotFound, "the name has no address"))
}
