//! telectl's private authority and the certificates that it signs.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::model::secret::Secret;

/// How long the authority is valid: ten years.
const AUTHORITY_DAYS: i64 = 3650;
/// How long a certificate is valid: the longest that clients commonly accept.
const CERTIFICATE_DAYS: i64 = 825;
/// A certificate is signed anew once it has fewer days left than this, or less than a third of its
/// lifetime, whichever is the shorter: one that lives shortly must not be renewed by every run.
pub const RENEWAL_DAYS: i64 = 30;
/// Days left below which checks warn. Half of [`RENEWAL_DAYS`], so that whoever is warned and
/// deploys again gets a new certificate.
pub const WARNING_DAYS: i64 = RENEWAL_DAYS / 2;
/// A certificate is valid from a while ago on, for clocks that run behind.
const BACKDATED_HOURS: i64 = 1;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Making one failed.
    #[error("cannot make the certificate of {subject}")]
    Make {
        /// Whose.
        subject: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// The authority's Secret does not hold what it should.
    #[error("the Secret of the private authority holds no usable certificate and key")]
    Authority(#[source] rcgen::Error),
}

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: Secret<String>,
}

impl Pair {
    /// Stands for a pair that will be made, while only a plan is.
    pub const fn unmade() -> Self {
        Self {
            certificate: String::new(),
            key: Secret::new(String::new()),
        }
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A server shows it.
    Server,
    /// A client shows it.
    Client,
}

fn common(subject: &str, days: i64, now: jiff::Timestamp) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters
        .distinguished_name
        .push(DnType::CommonName, subject);
    let at = |hours: i64| rcgen_time(now.as_second() + hours * 3600);
    parameters.not_before = at(-BACKDATED_HOURS);
    parameters.not_after = at(days * 24);
    parameters
}

fn rcgen_time(second: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(second).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

/// A new authority. Its name must be its own: certificates are told apart by it.
///
/// # Errors
/// When the key cannot be made.
pub fn new_authority(name: &str, now: jiff::Timestamp) -> Result<Pair, CertificateError> {
    let make = |source| CertificateError::Make {
        subject: name.to_owned(),
        source,
    };
    let key = KeyPair::generate().map_err(make)?;
    let mut parameters = common(name, AUTHORITY_DAYS, now);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = parameters.self_signed(&key).map_err(make)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: Secret::new(key.serialize_pem()),
    })
}

/// A certificate signed by the authority for these names (DNS names or addresses).
///
/// # Errors
/// When the authority is unusable or the key cannot be made.
pub fn issue(
    authority: &Pair,
    subject: &str,
    names: &[String],
    purpose: Purpose,
    now: jiff::Timestamp,
) -> Result<Pair, CertificateError> {
    let make = |source| CertificateError::Make {
        subject: subject.to_owned(),
        source,
    };
    let signer = KeyPair::from_pem(authority.key.expose()).map_err(CertificateError::Authority)?;
    let issuer = rcgen::Issuer::from_ca_cert_pem(&authority.certificate, signer)
        .map_err(CertificateError::Authority)?;
    let key = KeyPair::generate().map_err(make)?;
    let mut parameters = common(subject, CERTIFICATE_DAYS, now);
    for name in names {
        parameters
            .subject_alt_names
            .push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into().map_err(make)?),
            });
    }
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = match purpose {
        // etcd's gateway and members talk to themselves with their server certificate.
        Purpose::Server => {
            vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ]
        }
        Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    let certificate = parameters.signed_by(&key, &issuer).map_err(make)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: Secret::new(key.serialize_pem()),
    })
}

/// Why a certificate does not do any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// It is no certificate.
    Unreadable,
    /// Another authority signed it.
    AnotherAuthority,
    /// It is valid only later.
    NotYetValid,
    /// It names not everything that it has to.
    Name(String),
    /// It ends soon, or has ended: whole days left, negative once it has.
    DaysLeft(i64),
    /// It would do, and somebody wants another one.
    Rotation,
}

impl std::fmt::Display for Lack {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable => formatter.write_str("it cannot be read"),
            Self::AnotherAuthority => formatter.write_str("another authority signed it"),
            Self::NotYetValid => formatter.write_str("it is not valid yet"),
            Self::Name(name) => write!(formatter, "it does not name {name}"),
            Self::DaysLeft(days) if *days < 0 => formatter.write_str("it has expired"),
            Self::DaysLeft(1) => formatter.write_str("it has 1 day left"),
            Self::DaysLeft(days) => write!(formatter, "it has {days} days left"),
            Self::Rotation => formatter.write_str("it is rotated"),
        }
    }
}

