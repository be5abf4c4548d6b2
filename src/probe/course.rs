//! The course of one target: hop after hop, each timed and bounded, none after a failure.

use std::time::{Duration, Instant};

use super::result::{Cause, Hop, HopResult, Outcome};

/// Longest time for one hop.
pub(super) const HOP_LIMIT: Duration = Duration::from_secs(4);

/// Why a hop failed, and where.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    pub(super) detail: String,
    pub(super) address: Option<String>,
}

impl Failure {
    pub(super) fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            cause,
            detail: detail.into(),
            address: None,
        }
    }

    pub(super) fn at(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }
}

/// What a hop that works hands on, and where it was.
#[derive(Debug)]
pub(super) struct Reached<T> {
    pub(super) value: T,
    pub(super) address: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Course {
    hops: Vec<HopResult>,
    failed: Option<Hop>,
    address: Option<String>,
}

impl Course {
    /// Runs a hop within [`HOP_LIMIT`], or notes that it is skipped. `None` unless it passed.
    pub(super) async fn hop<T>(
        &mut self,
        hop: Hop,
        work: impl Future<Output = Result<Reached<T>, Failure>>,
    ) -> Option<T> {
        if self.failed.is_some() {
            self.skip(hop);
            return None;
        }
        let started = Instant::now();
        let ended = tokio::time::timeout(HOP_LIMIT, Box::pin(work)).await;
        let elapsed = started.elapsed();
        let (outcome, address, value) = match ended {
            Ok(Ok(reached)) => (Outcome::Passed, reached.address, Some(reached.value)),
            Ok(Err(failure)) if failure.cause == Cause::TimedOut => {
                (timed_out(elapsed), failure.address, None)
            }
            Ok(Err(Failure {
                cause,
                detail,
                address,
            })) => (Outcome::Failed { cause, detail }, address, None),
            Err(_) => (timed_out(HOP_LIMIT), None, None),
        };
        if value.is_none() {
            self.failed = Some(hop);
        }
        if hop == Hop::Tcp {
            self.address.clone_from(&address);
        }
        self.hops.push(HopResult {
            hop,
            outcome,
            address: address.or_else(|| self.address.clone()),
            latency_ms: elapsed.as_secs_f64() * 1000.0,
        });
        value
    }

    /// Runs a hop on something that an earlier hop made; skipped if it was not made.
    pub(super) async fn then<T, R, F: Future<Output = Result<Reached<R>, Failure>>>(
        &mut self,
        hop: Hop,
        made: Option<T>,
        work: impl FnOnce(T) -> F,
    ) -> Option<R> {
        match made {
            Some(made) => self.hop(hop, work(made)).await,
            None => {
                self.skip(hop);
                None
            }
        }
    }

    /// The hops so far.
    pub(super) fn into_hops(self) -> Vec<HopResult> {
        self.hops
    }

    fn skip(&mut self, hop: Hop) {
        let because = self.failed.map_or_else(
            || "an earlier hop did not pass".to_owned(),
            |failed| format!("the {failed} hop did not pass"),
        );
        self.hops.push(HopResult {
            hop,
            outcome: Outcome::Skipped { because },
            address: None,
            latency_ms: 0.0,
        });
    }
}

fn timed_out(after: Duration) -> Outcome {
    Outcome::TimedOut {
        after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The cause of an error of the operating system.
pub(super) fn cause_of_io(error: &std::io::Error) -> Cause {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => Cause::Refused,
        ErrorKind::TimedOut => Cause::TimedOut,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::AddrNotAvailable
        | ErrorKind::PermissionDenied => Cause::Unreachable,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Cause::ConnectionClosed,
        _ => Cause::ProtocolError,
    }
}

/// The words of an error and its chain, none repeated.
pub(super) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = source.source();
    }
    text
}

/// The cause of an error of the operating system or of TLS somewhere in a chain.
pub fn cause_in_chain(error: &(dyn std::error::Error + 'static)) -> Option<Cause> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            let invalid = io.get_ref().and_then(|inner| {
                matches!(
                    inner.downcast_ref::<rustls::Error>()?,
                    rustls::Error::InvalidCertificate(_)
                )
                .then_some(Cause::CertificateNotTrusted)
            });
            return Some(invalid.unwrap_or_else(|| cause_of_io(io)));
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_hop_skips_the_later_ones() {
        let mut course = Course::default();
        let nothing = course
            .hop::<()>(Hop::Dns, async {
                Err(Failure::new(Cause::NameNotFound, "no such name"))
            })
            .await;
        assert!(nothing.is_none());
        let mut ran = false;
        course
            .hop(Hop::Tcp, async {
                ran = true;
                Ok(Reached {
                    value: (),
                    address: None,
                })
            })
            .await;
        assert!(!ran);
        let hops = course.into_hops();
        assert!(matches!(
            &hops[1].outcome,
            Outcome::Skipped { because } if because == "the DNS hop did not pass"
        ));
    }
}