/// Why a certificate (PEM) has to be signed anew; `None` if the authority signed it, it names all
/// of these and it is valid for long enough.
pub fn lack(
    certificate: &str,
    authority: &str,
    names: &[String],
    now: jiff::Timestamp,
) -> Option<Lack> {
    let parsed = |pem: &str| {
        x509_parser::pem::parse_x509_pem(pem.as_bytes())
            .ok()
            .map(|(_, pem)| pem.contents)
    };
    let (Some(certificate), Some(authority)) = (parsed(certificate), parsed(authority)) else {
        return Some(Lack::Unreadable);
    };
    let (Ok((_, certificate)), Ok((_, authority))) = (
        X509Certificate::from_der(&certificate),
        X509Certificate::from_der(&authority),
    ) else {
        return Some(Lack::Unreadable);
    };
    // Every authority has a name of its own, so a name tells whose signature it is.
    if certificate.issuer() != authority.subject() {
        return Some(Lack::AnotherAuthority);
    }
    let validity = certificate.validity();
    let (from, until) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    if now.as_second() < from {
        return Some(Lack::NotYetValid);
    }
    if let Some(days) = due(from, until, now.as_second()) {
        return Some(Lack::DaysLeft(days));
    }
    let named = named(&certificate);
    let unnamed = names.iter().find(|name| !named.contains(name));
    unnamed.map(|name| Lack::Name(name.clone()))
}

/// The whole days that a certificate has left, if it is time to renew it: less than
/// [`RENEWAL_DAYS`] or a third of its lifetime is left, whichever is the shorter. Seconds since
/// the epoch.
const fn due(from: i64, until: i64, now: i64) -> Option<i64> {
    let third = (until - from) / 3;
    let longest = RENEWAL_DAYS * DAY;
    let ahead = if third < longest { third } else { longest };
    let left = until - now;
    if left < ahead {
        Some(left.div_euclid(DAY))
    } else {
        None
    }
}

fn named(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match **bytes {
                [a, b, c, d] => Some(IpAddr::from([a, b, c, d]).to_string()),
                ref long => {
                    let long: [u8; 16] = long.try_into().ok()?;
                    Some(IpAddr::from(long).to_string())
                }
            },
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> jiff::Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_certificate_lacks_a_name_or_its_authority_and_says_so() {
        let authority = new_authority("authority-1", now()).unwrap();
        let other = new_authority("authority-2", now()).unwrap();
        let names = vec!["redis.shared.svc".to_owned(), "192.0.2.7".to_owned()];
        let pair = issue(&authority, "redis", &names, Purpose::Server, now()).unwrap();
        let lacks = |names: &[String], authority: &Pair| {
            lack(&pair.certificate, &authority.certificate, names, now())
        };
        assert_eq!(lacks(&names, &authority), None);
        let another = "192.0.2.8".to_owned();
        assert_eq!(
            lacks(std::slice::from_ref(&another), &authority),
            Some(Lack::Name(another))
        );
        assert_eq!(lacks(&names, &other), Some(Lack::AnotherAuthority));
        assert_eq!(
            lack("no certificate", &authority.certificate, &names, now()),
            Some(Lack::Unreadable)
        );
    }

    #[test]
    fn a_certificate_is_due_thirty_days_before_its_end_and_not_a_second_sooner() {
        let authority = new_authority("authority", now()).unwrap();
        let pair = issue(&authority, "redis", &[], Purpose::Client, now()).unwrap();
        let after = |seconds: i64| {
            let at = jiff::Timestamp::from_second(now().as_second() + seconds).unwrap();
            lack(&pair.certificate, &authority.certificate, &[], at)
        };
        let end = CERTIFICATE_DAYS * DAY;
        assert_eq!(after(-2 * 3600), Some(Lack::NotYetValid));
        assert_eq!(after(end - RENEWAL_DAYS * DAY), None);
        assert_eq!(
            after(end - RENEWAL_DAYS * DAY + 1),
            Some(Lack::DaysLeft(RENEWAL_DAYS - 1))
        );
        assert_eq!(after(end - 1), Some(Lack::DaysLeft(0)));
        assert_eq!(after(end + 1).unwrap().to_string(), "it has expired");
    }

    #[test]
    fn a_short_lived_certificate_is_due_after_two_thirds_of_its_life() {
        assert_eq!(due(0, 9 * DAY, 6 * DAY), None);
        assert_eq!(due(0, 9 * DAY, 6 * DAY + 1), Some(2));
    }
}
